// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
)

// EtherLen is the length of an Ethernet header without tags. A shorter frame is a runt.
const EtherLen = 14

// TagLen is the length of a VLAN tag.
const TagLen = 4

// EtherTypes.
const (
	TypeIPv4 = 0x0800
	TypeARP  = 0x0806
	TypeRARP = 0x8035
	TypeVLAN = 0x8100 // 802.1Q
	TypeIPv6 = 0x86dd
	TypeQinQ = 0x88a8 // 802.1ad
	TypeSlow = 0x8809 // slow protocols: LACP and markers
)

// IP protocols.
const (
	ProtoICMP   = 1
	ProtoIGMP   = 2
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
)

// IPv6 extension headers that Parse skips.
const (
	extHopByHop    = 0
	extRouting     = 43
	extFragment    = 44
	extAuth        = 51
	extDestination = 60
)

// maxTags and maxExtensions bound Parse, so that the eBPF programs can do the same within the verifier's limits.
// Headers behind more of them are not read.
const (
	maxTags       = 8
	maxExtensions = 8
)

// Headers is the result of Parse.
type Headers struct {
	Dst, Src  MAC
	VLANs     uint8  // tags in the frame
	TCI       uint16 // the outer tag's priority, DEI and VLAN id
	EtherType uint16 // after the tags

	// L3 is the offset of an ARP or IP header whose fixed part is complete, else 0.
	L3 int
	// L4 is the offset of the transport header. It is 0 in a fragment other than the first, and if the header has less
	// than 20 octets of TCP, 8 of UDP, ICMP and ICMPv6, or 4 of another protocol.
	L4 int
	// Payload is the offset of TCP's or UDP's payload, perhaps the frame's end. It is 0 if L4 is 0, for other
	// protocols, and if TCP's data offset is wrong.
	Payload int
	// Inner is Payload of the packet in a tunnel, if the frame is a super-frame of a tunnel: FindInner sets it, Parse
	// does not.
	Inner int

	IPProto  uint8 // after IPv6 extension headers
	Fragment bool  // one of several, the first included
	Protocol Protocol

	quoted bool // by an ICMP error: it may end after 4 octets of the transport header
}

// Parse reads the headers of the frame b into h and overwrites all of it. It returns false for a runt, whose Ethernet
// header is not complete. Malformed upper layers are no error: their offsets are 0.
func Parse(b []byte, h *Headers) bool {
	*h = Headers{Protocol: Other}
	if len(b) < EtherLen {
		return false
	}
	h.Dst, h.Src = MACAt(b, 0), MACAt(b, 6)
	h.EtherType = binary.BigEndian.Uint16(b[12:])
	off := EtherLen
	for h.EtherType == TypeVLAN || h.EtherType == TypeQinQ {
		if h.VLANs == maxTags || len(b) < off+TagLen {
			return true
		}
		if h.VLANs == 0 {
			h.TCI = binary.BigEndian.Uint16(b[off:])
		}
		h.VLANs++
		h.EtherType = binary.BigEndian.Uint16(b[off+2:])
		off += TagLen
	}
	switch h.EtherType {
	case TypeIPv4:
		parseIPv4(b, off, h)
	case TypeIPv6:
		parseIPv6(b, off, h)
	case TypeARP:
		h.Protocol = ARP
		if len(b) >= off+arpLen {
			h.L3 = off
		}
	case TypeSlow:
		// Subtype 1 is LACP and 2 its marker protocol; others (OAM) are not ours.
		if len(b) > off && (b[off] == 1 || b[off] == 2) {
			h.Protocol = LACP
		}
	}
	return true
}

// ParseQuoted reads the IP packet at b[at:] that an ICMP error quotes. It may be truncated, so L4 guarantees 4 octets
// only. Payload and Protocol stay empty. It returns false if the IP header is not complete.
func ParseQuoted(b []byte, at int, h *Headers) bool {
	*h = Headers{Protocol: Other, quoted: true}
	if at < 0 || at >= len(b) {
		return false
	}
	switch b[at] >> 4 {
	case 4:
		h.EtherType = TypeIPv4
		parseIPv4(b, at, h)
	case 6:
		h.EtherType = TypeIPv6
		parseIPv6(b, at, h)
	}
	return h.L3 != 0
}

