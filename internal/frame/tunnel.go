// SPDX-License-Identifier: MIT

package frame

import "encoding/binary"

// The IP protocols of tunnels, besides UDP.
const (
	protoIPv4 = 4  // IPv4 in IP: RFC 2003, RFC 2473
	protoIPv6 = 41 // IPv6 in IP: RFC 4213, RFC 2473
	protoGRE  = 47 // RFC 2784, RFC 2890
)

// Bits of the first two octets of a GRE header.
const (
	greChecksum = 0x8000
	greRefused  = 0x4000 | 0x1000 | 0x0007 // routing, sequence numbers, a version other than 0
)

// maxInner is the longest inner IP header, extensions included.
const maxInner = 256

// Tunnelled reports whether the super-frame with the headers h is one of a tunnel, for example TCP in VXLAN. Linux
// describes only the inner packet in a virtio header (virtio_net_hdr_from_skb): the checksum to be finished is then not
// that of the transport header that Parse finds. GSO and GRO always leave the innermost checksum partial.
func (v Vnet) Tunnelled(h *Headers) bool {
	return v.GSO() != GSONone && v.Flags&NeedsCsum != 0 && h.L4 != 0 && int(v.CsumStart) > h.L4
}

// FindInner sets outer.Inner for a Tunnelled super-frame b. It returns false if Segment refuses it.
func FindInner(v Vnet, b []byte, outer *Headers) bool {
	var in Headers
	if !parseInner(v, b, outer, &in) || segmentable(v, &in) != nil {
		return false
	}
	outer.Inner = in.Payload
	return true
}

// parseInner reads the headers of the packet in a tunnel, whose transport header is at v.CsumStart, into in. The octets
// between the outer transport header and the inner IP header are equal in all segments and are not read: VXLAN, Geneve
// and their options, GRE's key, an inner Ethernet header with tags. The inner IP header is the nearest one that ends at
// the transport header and whose length matches the frame's.
func parseInner(v Vnet, b []byte, outer, in *Headers) bool {
	from := outer.L4
	switch outer.IPProto {
	case ProtoUDP:
		from = outer.Payload
	case protoGRE:
		if binary.BigEndian.Uint16(b[from:])&greRefused != 0 {
			return false
		}
		from += 4
	case protoIPv4, protoIPv6:
	default:
		return false
	}
	at := int(v.CsumStart)
	// The outer checksum sums 16-bit words from the outer transport header on.
	if outer.Fragment || at > len(b) || (at-outer.L4)%2 != 0 {
		return false
	}
	for l3 := at - 20; l3 >= max(from, at-maxInner); l3 -= 4 {
		*in = Headers{}
		end := 0
		switch b[l3] >> 4 {
		case 4:
			in.EtherType = TypeIPv4
			parseIPv4(b, l3, in)
			end = l3 + int(binary.BigEndian.Uint16(b[l3+2:]))
		case 6:
			in.EtherType = TypeIPv6
			parseIPv6(b, l3, in)
			end = l3 + 40 + int(binary.BigEndian.Uint16(b[l3+4:]))
		}
		if in.L4 == at && end == len(b) {
			return true
		}
	}
	return false
}

// Of struct virtio_net_hdr_v1_hash_tunnel, Linux 6.17.
const (
	tunnelCsum       = 0x08 // of Flags: the outer UDP header has a checksum
	gsoTunnel4 uint8 = 0x20 // of GSOType, by the outer IP header
	gsoTunnel6 uint8 = 0x40
	outerL4At        = 20
	innerL3At        = 22
)

// MarshalTunnel writes to b[:VnetLen] the header with which a TAP accepts the Tunnelled super-frame behind it whole.
// For tunnels other than UDP there is none: it changes nothing and returns false. Marshal undoes it.
func (v Vnet) MarshalTunnel(b []byte) bool {
	var h, in Headers
	f := b[VnetLen:]
	if !Parse(f, &h) || !v.Tunnelled(&h) || h.IPProto != ProtoUDP {
		return false
	}
	if !parseInner(v, f, &h, &in) || segmentable(v, &in) != nil {
		return false
	}
	v.GSOType &^= GSOTunnel
	if h.EtherType == TypeIPv4 {
		v.GSOType |= gsoTunnel4
	} else {
		v.GSOType |= gsoTunnel6
	}
	if f[h.L4+udpChecksum]|f[h.L4+udpChecksum+1] != 0 {
		v.Flags |= tunnelCsum
	}
	clear(b[:VnetLen])
	v.marshal(b)
	binary.LittleEndian.PutUint16(b[outerL4At:], uint16(h.L4))
	binary.LittleEndian.PutUint16(b[innerL3At:], uint16(in.L3))
	return true
}

// outerHeaders writes the outer headers of a tunnel's segments.
type outerHeaders struct {
	h      *Headers
	id     uint16 // of the first IPv4 packet
	csumAt int    // offset of the checksum of the UDP or GRE header, 0: it has none
}

func (w *outerHeaders) start(b []byte, h *Headers) {
	w.h = h
	if h.EtherType == TypeIPv4 {
		w.id = binary.BigEndian.Uint16(b[h.L3+4:])
	}
	switch h.IPProto {
	case ProtoUDP:
		if at := h.L4 + udpChecksum; b[at]|b[at+1] != 0 {
			w.csumAt = at
		}
	case protoGRE:
		if binary.BigEndian.Uint16(b[h.L4:])&greChecksum != 0 {
			w.csumAt = h.L4 + 4
		}
	}
}

// finishSegment writes the outer headers of the i-th segment. From the offset inner on it is finished, and sums to sum.
func (w *outerHeaders) finishSegment(seg []byte, i, inner int, sum uint16) {
	h := w.h
	putLength(seg, h, w.id+uint16(i))
	length := len(seg) - h.L4
	if h.IPProto == ProtoUDP {
		binary.BigEndian.PutUint16(seg[h.L4+4:], uint16(length))
	}
	if w.csumAt == 0 {
		return
	}
	seg[w.csumAt], seg[w.csumAt+1] = 0, 0
	all := Sum(uint64(sum), seg[h.L4:inner])
	if h.IPProto == ProtoUDP {
		all = addSum(all, PseudoSum(seg, h.L3, ProtoUDP, length))
	}
	binary.BigEndian.PutUint16(seg[w.csumAt:], mangle(^Fold(all)))
}
