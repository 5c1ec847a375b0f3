package frame

import (
	"encoding/binary"
	"net/netip"
)

// Types of ICMPv6 messages that are built here.
const (
	icmp6NeighborAdvertisement = 136
	icmp6MLDv2Report           = 143
)

// Flags of a neighbour advertisement.
const (
	naRouter   = 0x80
	naOverride = 0x20
)

var (
	allNodes        = netip.MustParseAddr("ff02::1")
	allMLDv2Routers = netip.MustParseAddr("ff02::16")
	allIGMPRouters  = netip.MustParseAddr("224.0.0.22")
)

// UnsolicitedNA returns the neighbour advertisement (RFC 4861 clause 7.2.6) that tells all
// nodes that ip is at mac, whatever they have cached. router is whether this host forwards
// IPv6. vlan 0 is untagged. It returns nil unless ip is an IPv6 address.
func UnsolicitedNA(mac MAC, ip netip.Addr, router bool, vlan uint16) []byte {
	if !ip.Is6() || ip.Is4In6() {
		return nil
	}
	const n = 32 // message with one option
	b, at := newFrame(groupMAC(allNodes), mac, vlan, TypeIPv6, 40+n)
	putIPv6(b[at:], ip, allNodes, ProtoICMPv6, 255, n)
	m := b[at+40:]
	m[0] = icmp6NeighborAdvertisement
	m[4] = naOverride
	if router {
		m[4] |= naRouter
	}
	a := ip.As16()
	copy(m[8:], a[:])
	m[24], m[25] = 2, 1 // target link-layer address, one unit of 8 octets
	mac.Put(m, 26)
	binary.BigEndian.PutUint16(m[2:], mangle(^Fold(Sum(PseudoSum(b, at, ProtoICMPv6, n), m[:n]))))
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

// groupMAC returns the MAC that an IP multicast group has on Ethernet (RFC 1112, RFC 2464).
func groupMAC(group netip.Addr) MAC {
	if group.Is4() {
		a := group.As4()
		return 0x01005e000000 | MAC(binary.BigEndian.Uint32(a[:])&0x7fffff)
	}
	a := group.As16()
	return 0x333300000000 | MAC(binary.BigEndian.Uint32(a[12:]))
}
