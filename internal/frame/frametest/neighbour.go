// SPDX-License-Identifier: MIT

package frametest

import (
	"encoding/binary"
	"net/netip"

	"nicteam/internal/frame"
)

// Operations of ARP (RFC 826) and message types of neighbour discovery (RFC 4861).
const (
	Request       = 1
	Reply         = 2
	Solicitation  = 135
	Advertisement = 136
)

// ARP returns an ARP frame. Its target hardware address is dst, or 0 where dst is a group.
func ARP(src frame.MAC, op byte, dst frame.MAC, from, to netip.Addr) []byte {
	b := make([]byte, 60)
	dst.Put(b, 0)
	src.Put(b, 6)
	copy(b[12:], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, op})
	src.Put(b, 22)
	copy(b[28:], from.AsSlice())
	if !dst.Multicast() {
		dst.Put(b, 32)
	}
	copy(b[38:], to.AsSlice())
	return b
}

// ND returns a neighbour discovery frame with a link-layer address option, without one where option is 0.
func ND(src, dst frame.MAC, kind byte, from, to, target netip.Addr, flags byte, option frame.MAC) []byte {
	m := make([]byte, 24)
	m[0], m[4] = kind, flags
	copy(m[8:], target.AsSlice())
	switch kind {
	case 133:
		m = m[:8]
	case 134:
		m = m[:16]
	}
	if option != 0 {
		o := make([]byte, 8)
		if o[0], o[1] = 1, 1; kind == Advertisement {
			o[0] = 2
		}
		option.Put(o, 2)
		m = append(m, o...)
	}
	b := make([]byte, 54, 54+len(m))
	dst.Put(b, 0)
	src.Put(b, 6)
	binary.BigEndian.PutUint16(b[12:], frame.TypeIPv6)
	b[14] = 6 << 4
	binary.BigEndian.PutUint16(b[18:], uint16(len(m)))
	b[20], b[21] = frame.ProtoICMPv6, 255
	copy(b[22:], from.AsSlice())
	copy(b[38:], to.AsSlice())
	b = append(b, m...)
	sum := frame.PseudoSum(b, 14, frame.ProtoICMPv6, len(m))
	binary.BigEndian.PutUint16(b[56:], ^frame.Fold(frame.Sum(sum, m)))
	return b
}
