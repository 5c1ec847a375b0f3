// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// everyOption is an advertisement with all that a RouterAdvert has.
func everyOption() RouterAdvert {
	return RouterAdvert{From: router6, MAC: mac1, Lifetime: 1800, Preference: RouterHigh, HopLimit: 64, Managed: true,
		Other: true, MTU: 1400,
		Prefixes: []AdvertisedPrefix{
			{Prefix: netip.MustParsePrefix("fd0a::/64"), OnLink: true, Autonomous: true, Valid: 600, Preferred: 500},
			{Prefix: netip.MustParsePrefix("fd0b:1::/48"), OnLink: true, Valid: 1<<32 - 1, Preferred: 0}},
		Routes: []AdvertisedRoute{{Prefix: netip.MustParsePrefix("fd0c::/40"), Preference: RouterLow, Lifetime: 900}}}
}

var router6 = netip.MustParseAddr("fe80::1")

// advertPacket returns an advertisement without Ethernet header.
func advertPacket(a RouterAdvert) []byte { return a.Frame()[14:] }

// withMessage returns the packet of an ICMPv6 message of the router.
func withMessage(m []byte) []byte {
	a := RouterAdvert{From: router6}
	p := append(advertPacket(a)[:40], m...)
	binary.BigEndian.PutUint16(p[4:], uint16(len(m)))
	putICMPv6Sum(p, 0, 40, len(p))
	return p
}

func TestParseRouterAdvert(t *testing.T) {
	want := everyOption()
	got, ok := ParseRouterAdvert(advertPacket(want))
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
		a, ok := ParseRouterAdvert(withMessage(b))
		if ok != c.ok || len(a.Prefixes) != c.prefixes || len(a.Routes) != c.routes {
			t.Errorf("%s: %v, %+v", c.name, ok, a)
		}
	}
}

// Whoever is not on the link cannot send a valid one.
func TestInvalidRouterAdverts(t *testing.T) {
	for name, spoil := range map[string]func(p []byte) []byte{
		"cut":                      func(p []byte) []byte { return p[:len(p)-1] },
		"a header only":            func(p []byte) []byte { return p[:40] },
		"hop limit":                func(p []byte) []byte { p[7] = 254; return p },
		"source":                   func(p []byte) []byte { p[8], p[9] = 0x20, 0x01; return p },
		"checksum":                 func(p []byte) []byte { p[42]++; return p },
		"another type":             func(p []byte) []byte { p[40]++; p[43]--; return p },
		"IPv4":                     func(p []byte) []byte { p[0] = 0x45; return p },
		"UDP":                      func(p []byte) []byte { p[6] = 17; return p },
		"longer than it is":        func(p []byte) []byte { p[5]++; return p },
		"shorter than any of them": func(p []byte) []byte { return withMessage(p[40:55]) },
	} {
		if a, ok := ParseRouterAdvert(spoil(advertPacket(everyOption()))); ok {
			t.Errorf("%s: taken as %+v", name, a)
		}
	}
}

// Whatever comes in, nothing panics; and what an advertisement says, it says again when it is built of that.
func FuzzParseRouterAdvert(f *testing.F) {
	f.Add(advertPacket(everyOption())[40:])
	f.Add(advertPacket(RouterAdvert{From: router6})[40:])
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1280 { // options grow to their full length
			return
		}
		_, _ = ParseRouterAdvert(in)
		a, ok := ParseRouterAdvert(withMessage(in))
		if !ok {
			return
		}
		again, ok := ParseRouterAdvert(advertPacket(a))
		if d := cmp.Diff(a, again, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); !ok || d != "" {
			t.Fatalf("ok %v (-first +again):\n%s", ok, d)
		}
	})
}
