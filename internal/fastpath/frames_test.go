// SPDX-License-Identifier: MIT

package fastpath

import (
	"encoding/binary"
	"slices"
	"sync"

	"pgregory.net/rapid"

	"nicteam/internal/frame"
)

// stack builds a frame from the outside in: each part is given what is inside it.
type part func(inside []byte) []byte

func stack(inside []byte, parts ...part) []byte {
	for _, p := range slices.Backward(parts) {
		inside = p(inside)
	}
	return inside
}

func ether(dst, src frame.MAC, kind uint16) part {
	return func(in []byte) []byte {
		b := make([]byte, frame.EtherLen, frame.EtherLen+len(in))
		dst.Put(b, 0)
		src.Put(b, 6)
		binary.BigEndian.PutUint16(b[12:], kind)
		return append(b, in...)
	}
}

// tag is what follows a tag's ethertype: the TCI, and the next ethertype.
func tag(tci, next uint16) part {
	return func(in []byte) []byte {
		return append(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, tci), next), in...)
	}
}

// ipv4 has so many words of options; frag is flags and offset.
func ipv4(proto uint8, frag uint16, options int) part {
	return func(in []byte) []byte {
		b := make([]byte, 20+4*options)
		b[0] = 0x40 | uint8(5+options)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(in)))
		binary.BigEndian.PutUint16(b[6:], frag)
		b[8], b[9] = 64, proto
		copy(b[12:], []byte{10, 9, 0, 1, 10, 9, 0, 2})
		return append(b, in...)
	}
}

func ipv6(next uint8) part {
	return func(in []byte) []byte {
		b := make([]byte, 40)
		b[0], b[6], b[7] = 0x60, next, 64
		binary.BigEndian.PutUint16(b[4:], uint16(len(in)))
		copy(b[8:], []byte{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})
		copy(b[24:], []byte{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2})
		return append(b, in...)
	}
}

// extension is a header of so many units of 8 octets besides the first.
func extension(next, units uint8) part {
	return func(in []byte) []byte {
		b := make([]byte, 8+8*int(units))
		b[0], b[1] = next, units
		return append(b, in...)
	}
}

// auth is an authentication header, whose length counts in words.
func auth(next, words uint8) part {
	return func(in []byte) []byte {
		b := make([]byte, 8+4*int(words))
		b[0], b[1] = next, words
		return append(b, in...)
	}
}

// fragment is IPv6's; frag is offset and flags.
func fragment(next uint8, frag uint16) part {
	return func(in []byte) []byte {
		return append([]byte{next, 0, byte(frag >> 8), byte(frag), 0, 0, 0, 7}, in...)
	}
}

func tcp(sport, dport uint16, options int) part {
	return func(in []byte) []byte {
		b := make([]byte, 20+4*options)
		binary.BigEndian.PutUint16(b, sport)
		binary.BigEndian.PutUint16(b[2:], dport)
		b[12] = uint8(5+options) << 4
		return append(b, in...)
	}
}

func udp(sport, dport uint16) part {
	return func(in []byte) []byte {
		b := make([]byte, 8, 8+len(in))
		binary.BigEndian.PutUint16(b, sport)
		binary.BigEndian.PutUint16(b[2:], dport)
		binary.BigEndian.PutUint16(b[4:], uint16(8+len(in)))
		return append(b, in...)
	}
}

// typed is 8 octets of ICMP, ICMPv6 or IGMP, or of any transport whose first octets are these.
func typed(kind, code uint8) part {
	return func(in []byte) []byte { return append([]byte{kind, code, 1, 2, 3, 4, 5, 6}, in...) }
}

// vector is a frame that is interesting.
type vector struct {
	name string
	b    []byte
}

const (
	peerMAC  = frame.MAC(0x0200000000bb)
	groupMAC = frame.MAC(0x01005e000016)
)

