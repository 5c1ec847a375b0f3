package frame

import (
	"encoding/binary"
	"net/netip"
)

// MLDReport returns an MLDv2 report (RFC 3810 clause 5.2) that joins groups: one record a group that
// excludes no source, from src (a link-local address; the zero Addr stands for ::) to all
// MLDv2 routers with the router alert option. Groups that are never reported (ff02::1, those
// of interface-local scope) and those that are no IPv6 group are left out, as are more than
// MaxMLDGroups: pass them in portions. It returns nil when none is left.
func MLDReport(mac MAC, src netip.Addr, groups []netip.Addr) []byte {
	groups = reported(groups, netip.Addr.Is6, allNodes, MaxMLDGroups)
	if len(groups) == 0 {
		return nil
	}
	if !src.Is6() || src.Is4In6() {
		src = netip.IPv6Unspecified()
	}
	const hbh = 8 // hop-by-hop header with router alert
	n := 8 + 20*len(groups)
	b, at := newFrame(groupMAC(allMLDv2Routers), mac, 0, TypeIPv6, 40+hbh+n)
	putIPv6(b[at:], src, allMLDv2Routers, extHopByHop, 1, hbh+n)
	o := b[at+40:]
	o[0] = ProtoICMPv6
	o[2], o[3] = 5, 2 // router alert for MLD (RFC 2711)
	o[6] = 1          // PadN

	m := b[at+40+hbh : at+40+hbh+n]
	m[0] = icmp6MLDv2Report
	binary.BigEndian.PutUint16(m[6:], uint16(len(groups)))
	for i, g := range groups {
		r := m[8+20*i:]
		r[0] = toExclude
		a := g.As16()
		copy(r[4:], a[:])
	}
	binary.BigEndian.PutUint16(m[2:], mangle(^Fold(Sum(PseudoSum(b, at, ProtoICMPv6, n), m))))
	return b
}
