// SPDX-License-Identifier: MIT

package frame

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	macs   = "020000000001" + "020000000002"
	ipv4To = "0a000001" + "0a000002"
	ipv6To = "fd000000000000000000000000000001" + "fd000000000000000000000000000002"
	tcp20  = "1388005000000000000000005010000000000000"
	udp8   = "1388003500080000"
)

func TestParse(t *testing.T) {
	eth := Headers{Dst: 0x020000000001, Src: 0x020000000002, Protocol: Other}
	with := func(f func(*Headers)) Headers { h := eth; f(&h); return h }
	for _, c := range []struct {
		name, in string
		want     Headers
	}{
		{"IPv4 TCP", macs + "0800" + "45000028000040004006" + "0000" + ipv4To + tcp20, with(func(h *Headers) {
			h.EtherType, h.L3, h.L4, h.Payload, h.IPProto, h.Protocol = TypeIPv4, 14, 34, 54, 6, TCP
		})},
		{"IPv4 options", macs + "0800" + "46000020000040004011" + "0000" + ipv4To + "01010101" + udp8,
			with(func(h *Headers) {
				h.EtherType, h.L3, h.L4, h.Payload, h.IPProto, h.Protocol = TypeIPv4, 14, 38, 46, 17, UDP
			})},
		{"first fragment", macs + "0800" + "4500001c000120004011" + "0000" + ipv4To + udp8, with(func(h *Headers) {
			h.EtherType, h.L3, h.L4, h.Payload, h.IPProto, h.Protocol, h.Fragment = TypeIPv4, 14, 34, 42, 17, UDP, true
		})},
		{"later fragment", macs + "0800" + "4500001c000100b94011" + "0000" + ipv4To + udp8, with(func(h *Headers) {
			h.EtherType, h.L3, h.IPProto, h.Protocol, h.Fragment = TypeIPv4, 14, 17, UDP, true
		})},
		{"cut TCP header", macs + "0800" + "45000027000040004006" + "0000" + ipv4To + tcp20[:38],
			with(func(h *Headers) {
				h.EtherType, h.L3, h.IPProto, h.Protocol = TypeIPv4, 14, 6, TCP
			})},
		{"TCP data offset beyond", macs + "0800" + "45000028000040004006" + "0000" + ipv4To +
			"1388005000000000000000006010000000000000", with(func(h *Headers) {
			h.EtherType, h.L3, h.L4, h.IPProto, h.Protocol = TypeIPv4, 14, 34, 6, TCP
		})},
		{"802.1Q", macs + "8100a064" + "0800" + "4500001c000040004001" + "0000" + ipv4To + "0800000000000000",
			with(func(h *Headers) {
				h.VLANs, h.TCI, h.EtherType, h.L3, h.L4, h.IPProto, h.Protocol = 1, 0xa064, TypeIPv4, 18, 38, 1, ICMP
			})},
		{"QinQ", macs + "88a80003" + "81000004" + "0806" + "0001080006040001020000000002" + "0a000001" +
			"000000000000" + "0a000002", with(func(h *Headers) {
			h.VLANs, h.TCI, h.EtherType, h.L3, h.Protocol = 2, 3, TypeARP, 22, ARP
		})},
		{"tag cut", macs + "8100" + "0003", with(func(h *Headers) { h.EtherType = TypeVLAN })},
		{"IPv6 UDP", macs + "86dd" + "6000000000081140" + ipv6To + udp8, with(func(h *Headers) {
			h.EtherType, h.L3, h.L4, h.Payload, h.IPProto, h.Protocol = TypeIPv6, 14, 54, 62, 17, UDP
		})},
		{"IPv6 hop-by-hop, destination options", macs + "86dd" + "6000000000000040" + ipv6To + "3c00010400000000" +
			"1101010c00000000" + "0000000000000000" + udp8, with(func(h *Headers) {
			h.EtherType, h.L3, h.L4, h.Payload, h.IPProto, h.Protocol = TypeIPv6, 14, 78, 86, 17, UDP
		})},
		{"IPv6 authentication", macs + "86dd" + "6000000000003340" + ipv6To + "1101000000000000" + "00000000" + udp8,
			with(func(h *Headers) {
				h.EtherType, h.L3, h.L4, h.Payload, h.IPProto, h.Protocol = TypeIPv6, 14, 66, 74, 17, UDP
			})},
		{"IPv6 first fragment", macs + "86dd" + "6000000000102c40" + ipv6To + "1100000100000001" + udp8,
			with(func(h *Headers) {
				h.EtherType, h.L3, h.L4, h.Payload, h.IPProto, h.Protocol, h.Fragment = TypeIPv6, 14, 62, 70,
					17, UDP, true
			})},
		{"IPv6 atomic fragment", macs + "86dd" + "6000000000102c40" + ipv6To + "1100000000000001" + udp8,
			with(func(h *Headers) {
				h.EtherType, h.L3, h.L4, h.Payload, h.IPProto, h.Protocol = TypeIPv6, 14, 62, 70, 17, UDP
			})},
		{"IPv6 later fragment", macs + "86dd" + "6000000000102c40" + ipv6To + "1100000900000001" + udp8,
			with(func(h *Headers) {
				h.EtherType, h.L3, h.IPProto, h.Protocol, h.Fragment = TypeIPv6, 14, 17, UDP, true
			})},
		{"neighbour solicitation", macs + "86dd" + "6000000000183aff" + ipv6To + "8700000000000000" +
			"fd000000000000000000000000000001", with(func(h *Headers) {
			h.EtherType, h.L3, h.L4, h.IPProto, h.Protocol = TypeIPv6, 14, 54, 58, ND
		})},
		{"ICMPv6 echo", macs + "86dd" + "6000000000083aff" + ipv6To + "8000000000000000", with(func(h *Headers) {
			h.EtherType, h.L3, h.L4, h.IPProto, h.Protocol = TypeIPv6, 14, 54, 58, ICMP
		})},
		{"IPv6 extension cut", macs + "86dd" + "6000000000000040" + ipv6To + "3c00", with(func(h *Headers) {
			h.EtherType, h.L3 = TypeIPv6, 14
		})},
		{"GRE", macs + "0800" + "45000018000040002f2f" + "0000" + ipv4To + "00000800", with(func(h *Headers) {
			h.EtherType, h.L3, h.L4, h.IPProto = TypeIPv4, 14, 34, 47
		})},
		{"wrong version", macs + "0800" + "65000028000040004006" + "0000" + ipv4To + tcp20,
			with(func(h *Headers) { h.EtherType = TypeIPv4 })},
		{"header length below 5", macs + "0800" + "44000028000040004006" + "0000" + ipv4To + tcp20,
			with(func(h *Headers) { h.EtherType = TypeIPv4 })},
		{"LACPDU", macs + "8809" + "0101", with(func(h *Headers) { h.EtherType, h.Protocol = TypeSlow, LACP })},
		{"marker", macs + "8809" + "0201", with(func(h *Headers) { h.EtherType, h.Protocol = TypeSlow, LACP })},
		{"OAM", macs + "8809" + "0301", with(func(h *Headers) { h.EtherType = TypeSlow })},
		{"ARP cut", macs + "0806" + "0001", with(func(h *Headers) { h.EtherType, h.Protocol = TypeARP, ARP })},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Headers{L3: 99, VLANs: 9, Fragment: true, Payload: 7} // what an earlier frame left
			if !Parse(unhex(t, c.in), &got) {
				t.Fatal("called a runt")
			}
			if d := cmp.Diff(c.want, got, cmpopts.IgnoreUnexported(Headers{})); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
	var h Headers
	if Parse(make([]byte, 13), &h) || Parse(nil, &h) {
		t.Error("a runt was parsed")
	}
}

// Endless tags and extension headers end the walk, not the program.
func TestParseDeepNesting(t *testing.T) {
	b := unhex(t, macs)
	for range 1000 {
		b = append(b, 0x81, 0, 0, 1)
	}
	var h Headers
	Parse(b, &h)
	if h.VLANs != maxTags || h.EtherType != TypeVLAN || h.L3 != 0 {
		t.Errorf("got %+v", h)
	}
	b = unhex(t, macs+"86dd"+"6000000000000040"+ipv6To)
	for range 1000 {
		b = append(b, 60, 0, 0, 0, 0, 0, 0, 0)
	}
	Parse(b, &h)
	if h.L3 != 14 || h.L4 != 0 || h.IPProto != 60 {
		t.Errorf("got %+v", h)
	}
}

func TestParseQuoted(t *testing.T) {
	b := unhex(t, "00000000"+"45000028000040004006"+"0000"+ipv4To+"1388005000000000")
	var h Headers
	if !ParseQuoted(b, 4, &h) || h.L3 != 4 || h.L4 != 24 || h.IPProto != 6 || h.EtherType != TypeIPv4 {
		t.Errorf("got %+v", h)
	}
	for _, at := range []int{-1, 0, 5, len(b), len(b) + 1} {
		if ParseQuoted(b, at, &h) {
			t.Errorf("at %d: parsed", at)
		}
	}
}

// FuzzParse: no input makes Parse panic or point out of the frame.
func FuzzParse(f *testing.F) {
	f.Add(unhex(f, macs+"88a80003"+"81000004"+"86dd"+"6000000000000040"+ipv6To+"3c00010400000000"+"2c01010c00000000"+
		"0000000000000000"+"1100000100000001"+udp8))
	f.Add(unhex(f, macs+"0800"+"46000020000040004006"+"0000"+ipv4To+"01010101"+tcp20))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Headers
		if Parse(b, &h) != (len(b) >= EtherLen) {
			t.Fatal("runt or not")
		}
		need := map[uint8]int{ProtoTCP: 20, ProtoUDP: 8, ProtoICMP: 8, ProtoICMPv6: 8}[h.IPProto]
		switch {
		case h.L3 != 0 && h.EtherType == TypeIPv4 && h.L3+20 > len(b),
			h.L3 != 0 && h.EtherType == TypeIPv6 && h.L3+40 > len(b),
			h.L3 != 0 && h.EtherType == TypeARP && h.L3+arpLen > len(b),
			h.L4 != 0 && h.L4+max(need, 4) > len(b),
			h.L4 != 0 && h.L4 <= h.L3,
			h.Payload > len(b),
			h.Payload != 0 && h.Payload <= h.L4:
			t.Fatalf("%d octets: %+v", len(b), h)
		}
		_ = h.Protocol.String()
		for at := range min(len(b), 64) {
			ParseQuoted(b, at, &h)
			if h.L4 != 0 && h.L4+4 > len(b) {
				t.Fatalf("quoted at %d of %d: %+v", at, len(b), h)
			}
		}
	})
}

func TestParseAllocatesNothing(t *testing.T) {
	b, _, _, _ := packet{src: netip.MustParseAddr("fd00::1"), dst: netip.MustParseAddr("fd00::2"), tags: []uint16{5},
		ext: 16, proto: ProtoTCP, payload: make([]byte, 100)}.build()
	var h Headers
	v := Vnet{GSOType: GSOTCPv6, GSOSize: 10}
	head := make([]byte, VnetLen)
	if n := testing.AllocsPerRun(100, func() {
		v.Marshal(head)
		v.Unmarshal(head)
		Parse(b, &h)
		WireCount(v, &h, len(b))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if h.L4 == 0 {
		t.Error("nothing was parsed")
	}
}

func BenchmarkParse(b *testing.B) {
	f, _, _, _ := packet{src: netip.MustParseAddr("10.0.0.1"), dst: netip.MustParseAddr("10.0.0.2"), proto: ProtoTCP,
		payload: make([]byte, 100)}.build()
	var h Headers
	for b.Loop() {
		Parse(f, &h)
	}
}