// vectors are frames of every kind, from the adapter to a peer.
func vectors() []vector {
	text := []byte("what it carries, a bit more than an ICMP error has to quote of it")
	eth := func(kind uint16) part { return ether(peerMAC, adapterMAC, kind) }
	many := func(n int, kind uint16) []part {
		p := []part{eth(kind)}
		for i := range n {
			next := uint16(frame.TypeVLAN)
			if i == n-1 {
				next = frame.TypeIPv4
			}
			p = append(p, tag(uint16(0x6000+100+i), next))
		}
		return append(p, ipv4(frame.ProtoUDP, 0, 0), udp(1000, 53))
	}
	chain := func(n int) []part {
		p := []part{eth(frame.TypeIPv6), ipv6(60)}
		for i := range n {
			next := uint8(60)
			if i == n-1 {
				next = frame.ProtoTCP
			}
			p = append(p, extension(next, uint8(i%3)))
		}
		return append(p, tcp(1000, 80, 0))
	}
	v4 := func(proto uint8, parts ...part) []byte {
		return stack(text, append([]part{eth(frame.TypeIPv4), ipv4(proto, 0, 0)}, parts...)...)
	}
	v6 := func(proto uint8, parts ...part) []byte {
		return stack(text, append([]part{eth(frame.TypeIPv6), ipv6(proto)}, parts...)...)
	}
	quoted := stack(text, ipv4(frame.ProtoTCP, 0, 0), tcp(80, 4711, 0))
	quoted6 := stack(text, ipv6(frame.ProtoUDP), udp(53, 4711))
	all := []vector{
		{"TCP", v4(frame.ProtoTCP, tcp(1000, 80, 0))},
		{"TCP with options", v4(frame.ProtoTCP, tcp(1000, 80, 10))},
		{"TCP of a wrong length", v4(frame.ProtoTCP, typed(1, 2), typed(3, 0x40), typed(0x20, 0))},
		{"TCP without payload", stack(nil, eth(frame.TypeIPv4), ipv4(frame.ProtoTCP, 0, 0), tcp(1, 2, 0))},
		{"TCP behind IP options", stack(text, eth(frame.TypeIPv4), ipv4(frame.ProtoTCP, 0, 10), tcp(1, 2, 0))},
		{"UDP", v4(frame.ProtoUDP, udp(1000, 53))},
		{"DHCP answer", v4(frame.ProtoUDP, udp(67, 68))},
		{"DHCP question", v4(frame.ProtoUDP, udp(68, 67))},
		{"DHCP answer behind IP options", stack(text, eth(frame.TypeIPv4), ipv4(frame.ProtoUDP, 0, 10), udp(67, 68))},
		{"DHCP answer, later fragment", stack(text, eth(frame.TypeIPv4), ipv4(frame.ProtoUDP, 0x00b9, 0), udp(67, 68))},
		{"DHCP answer with a priority", stack(text, eth(frame.TypeVLAN), tag(0xe000, frame.TypeIPv4),
			ipv4(frame.ProtoUDP, 0, 0), udp(67, 68))},
		{"DHCP answer of a VLAN", stack(text, eth(frame.TypeVLAN), tag(7, frame.TypeIPv4), ipv4(frame.ProtoUDP, 0, 0),
			udp(67, 68))},
		{"DHCPv6 answer", v6(frame.ProtoUDP, udp(547, 546))},
		{"DHCPv6 answer behind an extension", stack(text, eth(frame.TypeIPv6), ipv6(60), extension(frame.ProtoUDP, 0),
			udp(547, 546))},
		{"EAPOL", stack(text, eth(0x888e))},
		{"EAPOL with a priority", stack(text, eth(frame.TypeVLAN), tag(0xe000, 0x888e))},
		{"EAPOL of a VLAN", stack(text, eth(frame.TypeVLAN), tag(7, 0x888e))},
		{"EAPOL behind two tags", stack(text, eth(frame.TypeVLAN), tag(0, frame.TypeVLAN), tag(0, 0x888e))},
		{"PTP", stack(text, eth(0x88f7))},
		{"UDP-Lite", v4(136, udp(1000, 53))},
		{"DCCP", v4(33, typed(4, 5))},
		{"SCTP", v4(132, typed(4, 5))},
		{"GRE", v4(47, typed(0, 0))},
		{"ESP", v4(50, typed(9, 9))},
		{"IGMP query", v4(frame.ProtoIGMP, typed(0x11, 0))},
		{"ICMP echo", v4(frame.ProtoICMP, typed(8, 0))},
		{"ICMPv6 in IPv4", v4(frame.ProtoICMPv6, typed(135, 0))},
		{"ICMP in IPv6", v6(frame.ProtoICMP, typed(3, 0))},
		{"first fragment", stack(text, eth(frame.TypeIPv4), ipv4(frame.ProtoUDP, 0x2000, 0), udp(1000, 53))},
		{"later fragment", stack(text, eth(frame.TypeIPv4), ipv4(frame.ProtoUDP, 0x00b9, 0))},
		{"do not fragment", stack(text, eth(frame.TypeIPv4), ipv4(frame.ProtoUDP, 0x4000, 0), udp(1000, 53))},
		{"IPv4 of a wrong version", stack(text, eth(frame.TypeIPv4), ipv6(frame.ProtoTCP), tcp(1, 2, 0))},
		{"IPv4 of a short header", slices.Concat(stack(nil, eth(frame.TypeIPv4)), []byte{0x44},
			v4(6, tcp(1, 2, 0))[15:])},
		{"TCP over IPv6", v6(frame.ProtoTCP, tcp(1000, 80, 0))},
		{"UDP over IPv6", v6(frame.ProtoUDP, udp(1000, 53))},
		{"neighbour solicitation", v6(frame.ProtoICMPv6, typed(135, 0))},
		{"neighbour advertisement", v6(frame.ProtoICMPv6, typed(136, 0))},
		{"router solicitation", v6(frame.ProtoICMPv6, typed(133, 0))},
		{"router advertisement", v6(frame.ProtoICMPv6, typed(134, 0))},
		{"redirect", v6(frame.ProtoICMPv6, typed(137, 0))},
		{"echo over IPv6", v6(frame.ProtoICMPv6, typed(128, 0))},
		{"solicitation behind extensions", v6(0, extension(60, 0), extension(frame.ProtoICMPv6, 1), typed(135, 0))},
		{"solicitation in an atomic fragment", v6(44, fragment(frame.ProtoICMPv6, 0), typed(135, 0))},
		{"solicitation in a first fragment", v6(44, fragment(frame.ProtoICMPv6, 1), typed(135, 0))},
		{"IPv6 first fragment", v6(44, fragment(frame.ProtoUDP, 1), udp(1000, 53))},
		{"IPv6 later fragment", v6(44, fragment(frame.ProtoUDP, 0x100), udp(1000, 53))},
		{"IPv6 last fragment of extensions", v6(44, fragment(60, 0x108), extension(frame.ProtoUDP, 0), udp(1, 2))},
		{"IPv6 atomic fragment", v6(44, fragment(frame.ProtoUDP, 0), udp(1000, 53))},
		{"IPv6 reserved bits of a fragment", v6(44, fragment(frame.ProtoUDP, 6), udp(1000, 53))},
		{"AH", v6(51, auth(frame.ProtoTCP, 4), tcp(1000, 80, 0))},
		{"AH longer than there is", v6(51, auth(frame.ProtoTCP, 4), tcp(1000, 80, 0))[:60]},
		{"routing header", v6(43, extension(frame.ProtoTCP, 2), tcp(1000, 80, 0))},
		{"no next header", v6(59)},
		{"extension beyond the end", slices.Concat(stack(nil, eth(frame.TypeIPv6), ipv6(0)),
			[]byte{6, 255, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4})},
		{"MLD report", v6(0, extension(frame.ProtoICMPv6, 0), typed(143, 0))},
		{"unreachable", v4(frame.ProtoICMP, typed(3, 1), bytesOf(quoted))},
		{"unreachable, quoting 8 octets", v4(frame.ProtoICMP, typed(3, 1))[:42+0]},
		{"time exceeded about IPv6", v6(frame.ProtoICMPv6, typed(3, 0), bytesOf(quoted6))},
		{"too big", v6(frame.ProtoICMPv6, typed(2, 0), bytesOf(quoted6))},
		{"error behind extensions", v6(60, extension(frame.ProtoICMPv6, 0), typed(1, 4), bytesOf(quoted6))},
		{"ICMPv6 type 0", v6(frame.ProtoICMPv6, typed(0, 0), bytesOf(quoted6))},
		{"error about IPv6 in IPv4", v4(frame.ProtoICMP, typed(3, 1), bytesOf(quoted6))},
		{"error about a fragment", v4(frame.ProtoICMP, typed(11, 1), ipv4(frame.ProtoUDP, 0x2000, 0), udp(7, 8))},
		{"error about a later fragment", v4(frame.ProtoICMP, typed(11, 1), ipv4(frame.ProtoUDP, 0x0010, 0))},
		{"error about an IPv6 fragment", v6(frame.ProtoICMPv6, typed(3, 1), ipv6(44), fragment(frame.ProtoUDP, 1),
			udp(7, 8))},
		{"error about extensions", v6(frame.ProtoICMPv6, typed(3, 1), ipv6(60), extension(frame.ProtoUDP, 0),
			udp(7, 8))},
		{"error about an error", v4(frame.ProtoICMP, typed(3, 1), ipv4(frame.ProtoICMP, 0, 0), typed(3, 1))},
		{"error about nothing", stack(nil, eth(frame.TypeIPv4), ipv4(frame.ProtoICMP, 0, 0), typed(3, 1))},
		{"ARP", stack(make([]byte, 28), eth(frame.TypeARP))},
		{"short ARP", stack(make([]byte, 27), eth(frame.TypeARP))},
		{"RARP", stack(make([]byte, 28), eth(frame.TypeRARP))},
		{"LACP", stack([]byte{1, 1, 1, 20}, ether(0x0180c2000002, adapterMAC, frame.TypeSlow))},
		{"marker", stack([]byte{2, 1}, ether(0x0180c2000002, adapterMAC, frame.TypeSlow))},
		{"OAM", stack([]byte{3, 1}, ether(0x0180c2000002, adapterMAC, frame.TypeSlow))},
		{"slow protocol without a subtype", stack(nil, ether(0x0180c2000002, adapterMAC, frame.TypeSlow))},
		{"802.3", stack([]byte{0x42, 0x42, 3, 0, 0}, eth(0x0026))},
		{"no payload", stack(nil, eth(0x88b5))},
		{"QinQ", stack(text, eth(frame.TypeQinQ), tag(0x3064, frame.TypeVLAN), tag(0x2065, frame.TypeIPv4),
			ipv4(6, 0, 0), tcp(1, 2, 0))},
		{"tagged ARP", stack(make([]byte, 28), eth(frame.TypeVLAN), tag(7, frame.TypeARP))},
		{"tag cut short", stack([]byte{0, 1, 8}, eth(frame.TypeVLAN))},
		{"priority tag", stack(text, eth(frame.TypeVLAN), tag(0xe000, frame.TypeIPv6), ipv6(17), udp(1, 2))},
	}
	for _, n := range []int{1, 2, 7, 8, 9, 10} {
		all = append(all, vector{"tags", stack(text, many(n, frame.TypeVLAN)...)},
			vector{"extensions", stack(text, chain(n)...)})
	}
	for _, kind := range []uint8{0x12, 0x16, 0x17, 0x22, 0x11} {
		all = append(all, vector{"IGMP", stack(text, ether(groupMAC, adapterMAC, frame.TypeIPv4),
			ipv4(frame.ProtoIGMP, 0, 1), typed(kind, 0))})
	}
	for _, kind := range []uint8{130, 131, 132, 143} {
		all = append(all, vector{"MLD", stack(text, ether(0x333300000016, adapterMAC, frame.TypeIPv6), ipv6(0),
			extension(58, 0), typed(kind, 0))})
	}
	return all
}

