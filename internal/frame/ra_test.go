// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// everyOption is an advertisement with all that a RouterAdvert has.
func everyOption() RouterAdvert {
	return RouterAdvert{MAC: mac1, Lifetime: 1800, Preference: RouterHigh, HopLimit: 64, Managed: true, Other: true,
		MTU: 1400,
		Prefixes: []AdvertisedPrefix{
			{Prefix: netip.MustParsePrefix("fd0a::/64"), OnLink: true, Autonomous: true, Valid: 600, Preferred: 500},
			{Prefix: netip.MustParsePrefix("fd0b:1::/48"), OnLink: true, Valid: 1<<32 - 1, Preferred: 0}},
		Routes: []AdvertisedRoute{{Prefix: netip.MustParsePrefix("fd0c::/40"), Preference: RouterLow, Lifetime: 900}}}
}

// message returns an advertisement as a raw socket delivers it.
func message(a RouterAdvert) []byte {
	a.From = netip.MustParseAddr("fe80::1")
	return a.Frame()[14+40:]
}

func TestParseRouterAdvert(t *testing.T) {
	want := everyOption()
	got, ok := ParseRouterAdvert(message(want))
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); !ok || d != "" {
		t.Errorf("ok %v (-want +got):\n%s", ok, d)
	}
	head := "8600" + "0000" + "40000708" + "0000000000000000"
	for _, c := range []struct {
		name, more string
		ok         bool
		prefixes   int
		routes     int
	}{
		{"no option", "", true, 0, 0},
		{"an unknown option", "fe010000" + "00000000", true, 0, 0},
		{"an option without length", "01000000" + "00000000", false, 0, 0},
		{"a cut option", "03044040", false, 0, 0},
		{"a prefix that is too short", "03014040" + "00000000", true, 0, 0},
		{"a prefix of 129 bits", "030481c0" + "00000258" + "000001f4" + "00000000" +
			"fd0a0000000000000000000000000000", true, 0, 0},
		{"a default route in 8 octets", "18010000" + "00000384", true, 0, 1},
		{"a route of 64 bits in 16 octets", "18024000" + "00000384" + "fd0c000000000000", true, 0, 1},
		{"a route that is longer than its option", "18024800" + "00000384" + "fd0c000000000000", true, 0, 0},
	} {
		b, err := hex.DecodeString(head + c.more)
		if err != nil {
			t.Fatal(c.name, err)
		}
		a, ok := ParseRouterAdvert(b)
		if ok != c.ok || len(a.Prefixes) != c.prefixes || len(a.Routes) != c.routes {
			t.Errorf("%s: %v, %+v", c.name, ok, a)
		}
	}
}

// Whatever comes in, nothing panics; and what an advertisement says, it says again when it is built of that.
func FuzzParseRouterAdvert(f *testing.F) {
	f.Add(message(everyOption()))
	f.Add(message(RouterAdvert{}))
	f.Fuzz(func(t *testing.T, in []byte) {
		a, ok := ParseRouterAdvert(in)
		if !ok || len(in) > 1280 { // options grow to their full length
			return
		}
		again, ok := ParseRouterAdvert(message(a))
		if d := cmp.Diff(a, again, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); !ok || d != "" {
			t.Fatalf("ok %v (-first +again):\n%s", ok, d)
		}
	})
}
