package rtnl

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

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