// VLAN returns the outer VLAN id, 0 without a tag.
func (h *Headers) VLAN() uint16 { return h.TCI & 0xfff }

func parseIPv4(b []byte, off int, h *Headers) {
	if len(b) < off+20 || b[off]>>4 != 4 {
		return
	}
	ihl := int(b[off]&0xf) * 4
	if ihl < 20 || len(b) < off+ihl {
		return
	}
	h.L3 = off
	h.IPProto = b[off+9]
	frag := binary.BigEndian.Uint16(b[off+6:])
	h.Fragment = frag&0x3fff != 0 // MF, or an offset
	parseTransport(b, off+ihl, frag&0x1fff == 0, h)
}

func parseIPv6(b []byte, off int, h *Headers) {
	if len(b) < off+40 || b[off]>>4 != 6 {
		return
	}
	h.L3 = off
	next, at, first := b[off+6], off+40, true
	for range maxExtensions {
		var n int
		switch next {
		case extHopByHop, extRouting, extDestination:
			if len(b) < at+8 {
				h.IPProto = next
				return
			}
			n = int(b[at+1])*8 + 8
		case extAuth:
			if len(b) < at+8 {
				h.IPProto = next
				return
			}
			n = int(b[at+1])*4 + 8
		case extFragment:
			if len(b) < at+8 {
				h.IPProto = next
				return
			}
			frag := binary.BigEndian.Uint16(b[at+2:])
			// An atomic fragment (RFC 6946: offset 0, no more) is a whole datagram.
			h.Fragment = frag&0xfff9 != 0
			first = frag&0xfff8 == 0
			n = 8
		default:
			h.IPProto = next
			parseTransport(b, at, first, h)
			return
		}
		next = b[at]
		at += n
		if !first {
			// A later fragment has no further headers.
			h.IPProto = next
			parseTransport(b, at, false, h)
			return
		}
	}
	h.IPProto = next
}

// parseTransport reads the transport header at b[at:]; first: this fragment has it.
func parseTransport(b []byte, at int, first bool, h *Headers) {
	have := 0
	if first {
		have = len(b) - at
	}
	if h.quoted {
		if have >= 4 {
			h.L4 = at
		}
		return
	}
	switch h.IPProto {
	case ProtoTCP:
		h.Protocol = TCP
		if have < 20 {
			return
		}
		if n := int(b[at+12]>>4) * 4; n >= 20 && n <= have {
			h.Payload = at + n
		}
	case ProtoUDP:
		h.Protocol = UDP
		if have < 8 {
			return
		}
		h.Payload = at + 8
	case ProtoICMP:
		if h.EtherType == TypeIPv4 {
			h.Protocol = ICMP
		}
		if have < 8 {
			return
		}
	case ProtoICMPv6:
		if h.EtherType == TypeIPv6 {
			h.Protocol = ICMP
		}
		if have < 8 {
			return
		}
		// Router and neighbour solicitation and advertisement, and redirect.
		if t := b[at]; h.EtherType == TypeIPv6 && t >= 133 && t <= 137 {
			h.Protocol = ND
		}
	default:
		if have < 4 {
			return
		}
	}
	h.L4 = at
}

// Protocol is the class by which a frame is counted and shown.
type Protocol uint8

// The classes; their sum is the total.
const (
	TCP Protocol = iota
	UDP
	ICMP // ICMP and ICMPv6 except neighbour discovery
	ARP
	ND // IPv6 neighbour discovery, router discovery included
	LACP
	Other
	Protocols int = iota // number of classes
)

var protocolNames = [Protocols]string{"tcp", "udp", "icmp", "arp", "ipv6-nd", "lacp", "other"}

func (p Protocol) String() string { return protocolNames[p] }
