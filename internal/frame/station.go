// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
	"fmt"
)

// ServiceTag marks a VLAN of a Station whose tag is 802.1ad's (a service VLAN) instead of 802.1Q's.
const ServiceTag = 1 << 12

// VLANBits is the number of bits of a Station's VLAN: id and ServiceTag.
const VLANBits = 13

// Station is a MAC in a VLAN, which is what a switch learns: one MAC may be at several ports, each in another VLAN. The
// MAC is in the high bits and the VLAN in the low ones: one instruction compares stations, and those of a MAC sort
// together.
type Station uint64

// StationOf returns mac in vlan: 0 is untagged, and ServiceTag may be set.
func StationOf(mac MAC, vlan uint16) Station {
	return Station(mac)<<VLANBits | Station(vlan&(1<<VLANBits-1))
}

// MAC is the station's address.
func (s Station) MAC() MAC { return MAC(s >> VLANBits) }

// VLAN is the outer tag's VLAN id, with ServiceTag for a tag of 802.1ad; 0 without a tag or for a priority tag.
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
