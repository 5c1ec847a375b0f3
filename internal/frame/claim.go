// SPDX-License-Identifier: MIT

package frame

import "net/netip"

// Claim is what a host says of an address by ARP or neighbour discovery: that the address is its own, at a MAC.
type Claim struct {
	IP   netip.Addr
	MAC  MAC
	VLAN uint16 // 0: untagged
}

// ParseClaim reads a frame, and returns false if it claims nothing. An ARP probe (sender 0.0.0.0) and a solicitation of
// duplicate address detection (source ::) ask, and claim nothing. A frame in a VLAN that its outer tag alone does not
// name claims nothing either.
func ParseClaim(b []byte) (Claim, bool) {
	var n Neighbour
	if !ParseNeighbour(b, &n) || !n.Plain {
		return Claim{}, false
	}
	c := Claim{IP: n.From, MAC: n.Sender, VLAN: n.VLAN}
	switch n.Op {
	case ARPRequest, ARPReply:
	case NeighbourSolicitation:
		if c.MAC == 0 {
			c.MAC = n.Src
		}
	case NeighbourAdvertisement:
		if c.IP, c.MAC = n.About, n.Target; c.MAC == 0 {
			c.MAC = n.Src
		}
	default:
		return Claim{}, false
	}
	if !c.IP.IsValid() || c.IP.IsUnspecified() || c.IP.IsMulticast() || c.MAC == 0 || c.MAC.Multicast() {
		return Claim{}, false
	}
	return c, true
}

// Claimed returns the address that ParseClaim would return of a frame, of which h is what Parse found, or another one
// of a frame that claims nothing; the zero Addr if it certainly claims nothing. It costs far less.
func (h *Headers) Claimed(b []byte) netip.Addr {
	const (
		sender, source, target      = 14, 8, 8 // in ARP, IPv6, and messages of neighbour discovery
		solicitation, advertisement = 135, 136
	)
	switch {
	case h.L3 == 0:
	case h.Protocol == ARP:
		return netip.AddrFrom4([4]byte(b[h.L3+sender:]))
	case h.Protocol == ND && h.L4 != 0 && b[h.L4] == solicitation:
		return netip.AddrFrom16([16]byte(b[h.L3+source:]))
	case h.Protocol == ND && h.L4 != 0 && b[h.L4] == advertisement && len(b) >= h.L4+target+16:
		return netip.AddrFrom16([16]byte(b[h.L4+target:]))
	}
	return netip.Addr{}
}
