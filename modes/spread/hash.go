// SPDX-License-Identifier: MIT

package spread

import (
	"encoding/binary"

	"nicteam/internal/frame"
)

// The constants of the mixing: the golden ratio's fraction for the words, and for the end the
// finalizer of MurmurHash3 (public domain), whose every output bit depends on every input bit.
const (
	hashStart = 0x6e69637465616d31
	hashWord  = 0x9e3779b97f4a7c15
	hashEnd1  = 0xff51afd7ed558ccd
	hashEnd2  = 0xc4ceb9fe1a85ec53
)

// mix adds a word to the state: for one state, different words give different states.
func mix(x, w uint64) uint64 {
	x = (x ^ w) * hashWord
	return x ^ x>>32
}

// finish spreads the state over all bits.
func finish(x uint64) uint64 {
	x = (x ^ x>>33) * hashEnd1
	x = (x ^ x>>33) * hashEnd2
	return x ^ x>>33
}

// Slot returns the entry of a SlotTable for a hash.
func Slot(hash uint64) int { return int(hash % SlotCount) }

// Hash says which frames are one flow.
type Hash struct {
	Policy HashPolicy // the fields that make a flow
	Salt   uint64     // the team's own
}

// Of returns the number of the flow that the frame b belongs to. h is what frame.Parse found
// in b. Frames of a flow in one direction have the same number; the two directions differ.
//
// Words by policy:
//
//	layer2       source MAC, destination MAC, ethertype
//	layer2+3     the same, IP addresses
//	layer3+4     IP addresses, protocol and ports; without IP as layer2
//	vlan+srcmac  outer VLAN id, source MAC
//
// Ports count for TCP, UDP, UDP-Lite, DCCP and SCTP. Fragments have no ports, not even the first, so that all of a
// datagram take one way. Other protocols, GRE and IPsec among them, hash by addresses, tunnels over UDP by the outer
// header.
//
// An ICMP error belongs to the flow that it quotes. This host sends it about a frame that it has received, so the
// quoted addresses and ports are swapped: the error takes the way of that flow's replies.
func (f Hash) Of(h *frame.Headers, b []byte) uint64 {
	x := f.Start()
	switch f.Policy {
	case Layer34:
		if h.L3 == 0 || h.EtherType == frame.TypeARP {
			return finish(mixLayer2(x, h))
		}
		return finish(mixIP(x, h, b, true))
	case Layer23:
		x = mixLayer2(x, h)
		if h.L3 != 0 && h.EtherType != frame.TypeARP {
			x = mixIP(x, h, b, false)
		}
		return finish(x)
	case VLANSrcMAC:
		return finish(mix(x, uint64(h.VLAN())<<48|uint64(h.Src)))
	default:
		return finish(mixLayer2(x, h))
	}
}

// Start returns the state that is the same for all frames.
func (f Hash) Start() uint64 { return mix(hashStart, f.Salt) }

func mixLayer2(x uint64, h *frame.Headers) uint64 {
	return mix(mix(x, uint64(h.Src)<<16|uint64(h.EtherType)), uint64(h.Dst))
}

// mixIP adds the addresses, and the ports if they are wanted and there.
func mixIP(x uint64, h *frame.Headers, b []byte, ports bool) uint64 {
	if isError(h, b) {
		var q frame.Headers
		if frame.ParseQuoted(b, h.L4+8, &q) {
			return mixQuoted(x, &q, b, ports)
		}
	}
	if h.EtherType == frame.TypeIPv4 {
		x = mix(x, binary.BigEndian.Uint64(b[h.L3+12:]))
	} else {
		for at := h.L3 + 8; at < h.L3+40; at += 8 {
			x = mix(x, binary.BigEndian.Uint64(b[at:]))
		}
	}
	if ports && hasPorts(h) {
		x = mix(x, uint64(binary.BigEndian.Uint32(b[h.L4:]))<<8|uint64(h.IPProto))
	}
	return x
}

// mixQuoted is mixIP for the opposite direction of what an ICMP error quotes.
func mixQuoted(x uint64, q *frame.Headers, b []byte, ports bool) uint64 {
	if q.EtherType == frame.TypeIPv4 {
		w := binary.BigEndian.Uint64(b[q.L3+12:])
		x = mix(x, w<<32|w>>32)
	} else {
		at := q.L3 + 8
		x = mix(x, binary.BigEndian.Uint64(b[at+16:]))
		x = mix(x, binary.BigEndian.Uint64(b[at+24:]))
		x = mix(x, binary.BigEndian.Uint64(b[at:]))
		x = mix(x, binary.BigEndian.Uint64(b[at+8:]))
	}
	if ports && hasPorts(q) {
		w := binary.BigEndian.Uint32(b[q.L4:])
		x = mix(x, uint64(w<<16|w>>16)<<8|uint64(q.IPProto))
	}
	return x
}

// hasPorts reports whether the transport header begins with two ports that every frame of the flow shows.
func hasPorts(h *frame.Headers) bool {
	if h.L4 == 0 || h.Fragment {
		return false
	}
	switch h.IPProto {
	case frame.ProtoTCP, frame.ProtoUDP, 33, 132, 136: // DCCP, SCTP, UDP-Lite
		return true
	}
	return false
}

// isError reports whether the frame is an ICMP or ICMPv6 error, which quotes a packet 8 octets
// after its own beginning.
func isError(h *frame.Headers, b []byte) bool {
	if h.L4 == 0 || h.Fragment {
		return false
	}
	switch {
	case h.IPProto == frame.ProtoICMP && h.EtherType == frame.TypeIPv4:
		switch b[h.L4] {
		case 3, 4, 5, 11, 12: // unreachable, source quench, redirect, time exceeded, parameter problem
			return true
		}
	case h.IPProto == frame.ProtoICMPv6 && h.EtherType == frame.TypeIPv6:
		return b[h.L4] < 128 && b[h.L4] != 0
	}
	return false
}