func bytesOf(b []byte) part { return func([]byte) []byte { return b } }

// drawTagged puts a tag into a frame, or none.
func drawTagged(t *rapid.T, f []byte) []byte {
	switch rapid.IntRange(0, 5).Draw(t, "tag") {
	case 0:
		return slices.Concat(f[:12], []byte{0x81, 0, 0x60, 7}, f[12:])
	case 1:
		return slices.Concat(f[:12], []byte{0x88, 0xa8, 0, 7}, f[12:])
	}
	return f
}

// ordinaryVectors are those of vectors that the programs read directly.
var ordinaryVectors = sync.OnceValue(func() (all []vector) {
	for _, v := range vectors() {
		if f, ok := goFinds(v.b, 0, 0); ok && isOrdinary(&f, max(len(v.b), least), false) {
			all = append(all, v)
		}
	}
	return all
})

// drawFrame is a frame as anybody might send it, broken now and then. Every other one is ordinary before that.
func drawFrame(t *rapid.T, dst, src []frame.MAC) []byte {
	all := ordinaryVectors()
	if rapid.Bool().Draw(t, "any") {
		all = vectors()
	}
	b := slices.Clone(rapid.SampledFrom(all).Draw(t, "like").b)
	rapid.SampledFrom(dst).Draw(t, "dst").Put(b, 0)
	rapid.SampledFrom(src).Draw(t, "src").Put(b, 6)
	for range rapid.SampledFrom([]int{0, 0, 1, 2, 8}).Draw(t, "changes") {
		b[rapid.IntRange(12, len(b)-1).Draw(t, "at")] = rapid.OneOf(rapid.SampledFrom([]byte{0, 1, 6, 17, 43,
			44, 51, 58, 60, 0x45, 0x60, 0x81, 0xff}), rapid.Byte()).Draw(t, "octet")
	}
	if rapid.IntRange(0, 3).Draw(t, "cut") == 0 {
		b = b[:rapid.IntRange(frame.EtherLen, len(b)).Draw(t, "length")]
	}
	return b
}
