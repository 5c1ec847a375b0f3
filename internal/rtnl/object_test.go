// SPDX-License-Identifier: MIT

package rtnl

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func FuzzObject(f *testing.F) {
	f.Add(make([]byte, 8), 8)
	f.Add([]byte{2, 24, 0, 0, 3, 0, 0, 0, 8, 0, 1, 0, 10, 9, 0, 1, 5, 0, 2, 0, 1}, 8)
	f.Fuzz(func(t *testing.T, b []byte, head int) {
		if head != AddressHeaderLen && head != HeaderLen {
			return
		}
		o, err := ParseObject(b, head)
		if err != nil {
			return
		}
		again, err := ParseObject(o.Serialize(), head)
		if err != nil || !again.Equal(o) {
			t.Fatalf("%v, %+v is not %+v", err, again, o)
		}
		if head == HeaderLen { // a neighbour, or a rule
			_, _ = isResolved(o), proxyFor(o, 4)
			_ = removedFor(o, o)
		}
	})
}

func FuzzPrefix(f *testing.F) {
	o := Object{Head: make([]byte, prefixHead)}
	o.Head[0], o.Head[9], o.Head[10] = unix.AF_INET6, 64, prefixAutonomous
	o.Set(prefixAddress, netip.MustParseAddr("fd0a::").AsSlice())
	o.Set(prefixLifetimes, make([]byte, 8))
	if p, ok := ParsePrefix(o.Serialize()); !ok || p.Prefix.String() != "fd0a::/64" {
		f.Fatalf("%+v, %v", p, ok)
	}
	f.Add(o.Serialize())
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := ParsePrefix(b); ok && !p.Prefix.IsValid() {
			t.Errorf("%x is a prefix", b)
		}
	})
}

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
