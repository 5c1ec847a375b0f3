// SPDX-License-Identifier: MIT

package frame

import "encoding/binary"

// ProtoVRRP is the IP protocol of VRRP (RFC 9568 clause 5.1.1.4).
const ProtoVRRP = 112

// The virtual routers' MACs without the last octet, which is the virtual router's number (RFC 9568 clause 7.3).
const (
	virtualRouter4 = 0x00005e0001
	virtualRouter6 = 0x00005e0002
)

// VirtualRouter returns the number of the virtual router whose MAC m is. Several hosts have such a MAC, one after the
// other.
func (m MAC) VirtualRouter() (id int, ok bool) {
	return int(m & 0xff), m>>8 == virtualRouter4 || m>>8 == virtualRouter6
}

// AdvertStation returns what tells apart the advertisements that several hosts send from the MAC of one virtual router:
// a station for each source address, instead of that of the MAC. ok is false for other frames. h is what Parse found in
// b.
func (h *Headers) AdvertStation(b []byte) (s Station, ok bool) {
	const source4, source6 = 12, 8
	if h.IPProto != ProtoVRRP || h.L3 == 0 {
		return 0, false
	}
	if _, virtual := h.Src.VirtualRouter(); !virtual {
		return 0, false
	}
	source := uint64(0)
	if h.EtherType == TypeIPv4 {
		source = uint64(binary.BigEndian.Uint32(b[h.L3+source4:]))
	} else {
		source = binary.BigEndian.Uint64(b[h.L3+source6:])*advertFactor ^ binary.BigEndian.Uint64(b[h.L3+source6+8:])
	}
	return h.Station(h.Src^MAC(source*advertFactor>>16), b), true
}

// advertFactor scatters the bits of an address.
const advertFactor = 0x9e3779b97f4a7c15
