// SPDX-License-Identifier: MIT

// Package frametest builds frames for tests.
package frametest

import (
	"encoding/binary"
	"net/netip"

	"nicteam/internal/frame"
)

// Adapter is the source MAC of the frames.
const Adapter frame.MAC = 0x020000000100

// IP describes an IP frame. Its octets are built without the parser and the codecs under test.
type IP struct {
	Src, Dst         string
	Proto            uint8
	SrcPort, DstPort uint16
	Frag             uint16 // IPv4: flags and fragment offset; IPv6: the same word of the fragment header
	TCI              uint16 // 0 untagged
	Body             []byte // replaces the transport header
	TTL              uint8
	DstMAC           frame.MAC
	Options          bool // IPv4 options, or an IPv6 hop-by-hop header
}

// Packet returns the IP packet.
func (p IP) Packet() []byte {
	src, dst := netip.MustParseAddr(p.Src), netip.MustParseAddr(p.Dst)
	t := p.Body
	if t == nil {
		t = make([]byte, 40)
		binary.BigEndian.PutUint16(t, p.SrcPort)
		binary.BigEndian.PutUint16(t[2:], p.DstPort)
		t[12] = 5 << 4
		t[13] = p.TTL // differs between frames of one flow
	}
	var b []byte
	if src.Is4() {
		b = make([]byte, 20)
		b[0], b[8], b[9] = 0x45, p.TTL, p.Proto
		binary.BigEndian.PutUint16(b[6:], p.Frag)
		copy(b[12:], src.AsSlice())
		copy(b[16:], dst.AsSlice())
		if p.Options {
			b[0] = 0x46
			b = append(b, 1, 1, 1, 1)
		}
	} else {
		b = make([]byte, 40)
		b[0], b[6], b[7] = 0x60, p.Proto, p.TTL
		copy(b[8:], src.AsSlice())
		copy(b[24:], dst.AsSlice())
		if p.Frag != 0 {
			b = append(b, p.Proto, 0, byte(p.Frag>>8), byte(p.Frag), 0, 0, 0, 1)
			b[6] = 44
		}
		if p.Options {
			b = append(b[:40:40], append([]byte{b[6], 0, 1, 4, 0, 0, 0, 0}, b[40:]...)...)
			b[6] = 0
		}
	}
	return append(b, t...)
}

// Frame returns the Ethernet frame that carries the packet, sent by Adapter.
func (p IP) Frame() []byte {
	b := make([]byte, 12)
	p.DstMAC.Put(b, 0)
	Adapter.Put(b, 6)
	if p.TCI != 0 {
		b = append(b, 0x81, 0, byte(p.TCI>>8), byte(p.TCI))
	}
	q := p.Packet()
	if q[0]>>4 == 4 {
		b = append(b, 8, 0)
	} else {
		b = append(b, 0x86, 0xdd)
	}
	return append(b, q...)
}
