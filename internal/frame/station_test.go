// SPDX-License-Identifier: MIT

package frame

import (
	"slices"
	"testing"
)

func TestStation(t *testing.T) {
	tag := func(tpid byte, vlan byte) []byte {
		return []byte{tpid, map[byte]byte{0x81: 0, 0x88: 0xa8}[tpid], 0x60, vlan}
	}
	plain := make([]byte, 60)
	mac1.Put(plain, 6)
	with := func(tags ...[]byte) []byte { return slices.Concat(plain[:12], slices.Concat(tags...), plain[12:]) }
	for _, c := range []struct {
		name string
		b    []byte
		vlan uint16
		text string
	}{
		{"untagged", with(), 0, "02:00:00:00:00:01"},
		{"priority only", with(tag(0x81, 0)), 0, "02:00:00:00:00:01"},
		{"VLAN", with(tag(0x81, 7)), 7, "02:00:00:00:00:01 in VLAN 7"},
		{"service VLAN", with(tag(0x88, 7)), 7 | ServiceTag, "02:00:00:00:00:01 in service VLAN 7"},
		{"VLAN in a service VLAN", with(tag(0x88, 9), tag(0x81, 7)), 9 | ServiceTag,
			"02:00:00:00:00:01 in service VLAN 9"},
		{"priority only in a service VLAN", with(tag(0x88, 0)), 0, "02:00:00:00:00:01"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h Headers
			Parse(c.b, &h)
			s := h.Station(h.Src, c.b)
			if s != StationOf(mac1, c.vlan) || s.MAC() != mac1 || s.VLAN() != c.vlan || s.String() != c.text {
				t.Errorf("%x is %v: %v in %#x", c.b[:22], s, s.MAC(), s.VLAN())
			}
		})
	}
	if s := StationOf(Broadcast, 0x1fff); s.MAC() != Broadcast || s.VLAN() != 0x1fff {
		t.Errorf("%v", s)
	}
}
