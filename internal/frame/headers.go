package frame

import (
	"encoding/binary"
)

// EtherLen is the length of an Ethernet header without tags; less is a runt.
const EtherLen = 14

// TagLen is the length of a VLAN tag.
const TagLen = 4

// The ethertypes that matter here.
const (
	TypeIPv4 = 0x0800
	TypeARP  = 0x0806
	TypeRARP = 0x8035
	TypeVLAN = 0x8100 // 802.1Q
	TypeIPv6 = 0x86dd
	TypeQinQ = 0x88a8 // 802.1ad
	TypeSlow = 0x8809 // slow protocols: LACP and markers
)

// The IP protocols that matter here.
const (
	ProtoICMP   = 1
	ProtoIGMP   = 2
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
)

// IPv6 extension headers that Parse walks over.
const (
	extHopByHop    = 0
	extRouting     = 43
	extFragment    = 44
	extAuth        = 51
	extDestination = 60
)

// maxTags and maxExtensions bound the walk, so that a program for the kernel's verifier can
// do the same one. What is nested deeper is left unread.
const (
	maxTags       = 8
	maxExtensions = 8
)

// Headers is what Parse found.
type Headers struct {
	Dst, Src  MAC
	VLANs     uint8  // tags in the frame
	TCI       uint16 // the outer tag's priority, DEI and VLAN id
	EtherType uint16 // after the tags

	// L3 is the offset of an ARP or IP header whose fixed part is wholly there, else 0.
	L3 int
	// L4 is the offset of the transport header. It is 0 in a fragment other than the first,
	// and when less is there than 20 octets of TCP, 8 of UDP, ICMP and ICMPv6, or 4 of anything else.
	L4 int
	// Payload is the offset of what a TCP or UDP header carries (it may be the frame's end),
	// 0 when L4 is 0, for other protocols, and when TCP's data offset is wrong.
	Payload int
	// Inner is what Payload is of the packet inside of a tunnel, where the frame is a super-frame of one: FindInner
	// sets it, Parse does not.
	Inner int

	IPProto  uint8 // after IPv6 extension headers
	Fragment bool  // one of several, the first included
	Protocol Protocol

	quoted bool // an ICMP error's quotation: it may end after 4 octets of transport header
}

// Parse reads the headers of the frame b into h, overwriting all of it. It returns false for
// a runt, that is, when not even the Ethernet header is there. Broken upper layers are not
// errors: their offsets are 0.
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

// ParseQuoted reads the IP packet that begins at b[at:] as an ICMP error quotes it: cut off
// somewhere, so L4 promises 4 octets only. Payload and Protocol stay empty. It returns false
// when there is no whole IP header.
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

// VLAN returns the outer VLAN id, 0 when there is no tag.
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
	h.Fragment = frag&0x3fff != 0 // more to come, or an offset
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
			// An "atomic" fragment (offset 0, no more) is a whole datagram.
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
			// What follows the fragment header is the middle of something.
			h.IPProto = next
			parseTransport(b, at, false, h)
			return
		}
	}
	h.IPProto = next
}

// parseTransport is given where the transport header would be, and whether this is the frame
// that has it.
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

// Protocol is the class under which a frame is counted and shown.
type Protocol uint8

// The classes; their sum is the total.
const (
	TCP Protocol = iota
	UDP
	ICMP // ICMP and ICMPv6 but for neighbour discovery
	ARP
	ND // IPv6 neighbour discovery, router discovery included
	LACP
	Other
	Protocols int = iota // how many there are
)

var protocolNames = [Protocols]string{"tcp", "udp", "icmp", "arp", "ipv6-nd", "lacp", "other"}

func (p Protocol) String() string { return protocolNames[p] }
