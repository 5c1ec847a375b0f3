// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// MLDReports returns the reports with which a host joins groups in its version of MLD: one a group for 1 (RFC 2710),
// else as many of MLDReport as are needed.
func MLDReports(mac MAC, src netip.Addr, version int, groups []netip.Addr) (frames [][]byte) {
	if version != 1 {
		for part := range slices.Chunk(groups, MaxMLDGroups) {
			if b := MLDReport(mac, src, part); b != nil {
				frames = append(frames, b)
			}
		}
		return frames
	}
	for _, g := range reported(groups, netip.Addr.Is6, allNodes, len(groups)) {
		b, m := newMLD(mac, src, g, 24)
		m[0] = icmp6MLDReport
		a := g.As16()
		copy(m[8:], a[:])
		finishMLD(b, m)
		frames = append(frames, b)
	}
	return frames
}

// MLDReport returns an MLDv2 report (RFC 3810 clause 5.2) that joins groups: one record a group that excludes no
// source, from src (a link-local address; the zero Addr stands for ::), to all MLDv2 routers, with the router alert
// option. It omits ff02::1 and groups of interface-local scope, which are never reported, addresses that are not IPv6
// groups, and groups beyond MaxMLDGroups. It returns nil if no group is left.
func MLDReport(mac MAC, src netip.Addr, groups []netip.Addr) []byte {
	groups = reported(groups, netip.Addr.Is6, allNodes, MaxMLDGroups)
	if len(groups) == 0 {
		return nil
	}
	b, m := newMLD(mac, src, allMLDv2Routers, 8+20*len(groups))
	m[0] = icmp6MLDv2Report
	binary.BigEndian.PutUint16(m[6:], uint16(len(groups)))
	for i, g := range groups {
		r := m[8+20*i:]
		r[0] = toExclude
		a := g.As16()
		copy(r[4:], a[:])
	}
	finishMLD(b, m)
	return b
}

// newMLD returns an untagged frame with room for an MLD message of n octets, and that room.
func newMLD(mac MAC, src, dst netip.Addr, n int) (b, m []byte) {
	if !src.Is6() || src.Is4In6() {
		src = netip.IPv6Unspecified()
	}
	const hbh = 8 // hop-by-hop header with router alert
	b, at := newFrame(groupMAC(dst), mac, 0, TypeIPv6, 40+hbh+n)
	putIPv6(b[at:], src, dst, extHopByHop, 1, hbh+n)
	o := b[at+40:]
	o[0] = ProtoICMPv6
	o[2], o[3] = 5, 2 // router alert for MLD (RFC 2711)
	o[6] = 1          // PadN
	return b, b[at+40+hbh : at+40+hbh+n]
}

// finishMLD writes the checksum of the message m in b, which newMLD made.
func finishMLD(b, m []byte) {
	binary.BigEndian.PutUint16(m[2:], mangle(^Fold(Sum(PseudoSum(b, EtherLen, ProtoICMPv6, len(m)), m))))
}
