// SPDX-License-Identifier: MIT

package nic

import (
	"encoding/binary"

	"nicteam/internal/frame"
)

// NormalizeVnet makes the virtio header v of b ([header][frame], h its headers) one that packet sockets and TAPs
// accept. It returns false for what neither carries: fragmentation offload, tunnels, a super-frame of another protocol
// than the header says.
//
// hdr_len tells the kernel how much to allocate in one piece. Linux itself sometimes gives the whole linear part, which
// costs an allocation of 64 KiB, or nothing.
func NormalizeVnet(b []byte, v *frame.Vnet, h *frame.Headers) bool {
	if v.GSOType&frame.GSOTunnel != 0 || v.Tunnelled(h) {
		return false
	}
	switch v.GSO() {
	case frame.GSONone:
	case frame.GSOTCPv4:
		if h.EtherType != frame.TypeIPv4 || h.IPProto != frame.ProtoTCP || h.Payload == 0 || v.GSOSize == 0 {
			return false
		}
	case frame.GSOTCPv6:
		if h.EtherType != frame.TypeIPv6 || h.IPProto != frame.ProtoTCP || h.Payload == 0 || v.GSOSize == 0 {
			return false
		}
	case frame.GSOUDPL4:
		if h.IPProto != frame.ProtoUDP || h.Payload == 0 || v.GSOSize == 0 {
			return false
		}
	default:
		return false
	}
	if n := len(b) - frame.VnetLen; v.Flags&frame.NeedsCsum != 0 && int(v.CsumStart)+int(v.CsumOffset)+2 > n {
		return false
	}
	if want := uint16(h.Payload); v.HdrLen != want {
		v.HdrLen = want
		binary.LittleEndian.PutUint16(b[frame.VnetRoom+2:], want)
	}
	return true
}
