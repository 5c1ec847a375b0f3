// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
	"net/netip"
)

// NeighbourOp is the kind of a Neighbour message.
type NeighbourOp uint8

// The operations of ARP (RFC 826) and the messages of neighbour discovery (RFC 4861).
const (
	ARPRequest NeighbourOp = iota + 1
	ARPReply
	RouterSolicitation
	RouterAdvertisement
	NeighbourSolicitation
	NeighbourAdvertisement
	Redirect
)

// Neighbour is the content of an ARP packet or of a neighbour discovery message.
type Neighbour struct {
	Op       NeighbourOp
	Dst, Src MAC    // of the frame
	VLAN     uint16 // of the outer tag, 0 none

	// Plain: the frame has no tag, or one of 802.1Q, so that VLAN describes it completely.
	Plain bool

	// Sender is ARP's sender hardware address, or the source link-layer address option; Target is ARP's target
	// hardware address, or the target link-layer address option. 0 none.
	Sender, Target MAC

	// From and To are ARP's sender and target protocol addresses, or the IPv6 source and destination.
	From, To netip.Addr

	// About is the target of a solicitation, advertisement or redirect; for ARP it is To.
	About netip.Addr

	Router, Solicited, Override bool // the flags of a neighbour advertisement

	at, end int // of the ARP packet, or of the ICMPv6 message
	l3      int
}

// Options of neighbour discovery (RFC 4861 clause 4.6), and the length of one with an Ethernet address.
const (
	optSource   = 1
	optTarget   = 2
	optMACUnits = 1 // of 8 octets
)

// icmp6RouterSolicitation is the first of neighbour discovery's five types.
const icmp6RouterSolicitation = 133

// ndFixed are the lengths of the messages without options, from RouterSolicitation on.
var ndFixed = [...]int{8, 16, 24, 24, 40}

// ParseNeighbour reads the frame b into n and overwrites all of it. It returns false unless b is ARP for Ethernet and
// IPv4, or a neighbour discovery message that hosts accept: complete, with hop limit 255 and valid options. It does not
// verify checksums.
func ParseNeighbour(b []byte, n *Neighbour) bool {
	*n = Neighbour{}
	var h Headers
	if !Parse(b, &h) || h.L3 == 0 {
		return false
	}
	n.Dst, n.Src, n.VLAN, n.l3 = h.Dst, h.Src, h.VLAN(), h.L3
	n.Plain = h.VLANs == 0 || h.VLANs == 1 && binary.BigEndian.Uint16(b[12:]) == TypeVLAN
	switch {
	case h.Protocol == ARP:
		return n.parseARP(b)
	case h.Protocol == ND && !h.Fragment:
		n.at = h.L4
		return n.parseND(b)
	}
	return false
}

func (n *Neighbour) parseARP(b []byte) bool {
	p := b[n.l3 : n.l3+arpLen]
	if binary.BigEndian.Uint16(p) != 1 || binary.BigEndian.Uint16(p[2:]) != TypeIPv4 || p[4] != 6 || p[5] != 4 {
		return false
	}
	switch binary.BigEndian.Uint16(p[6:]) {
	case arpRequest:
		n.Op = ARPRequest
	case arpReply:
		n.Op = ARPReply
	default:
		return false
	}
	n.at, n.end = n.l3, n.l3+arpLen
	n.Sender, n.Target = MACAt(p, arpSender), MACAt(p, arpTarget)
	n.From = netip.AddrFrom4([4]byte(p[14:18]))
	n.To = netip.AddrFrom4([4]byte(p[24:28]))
	n.About = n.To
	return true
}

func (n *Neighbour) parseND(b []byte) bool {
	n.end = n.l3 + 40 + int(binary.BigEndian.Uint16(b[n.l3+4:]))
	if b[n.l3+7] != 255 || n.end > len(b) || n.end < n.at+8 {
		return false
	}
	m := b[n.at:n.end]
	kind := int(m[0]) - icmp6RouterSolicitation
	if m[1] != 0 || len(m) < ndFixed[kind] {
		return false
	}
	n.Op = RouterSolicitation + NeighbourOp(kind)
	n.From = netip.AddrFrom16([16]byte(b[n.l3+8 : n.l3+24]))
	n.To = netip.AddrFrom16([16]byte(b[n.l3+24 : n.l3+40]))
	switch n.Op {
	case NeighbourAdvertisement:
		n.Router, n.Solicited, n.Override = m[4]&naRouter != 0, m[4]&naSolicited != 0, m[4]&naOverride != 0
		fallthrough
	case NeighbourSolicitation, Redirect:
		n.About = netip.AddrFrom16([16]byte(m[8:24]))
	}
	for o := m[ndFixed[kind]:]; len(o) > 0; {
		size := option(o)
		if size == 0 {
			return false
		}
		switch {
		case o[1] != optMACUnits:
		case o[0] == optSource:
			n.Sender = MACAt(o, 2)
		case o[0] == optTarget:
			n.Target = MACAt(o, 2)
		}
		o = o[size:]
	}
	return true
}

// option returns the length in octets of the first option of o, 0 if it is not valid.
func option(o []byte) int {
	if len(o) < 8 || o[1] == 0 || int(o[1])*8 > len(o) {
		return 0
	}
	return int(o[1]) * 8
}

// Readdress replaces the address from by to wherever the frame b has it: as its source, in ARP's hardware addresses,
// and in the options of neighbour discovery, whose checksum it updates. b is the frame that n was parsed from; n does
// not change.
func (n *Neighbour) Readdress(b []byte, from, to MAC) {
	if MACAt(b, 6) == from {
		to.Put(b, 6)
	}
	if n.Op <= ARPReply {
		for _, at := range [...]int{arpSender, arpTarget} {
			if MACAt(b, n.at+at) == from {
				to.Put(b, n.at+at)
			}
		}
		return
	}
	m := b[n.at:n.end]
	changed := false
	for o := m[ndFixed[n.Op-RouterSolicitation]:]; option(o) > 0; o = o[option(o):] {
		if (o[0] == optSource || o[0] == optTarget) && o[1] == optMACUnits && MACAt(o, 2) == from {
			to.Put(o, 2)
			changed = true
		}
	}
	if changed {
		putICMPv6Sum(b, n.l3, n.at, n.end)
	}
}

// putICMPv6Sum writes the checksum of the message at b[at:end] in the IPv6 packet at b[l3:].
func putICMPv6Sum(b []byte, l3, at, end int) {
	m := b[at:end]
	m[2], m[3] = 0, 0
	binary.BigEndian.PutUint16(m[2:], mangle(^Fold(Sum(PseudoSum(b, l3, ProtoICMPv6, len(m)), m))))
}
