// SPDX-License-Identifier: MIT

package keeper

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMessage(t *testing.T) {
	for _, test := range []struct {
		text string
		want message
	}{
		{"", message{}},
		{"READY=1", message{ready: true}},
		{"READY=1\nSTATUS=2/2 up, elb\nWATCHDOG=1", message{ready: true, watchdog: true}},
		{"READY=0\nWATCHDOG=trigger", message{}},
		{"FDSTORE=1\nFDNAME=tap\nFDPOLL=0", message{store: true, name: "tap"}},
		{"FDSTOREREMOVE=1\nFDNAME=map-a=b", message{remove: true, name: "map-a=b"}},
		{"BARRIER=1", message{barrier: true}},
		{"READY\n=1\n\n\x00", message{}},
	} {
		if diff := cmp.Diff(test.want, parseMessage([]byte(test.text)), cmp.AllowUnexported(message{})); diff != "" {
			t.Errorf("%q: %s", test.text, diff)
		}
	}
}

func FuzzParseMessage(f *testing.F) {
	f.Add([]byte("FDSTORE=1\nFDNAME=tap\nFDPOLL=0"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if m := parseMessage(text); len(m.name) > len(text) {
			t.Errorf("name %q of %q", m.name, text)
		}
	})
}
