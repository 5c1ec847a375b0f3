// SPDX-License-Identifier: MIT

package frame

import (
	"net/netip"
	"slices"
	"testing"
)

func TestParseClaim(t *testing.T) {
	ask := func(from, to netip.Addr) []byte { // an ARP request of mac2
		b := GratuitousARP(mac2, from, 0)
		copy(b[38:], to.AsSlice())
		return b
	}
	none := netip.IPv4Unspecified()
	ns := "87000000" + "00000000" + hexPeer6
	for _, c := range []struct {
		name string
		in   []byte
		want Claim // zero: none
	}{
		{"gratuitous ARP", GratuitousARP(mac2, ours4, 0), Claim{ours4, mac2, 0}},
		{"gratuitous ARP in a VLAN", GratuitousARP(mac2, ours4, 9), Claim{ours4, mac2, 9}},
		{"to one host", UnicastARP(mac2, ours4, mac1, 0), Claim{ours4, mac2, 0}},
		{"a question", ask(ours4, peer4), Claim{ours4, mac2, 0}},
		{"ARP probe", ask(none, ours4), Claim{}},
		{"unsolicited NA", UnsolicitedNA(mac2, ours6, false, 0), Claim{ours6, mac2, 0}},
		{"unsolicited NA in a VLAN", UnsolicitedNA(mac2, ours6, true, 7), Claim{ours6, mac2, 7}},
		{"NA without option", nd(t, "", "88000000"+"20000000"+hexPeer6), Claim{peer6, mac2, 0}},
		{"NS", nd(t, "", ns+"0101020000000003"), Claim{ours6, mac3, 0}},
		{"NS without option", nd(t, "", ns), Claim{ours6, mac2, 0}},
		{"duplicate address detection", func() []byte {
			b := nd(t, "", ns)
			clear(b[22:38])
			return b
		}(), Claim{}},
		{"a group's MAC", GratuitousARP(Broadcast, ours4, 0), Claim{}},
		{"no MAC", GratuitousARP(0, ours4, 0), Claim{}},
		{"service VLAN", nd(t, "88a80007", ns), Claim{}},
		{"through a router", func() []byte { b := nd(t, "", ns); b[21] = 64; return b }(), Claim{}},
		{"RARP", RARP(mac2, 0), Claim{}},
		{"nothing", nil, Claim{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := ParseClaim(c.in)
			if got != c.want || ok != (c.want != Claim{}) {
				t.Errorf("%+v, %v, want %+v", got, ok, c.want)
			}
			var h Headers
			if Parse(c.in, &h) && ok && h.Claimed(c.in) != got.IP {
				t.Errorf("quickly: %v, want %v", h.Claimed(c.in), got.IP)
			}
		})
	}
}

// FuzzClaim: the quick look never misses a claim, and neither reads beyond the frame.
func FuzzClaim(f *testing.F) {
	f.Add(GratuitousARP(mac2, ours4, 9))
	f.Add(UnsolicitedNA(mac2, ours6, true, 0))
	f.Add(advert(0x00005e000133, peer4, ""))
	f.Fuzz(func(t *testing.T, b []byte) {
		was := slices.Clone(b)
		var h Headers
		if !Parse(b, &h) {
			return
		}
		quick := h.Claimed(b)
		h.AdvertStation(b)
		if c, ok := ParseClaim(b); ok && quick != c.IP {
			t.Errorf("%v, quickly %v", c.IP, quick)
		}
		if !slices.Equal(was, b) {
			t.Error("the frame has changed")
		}
	})
}
