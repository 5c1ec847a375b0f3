// SPDX-License-Identifier: MIT

package sim

import (
	"encoding/binary"
	"net/netip"

	"nicteam/internal/frame"
)

// The simulated hosts build and parse frames with this independent codec, which checks the team's frames against a
// second implementation of the standards.

const (
	opRequest = 1
	opReply   = 2
	opRARP    = 3

	typeNS = 135
	typeNA = 136

	optSource = 1 // link-layer address of the sender
	optTarget = 2

	flagSolicited = 0x40
	flagOverride  = 0x20
)

// arp is an ARP packet for Ethernet and IPv4, with the MACs of its frame.
type arp struct {
	dst, src frame.MAC
	op       uint16
	sha, tha frame.MAC
	spa, tpa netip.Addr
}

func (a arp) bytes() []byte {
	b := make([]byte, 60)
	a.dst.Put(b, 0)
	a.src.Put(b, 6)
	binary.BigEndian.PutUint16(b[12:], frame.TypeARP)
	copy(b[14:], []byte{0, 1, 8, 0, 6, 4})
	binary.BigEndian.PutUint16(b[20:], a.op)
	a.sha.Put(b, 22)
	a.tha.Put(b, 32)
	copy(b[28:], a.spa.AsSlice())
	copy(b[38:], a.tpa.AsSlice())
	return b
}

func parseARP(p *Packet) (a arp, ok bool) {
	b := p.b
	if p.h.EtherType != frame.TypeARP || p.h.L3 == 0 {
		return a, false
	}
	at := p.h.L3
	a = arp{dst: p.h.Dst, src: p.h.Src, op: binary.BigEndian.Uint16(b[at+6:]), sha: frame.MACAt(b, at+8),
		tha: frame.MACAt(b, at+18)}
	a.spa, _ = netip.AddrFromSlice(b[at+14 : at+18])
	a.tpa, _ = netip.AddrFromSlice(b[at+24 : at+28])
	return a, true
}

// nd is a neighbour solicitation or advertisement, with the addresses of its packet.
type nd struct {
	dst, src     frame.MAC
	from, to     netip.Addr
	kind         uint8
	flags        uint8
	target       netip.Addr
	linkLayer    frame.MAC // of the option; 0: none
	wrongSum     bool
	wrongOptions bool
}

func (n nd) bytes() []byte {
	length := 24
	if n.linkLayer != 0 {
		length += 8
	}
	b := make([]byte, 14+40+length)
	n.dst.Put(b, 0)
	n.src.Put(b, 6)
	binary.BigEndian.PutUint16(b[12:], frame.TypeIPv6)
	ip := b[14:]
	ip[0] = 0x60
	binary.BigEndian.PutUint16(ip[4:], uint16(length))
	ip[6], ip[7] = frame.ProtoICMPv6, 255
	copy(ip[8:], n.from.AsSlice())
	copy(ip[24:], n.to.AsSlice())
	m := ip[40:]
	m[0], m[4] = n.kind, n.flags
	copy(m[8:], n.target.AsSlice())
	if n.linkLayer != 0 {
		m[24], m[25] = optSource, 1
		if n.kind == typeNA {
			m[24] = optTarget
		}
		n.linkLayer.Put(m, 26)
	}
	binary.BigEndian.PutUint16(m[2:], ^frame.Fold(frame.Sum(frame.PseudoSum(b, 14, frame.ProtoICMPv6, length), m)))
	return b
}

func parseND(p *Packet) (n nd, ok bool) {
	b := p.b
	if p.h.Protocol != frame.ND || p.h.L4 == 0 || len(b) < p.h.L4+24 {
		return n, false
	}
	m := b[p.h.L4:]
	n = nd{dst: p.h.Dst, src: p.h.Src, kind: m[0], flags: m[4]}
	if n.kind != typeNS && n.kind != typeNA {
		return n, false
	}
	n.from, _ = netip.AddrFromSlice(b[p.h.L3+8 : p.h.L3+24])
	n.to, _ = netip.AddrFromSlice(b[p.h.L3+24 : p.h.L3+40])
	n.target, _ = netip.AddrFromSlice(m[8:24])
	length := int(binary.BigEndian.Uint16(b[p.h.L3+4:])) - (p.h.L4 - p.h.L3 - 40)
	if length < 24 || len(m) < length {
		return n, false
	}
	m = m[:length]
	n.wrongSum = frame.Fold(frame.Sum(frame.PseudoSum(b, p.h.L3, frame.ProtoICMPv6, length), m)) != 0xffff
	for o := m[24:]; len(o) >= 8; {
		l := int(o[1]) * 8
		if l == 0 || l > len(o) {
			n.wrongOptions = true
			break
		}
		if o[0] == optSource && n.kind == typeNS || o[0] == optTarget && n.kind == typeNA {
			n.linkLayer = frame.MACAt(o, 2)
		}
		o = o[l:]
	}
	return n, true
}

var allNodes = netip.MustParseAddr("ff02::1")

// solicitedNode returns the solicited-node group of an address (RFC 4291 clause 2.7.1).
func solicitedNode(a netip.Addr) netip.Addr {
	b, g := a.As16(), netip.MustParseAddr("ff02::1:ff00:0").As16()
	copy(g[13:], b[13:])
	return netip.AddrFrom16(g)
}

// groupMAC is the MAC of an IPv6 group.
func groupMAC(a netip.Addr) frame.MAC {
	b := a.As16()
	return 0x3333_0000_0000 | frame.MAC(binary.BigEndian.Uint32(b[12:]))
}
