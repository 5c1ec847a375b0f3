package frame

import (
	"encoding/binary"
	"fmt"
)

// ServiceTag marks a VLAN of a Station whose tag is 802.1ad's (a service VLAN) instead of 802.1Q's.
const ServiceTag = 1 << 12

// VLANBits is how many bits of a Station are its VLAN: id and ServiceTag.
const VLANBits = 13

// Station is a MAC in a VLAN, which is what a switch learns: one MAC may be at several ports, in a VLAN each. MAC in
// the high bits and VLAN in the low ones, so that it is compared with one instruction and the stations of a MAC sort
// together.
type Station uint64

// StationOf returns mac in vlan: 0 is untagged, and ServiceTag may be set.
func StationOf(mac MAC, vlan uint16) Station {
	return Station(mac)<<VLANBits | Station(vlan&(1<<VLANBits-1))
}

// MAC is the station's address.
func (s Station) MAC() MAC { return MAC(s >> VLANBits) }

// VLAN is the outer tag's VLAN id, 0 when there is no tag or it has a priority only, with ServiceTag where the tag is
// 802.1ad's.
func (s Station) VLAN() uint16 { return uint16(s & (1<<VLANBits - 1)) }

// String names the MAC, and the VLAN if there is one.
func (s Station) String() string {
	switch v := s.VLAN(); {
	case v == 0:
		return s.MAC().String()
	case v&ServiceTag != 0:
		return fmt.Sprintf("%v in service VLAN %d", s.MAC(), v&^ServiceTag)
	default:
		return fmt.Sprintf("%v in VLAN %d", s.MAC(), v)
	}
}

// Station returns mac in the VLAN that the frame b is in, of which h is what Parse found.
func (h *Headers) Station(mac MAC, b []byte) Station {
	vlan := h.VLAN()
	if vlan != 0 && binary.BigEndian.Uint16(b[12:]) == TypeQinQ {
		vlan |= ServiceTag
	}
	return StationOf(mac, vlan)
}
