// SPDX-License-Identifier: MIT

package frame

import "net/netip"

// ARPProbe returns an ARP probe (RFC 5227 clause 1.1) for ip: a request without a sender protocol address, so that no
// cache learns anything from it. peer 0 is a broadcast. vlan 0 is untagged. It returns nil unless ip is an IPv4
// address.
func ARPProbe(mac MAC, ip netip.Addr, peer MAC, vlan uint16) []byte {
	ip = ip.Unmap()
	if !ip.Is4() {
		return nil
	}
	if peer == 0 {
		peer = Broadcast
	}
	b, at := newFrame(peer, mac, vlan, TypeARP, arpLen)
	putARP(b[at:], arpRequest)
	a := ip.As4()
	mac.Put(b, at+arpSender)
	copy(b[at+24:], a[:])
	return b
}

// Solicitation returns the neighbour solicitation (RFC 4861 clause 4.3) by which mac asks for ip, from AskingAddress:
// the answer to it is a unicast. peer 0 is the solicited-node group of ip. vlan 0 is untagged. It returns nil unless ip
// is an IPv6 address.
func Solicitation(mac MAC, ip netip.Addr, peer MAC, vlan uint16) []byte {
	to := ip
	if peer == 0 && ip.Is6() {
		to = solicitedNode(ip)
		peer = groupMAC(to)
	}
	b, m := newND(mac, AskingAddress(mac), peer, to, vlan)
	if b == nil {
		return nil
	}
	m[0] = icmp6NeighborSolicitation
	a := ip.As16()
	copy(m[8:], a[:])
	m[24] = optSource
	return finishND(b, m)
}

// AskingAddress returns the link-local address by which mac asks. It follows from mac, but not by modified EUI-64 (RFC
// 4291 appendix A): no stack has it, so that what answers the asking changes no neighbour cache of this host.
func AskingAddress(mac MAC) netip.Addr {
	a := [16]byte{0: 0xfe, 1: 0x80, 8: 0x6e, 9: 0x69}
	mac.Put(a[:], 10)
	return netip.AddrFrom16(a)
}

// solicitedNode returns the solicited-node group of an IPv6 address (RFC 4291 clause 2.7.1).
func solicitedNode(ip netip.Addr) netip.Addr {
	a := ip.As16()
	g := [16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]}
	return netip.AddrFrom16(g)
}

// ChecksumValid reports whether the ICMPv6 checksum of the message in the frame b is right. b is the frame that n was
// parsed from. ARP has none and is valid.
func (n *Neighbour) ChecksumValid(b []byte) bool {
	if n.Op <= ARPReply {
		return true
	}
	m := b[n.at:n.end]
	return Fold(Sum(PseudoSum(b, n.l3, ProtoICMPv6, len(m)), m)) == 0xffff
}
