// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// slowSum is RFC 1071 as one would write it on paper.
func slowSum(b []byte) uint16 {
	var sum uint32
	for i, o := range b {
		if i%2 == 0 {
			sum += uint32(o) << 8
		} else {
			sum += uint32(o)
		}
		for sum > 0xffff {
			sum = sum&0xffff + sum>>16
		}
	}
	return uint16(sum)
}

// slowPseudo returns the pseudo-header of RFC 9293 and RFC 8200.
func slowPseudo(src, dst netip.Addr, proto uint8, n int) []byte {
	b := append(src.AsSlice(), dst.AsSlice()...)
	if src.Is4() {
		b = append(b, 0, proto)
		return binary.BigEndian.AppendUint16(b, uint16(n))
	}
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	return append(b, 0, 0, 0, proto)
}

// packet is a plain description of a TCP or UDP frame, built without the code under test.
type packet struct {
	src, dst netip.Addr
	tags     []uint16 // TCIs, the outer one first
	proto    uint8
	options  int    // octets of TCP options
	ipOpts   int    // octets of IPv4 options
	ext      int    // octets of an IPv6 destination options header
	flags    uint8  // TCP
	id       uint16 // IPv4
	seq      uint32
	payload  []byte
	partial  bool // checksum left to the NIC
	noCsum   bool // UDP without a checksum
}

// ether returns the Ethernet header up to the ethertype.
func (p packet) ether() []byte {
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	for i, t := range p.tags {
		if i == 0 && len(p.tags) > 1 {
			b = append(b, 0x88, 0xa8)
		} else {
			b = append(b, 0x81, 0x00)
		}
		b = binary.BigEndian.AppendUint16(b, t)
	}
	return b
}

// build returns the frame and where its headers are.
func (p packet) build() (b []byte, l3, l4, payload int) {
	b = p.ether()
	t := make([]byte, 8)
	if p.proto == ProtoTCP {
		t = make([]byte, 20+p.options)
		for i := 20; i < len(t); i++ {
			t[i] = 1
		}
		binary.BigEndian.PutUint32(t[4:], p.seq)
		t[12] = byte(len(t) / 4 << 4)
		t[13] = p.flags
	}
	binary.BigEndian.PutUint16(t, 5000)
	binary.BigEndian.PutUint16(t[2:], 80)
	t = append(t, p.payload...)
	at := 16
	if p.proto == ProtoUDP {
		at = 6
		binary.BigEndian.PutUint16(t[4:], uint16(len(t)))
	}
	if !p.noCsum {
		pseudo := slowPseudo(p.src, p.dst, p.proto, len(t))
		if p.partial {
			binary.BigEndian.PutUint16(t[at:], slowSum(pseudo))
		} else {
			binary.BigEndian.PutUint16(t[at:], ^slowSum(append(pseudo, t...)))
		}
	}
	b, l3 = p.ip(b, p.proto, t)
	l4 = len(b) - len(t)
	return b, l3, l4, len(b) - len(p.payload)
}

// ip appends the ethertype and an IP packet that carries t.
func (p packet) ip(b []byte, proto uint8, t []byte) (_ []byte, l3 int) {
	if p.src.Is4() {
		b = append(b, 0x08, 0x00)
		l3 = len(b)
		ip := make([]byte, 20+p.ipOpts)
		for i := 20; i < len(ip); i++ {
			ip[i] = 1
		}
		ip[0] = 0x40 | byte(len(ip)/4)
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(t)))
		binary.BigEndian.PutUint16(ip[4:], p.id)
		ip[6] = 0x40
		ip[8], ip[9] = 64, proto
		copy(ip[12:], p.src.AsSlice())
		copy(ip[16:], p.dst.AsSlice())
		binary.BigEndian.PutUint16(ip[10:], ^slowSum(ip))
		b = append(b, ip...)
	} else {
		b = append(b, 0x86, 0xdd)
		l3 = len(b)
		ip := make([]byte, 40)
		ip[0], ip[6], ip[7] = 0x60, proto, 64
		binary.BigEndian.PutUint16(ip[4:], uint16(p.ext+len(t)))
		copy(ip[8:], p.src.AsSlice())
		copy(ip[24:], p.dst.AsSlice())
		if p.ext > 0 {
			ip[6] = 60
			e := make([]byte, p.ext)
			e[0], e[1] = proto, byte(p.ext/8-1)
			ip = append(ip, e...)
		}
		b = append(b, ip...)
	}
	return append(b, t...), l3
}

// verify fails the test unless all checksums and lengths of a TCP or UDP frame are right;
// it knows where the headers are and does not ask Parse.
func verify(t testing.TB, b []byte, l3, l4 int) {
	t.Helper()
	var src, dst netip.Addr
	proto := b[l3+9]
	n := len(b) - l4
	if b[l3]>>4 == 4 {
		if got := slowSum(b[l3:l4]); got != 0xffff {
			t.Errorf("IPv4 header sums to %#x, want 0xffff", got)
		}
		if got := int(binary.BigEndian.Uint16(b[l3+2:])); got != len(b)-l3 {
			t.Errorf("IPv4 total length %d, want %d", got, len(b)-l3)
		}
		src, _ = netip.AddrFromSlice(b[l3+12 : l3+16])
		dst, _ = netip.AddrFromSlice(b[l3+16 : l3+20])
	} else {
		if got := int(binary.BigEndian.Uint16(b[l3+4:])); got != len(b)-l3-40 {
			t.Errorf("IPv6 payload length %d, want %d", got, len(b)-l3-40)
		}
		proto = b[l3+6]
		if proto == 60 || proto == 0 {
			proto = b[l3+40]
		}
		src, _ = netip.AddrFromSlice(b[l3+8 : l3+24])
		dst, _ = netip.AddrFromSlice(b[l3+24 : l3+40])
	}
	if proto == ProtoUDP {
		if got := int(binary.BigEndian.Uint16(b[l4+4:])); got != n {
			t.Errorf("UDP length %d, want %d", got, n)
		}
		if b[l4+6]|b[l4+7] == 0 && src.Is4() {
			return
		}
	}
	if got := slowSum(append(slowPseudo(src, dst, proto, n), b[l4:]...)); got != 0xffff {
		t.Errorf("transport sums to %#x with its pseudo-header, want 0xffff", got)
	}
}
