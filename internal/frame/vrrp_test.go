// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// Advert returns a VRRP advertisement of a host from a MAC.
func advert(mac MAC, from netip.Addr, tag string) []byte {
	b := make([]byte, 0, 64)
	b = append(b, 0x01, 0, 0x5e, 0, 0, 18, 0, 0, 0, 0, 0, 0)
	mac.Put(b, 6)
	b = append(b, tag...)
	if from.Is4() {
		b = append(b, 0x08, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 255, ProtoVRRP, 0, 0)
		b = append(append(b, from.AsSlice()...), 224, 0, 0, 18)
	} else {
		b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, ProtoVRRP, 255)
		b = append(append(b, from.AsSlice()...), netip.MustParseAddr("ff02::12").AsSlice()...)
	}
	return binary.BigEndian.AppendUint64(b, 0x3133640100640000)
}

// TestAdvertStation: the advertisements of two hosts from one virtual router's MAC are told apart, and nothing else is.
func TestAdvertStation(t *testing.T) {
	const router, router6 = MAC(0x00005e000133), MAC(0x00005e000233)
	one, two := netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")
	six, six2 := netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80:0:0:1::1")
	tag := "\x81\x00\x00\x07"
	seen := map[Station]string{}
	for name, b := range map[string][]byte{"one": advert(router, one, ""), "two": advert(router, two, ""),
		"in a VLAN": advert(router, one, tag), "another router": advert(router+1, one, ""),
		"IPv6": advert(router6, six, ""), "IPv6 of two": advert(router6, six2, "")} {
		var h Headers
		if !Parse(b, &h) {
			t.Fatalf("%s: not a frame", name)
		}
		s, ok := h.AdvertStation(b)
		if !ok || s == h.Station(h.Src, b) || s.VLAN() != h.VLAN() {
			t.Errorf("%s: %v, %v", name, s, ok)
		}
		if other := seen[s]; other != "" {
			t.Errorf("%s is not told from %s", name, other)
		}
		seen[s] = name
	}
	for name, b := range map[string][]byte{"of a NIC": advert(mac1, one, ""), "cut off": advert(router, one, "")[:20],
		"other protocol": func() []byte { b := advert(router, one, ""); b[23] = ProtoTCP; return b }()} {
		var h Headers
		Parse(b, &h)
		if s, ok := h.AdvertStation(b); ok {
			t.Errorf("%s: %v", name, s)
		}
	}
}

func TestVirtualRouter(t *testing.T) {
	for m, want := range map[MAC]int{0x00005e000133: 51, 0x00005e0002ff: 255, 0x00005e000333: -1, 0x01005e000112: -1,
		mac1: -1, 0: -1} {
		id, ok := m.VirtualRouter()
		if ok != (want >= 0) || ok && id != want {
			t.Errorf("%v: %d, %v", m, id, ok)
		}
	}
}
