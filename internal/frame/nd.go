// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
	"net/netip"
)

// Types of ICMPv6 messages that are built here.
const (
	icmp6NeighborSolicitation  = 135
	icmp6NeighborAdvertisement = 136
	icmp6MLDReport             = 131
	icmp6MLDv2Report           = 143
)

// Flags of a neighbour advertisement.
const (
	naRouter    = 0x80
	naSolicited = 0x40
	naOverride  = 0x20
)

var (
	allNodes        = netip.MustParseAddr("ff02::1")
	allMLDv2Routers = netip.MustParseAddr("ff02::16")
	allIGMPRouters  = netip.MustParseAddr("224.0.0.22")
)

// UnsolicitedNA returns the neighbour advertisement (RFC 4861 clause 7.2.6) that announces ip at mac to all nodes and
// overrides their caches. router: this host forwards IPv6. vlan 0 is untagged. It returns nil unless ip is an IPv6
// address.
func UnsolicitedNA(mac MAC, ip netip.Addr, router bool, vlan uint16) []byte {
	return UnicastNA(mac, ip, router, groupMAC(allNodes), allNodes, vlan)
}

// UnicastNA is UnsolicitedNA to one host, with MAC peer and address to. Hosts believe its router flag: a wrong one
// removes their default route, or keeps one that does not work.
func UnicastNA(mac MAC, ip netip.Addr, router bool, peer MAC, to netip.Addr, vlan uint16) []byte {
	b, m := newND(mac, ip, peer, to, vlan)
	if b == nil {
		return nil
	}
	m[0] = icmp6NeighborAdvertisement
	m[4] = naOverride
	if router {
		m[4] |= naRouter
	}
	a := ip.As16()
	copy(m[8:], a[:])
	m[24] = optTarget
	return finishND(b, m)
}

// UnicastNS returns the neighbour solicitation (RFC 4861 clause 7.2.2) that asks peer, with address to, whether it is
// reachable, and from which peer learns that ip is at mac. Unlike an advertisement it does not say whether this host is
// a router. vlan 0 is untagged. It returns nil unless both are IPv6 addresses.
func UnicastNS(mac MAC, ip netip.Addr, peer MAC, to netip.Addr, vlan uint16) []byte {
	b, m := newND(mac, ip, peer, to, vlan)
	if b == nil {
		return nil
	}
	m[0] = icmp6NeighborSolicitation
	a := to.As16()
	copy(m[8:], a[:])
	m[24] = optSource
	return finishND(b, m)
}

// newND returns a frame with room for a message m with a target and one link-layer address option, which has mac.
func newND(mac MAC, from netip.Addr, peer MAC, to netip.Addr, vlan uint16) (b, m []byte) {
	if !from.Is6() || from.Is4In6() || !to.Is6() || to.Is4In6() {
		return nil, nil
	}
	const n = 32
	b, at := newFrame(peer, mac, vlan, TypeIPv6, 40+n)
	putIPv6(b[at:], from, to, ProtoICMPv6, 255, n)
	m = b[at+40:]
	m[25] = optMACUnits
	mac.Put(m, 26)
	return b, m
}

// finishND writes the checksum of the message m, the last octets of the frame b.
func finishND(b, m []byte) []byte {
	at := len(b) - len(m)
	putICMPv6Sum(b, at-40, at, len(b))
	return b
}

// putIPv6 writes a fixed IPv6 header in front of n octets.
func putIPv6(b []byte, src, dst netip.Addr, next, hops uint8, n int) {
	b[0] = 6 << 4
	binary.BigEndian.PutUint16(b[4:], uint16(n))
	b[6], b[7] = next, hops
	s, d := src.As16(), dst.As16()
	copy(b[8:], s[:])
	copy(b[24:], d[:])
}

// groupMAC returns the MAC of an IP multicast group (RFC 1112, RFC 2464).
func groupMAC(group netip.Addr) MAC {
	if group.Is4() {
		a := group.As4()
		return 0x01005e000000 | MAC(binary.BigEndian.Uint32(a[:])&0x7fffff)
	}
	a := group.As16()
	return 0x333300000000 | MAC(binary.BigEndian.Uint32(a[12:]))
}
