package rtnl

import (
	"bytes"
	"strings"
	"testing"
)

func FuzzProcRoutes(f *testing.F) {
	const line = "fd0a0000000000000000000000000000 40 00000000000000000000000000000000 00 " +
		"00000000000000000000000000000000 00000100 00000001 00000000 004c0001       na\n"
	if n := len(parseProcRoutes(strings.NewReader(line))); n != 1 {
		f.Fatalf("%d routes", n)
	}
	f.Add([]byte(line))
	f.Fuzz(func(t *testing.T, b []byte) {
		for r := range parseProcRoutes(bytes.NewReader(b)) {
			if r.link == "" {
				t.Errorf("%q is a route of no link", b)
			}
		}
	})
}
