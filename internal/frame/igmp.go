// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// Groups of one report, at an MTU of 1500 and 1280.
const (
	MaxIGMPGroups = (1500 - 24 - 8) / 8
	MaxMLDGroups  = (1280 - 40 - 8 - 8) / 20
)

// IGMPReports returns the reports with which a host joins groups in its version of IGMP: one a group for 1 and 2 (RFC
// 1112, RFC 2236), else as many of IGMPReport as are needed.
func IGMPReports(mac MAC, src netip.Addr, version int, groups []netip.Addr) (frames [][]byte) {
	kind := map[int]uint8{1: igmpReport1, 2: igmpReport2}[version]
	if kind == 0 {
		for part := range slices.Chunk(groups, MaxIGMPGroups) {
			if b := IGMPReport(mac, src, part); b != nil {
				frames = append(frames, b)
			}
		}
		return frames
	}
	for _, g := range reported(groups, netip.Addr.Is4, allHosts, len(groups)) {
		const n = 8
		b, at := newFrame(groupMAC(g), mac, 0, TypeIPv4, igmpHeader+n)
		putIGMPHeader(b[at:at+igmpHeader], src, g, n)
		m := b[at+igmpHeader : at+igmpHeader+n]
		m[0] = kind
		a := g.As4()
		copy(m[4:], a[:])
		binary.BigEndian.PutUint16(m[2:], Checksum(m))
		frames = append(frames, b)
	}
	return frames
}

// Types of IGMP messages.
const igmpReport1, igmpReport2, igmpReport3 = 0x12, 0x16, 0x22

// allHosts is never reported: all hosts are members.
var allHosts = netip.AddrFrom4([4]byte{224, 0, 0, 1})

// toExclude is CHANGE_TO_EXCLUDE_MODE (RFC 3376 clause 4.2.12), which joins a group for all sources.
const toExclude = 4

// IGMPReport returns an IGMPv3 membership report (RFC 3376 clause 4.2) that joins groups: one record a group that
// excludes no source, from src (which may be the zero Addr), to all IGMPv3 routers, with the router alert option. It
// omits 224.0.0.1, which is never reported, addresses that are not IPv4 groups, and groups beyond MaxIGMPGroups. It
// returns nil if no group is left.
func IGMPReport(mac MAC, src netip.Addr, groups []netip.Addr) []byte {
	groups = reported(groups, netip.Addr.Is4, allHosts, MaxIGMPGroups)
	if len(groups) == 0 {
		return nil
	}
	n := 8 + 8*len(groups)
	b, at := newFrame(groupMAC(allIGMPRouters), mac, 0, TypeIPv4, igmpHeader+n)
	putIGMPHeader(b[at:at+igmpHeader], src, allIGMPRouters, n)

	m := b[at+igmpHeader : at+igmpHeader+n]
	m[0] = igmpReport3
	binary.BigEndian.PutUint16(m[6:], uint16(len(groups)))
	for i, g := range groups {
		r := m[8+8*i:]
		r[0] = toExclude
		a := g.As4()
		copy(r[4:], a[:])
	}
	binary.BigEndian.PutUint16(m[2:], Checksum(m))
	return b
}

// igmpHeader is the length of an IPv4 header with the router alert option.
const igmpHeader = 24

// putIGMPHeader writes the IPv4 header of an IGMP message of n octets.
func putIGMPHeader(ip []byte, src, dst netip.Addr, n int) {
	ip[0] = 4<<4 | igmpHeader/4
	ip[1] = 0xc0 // internetwork control
	binary.BigEndian.PutUint16(ip[2:], uint16(igmpHeader+n))
	ip[6] = 0x40 // don't fragment
	ip[8], ip[9] = 1, ProtoIGMP
	if src = src.Unmap(); src.Is4() {
		a := src.As4()
		copy(ip[12:], a[:])
	}
	a := dst.As4()
	copy(ip[16:], a[:])
	ip[20], ip[21] = 0x94, 4 // router alert (RFC 2113)
	binary.BigEndian.PutUint16(ip[10:], Checksum(ip))
}

// reported returns the groups of one family that are reported, at most limit.
func reported(groups []netip.Addr, family func(netip.Addr) bool, never netip.Addr, limit int) []netip.Addr {
	out := make([]netip.Addr, 0, min(len(groups), limit))
	for _, g := range groups {
		g = g.Unmap().WithZone("")
		if family(g) && g.IsMulticast() && !g.IsInterfaceLocalMulticast() && g != never && len(out) < limit {
			out = append(out, g)
		}
	}
	return out
}
