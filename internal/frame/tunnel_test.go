// SPDX-License-Identifier: MIT

package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// tunnel is a plain description of a packet inside of another, built without the code under test.
type tunnel struct {
	kind  string // of tunnelKinds
	outer packet // its proto and payload follow from kind and inner
	inner packet
}

// tunnelKinds: by UDP, with a frame inside, or by GRE or IP itself.
var tunnelKinds = []string{"vxlan", "geneve", "gre", "gre key", "gre checksum", "gretap", "ip"}

func (k tunnel) byUDP() bool { return k.kind == "vxlan" || k.kind == "geneve" }

// build returns the frame; a super-frame has its outer checksum as the kernel's have it, which is the pseudo-header's
// sum in UDP and whatever it was in GRE.
func (k tunnel) build(super bool) (b []byte, outerL4, innerL3, innerL4, payload int) {
	frame, l3, l4, at := k.inner.build()
	is4 := k.inner.src.Is4()
	body, proto := frame[l3:], uint8(protoGRE)
	gre := binary.BigEndian.AppendUint16(nil, map[bool]uint16{true: TypeIPv4, false: TypeIPv6}[is4])
	switch k.kind {
	case "vxlan":
		body, proto = append([]byte{8, 0, 0, 0, 0, 0, 7, 0}, frame...), ProtoUDP
	case "geneve":
		body, proto = append([]byte{2, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 1, 0xff, 0xfe, 0xfd, 0xfc}, frame...),
			ProtoUDP
	case "gre":
		body = slices.Concat([]byte{0, 0}, gre, body)
	case "gre key":
		body = slices.Concat([]byte{0x20, 0}, gre, []byte{0xde, 0xad, 0xbe, 0xef}, body)
	case "gre checksum":
		body = slices.Concat([]byte{0x80, 0}, gre, []byte{0, 0, 0, 0}, body)
		sum := ^slowSum(body)
		if super {
			sum = 0x1234
		}
		binary.BigEndian.PutUint16(body[4:], sum)
	case "gretap":
		body = slices.Concat([]byte{0, 0, 0x65, 0x58}, frame)
	case "ip":
		proto = protoIPv6
		if is4 {
			proto = protoIPv4
		}
	}
	if k.byUDP() {
		p := k.outer
		p.proto, p.payload, p.partial = ProtoUDP, body, super
		b, _, outerL4, _ = p.build()
	} else {
		b, _ = k.outer.ip(k.outer.ether(), proto, body)
		outerL4 = len(b) - len(body)
	}
	shift := len(b) - len(frame)
	return b, outerL4, l3 + shift, l4 + shift, at + shift
}

// segments is what the super-frame is on the wire: each packet built for itself.
func (k tunnel) segments(size int) [][]byte {
	var all [][]byte
	whole := k.inner
	for done := 0; done < len(whole.payload); done += size {
		s := k
		s.outer.id += uint16(len(all))
		s.inner.id += uint16(len(all))
		s.inner.seq += uint32(done)
		s.inner.partial = false
		end := min(done+size, len(whole.payload))
		s.inner.payload = whole.payload[done:end]
		if end < len(whole.payload) {
			s.inner.flags &^= 0x09
		}
		if done > 0 {
			s.inner.flags &^= 0x80
		}
		b, _, _, _, _ := s.build(false)
		all = append(all, b)
	}
	return all
}

// header is the virtio header of the super-frame as a packet socket gives it.
func (k tunnel) header(size int) Vnet {
	_, _, _, l4, at := k.build(true)
	v := Vnet{Flags: NeedsCsum, GSOType: GSOTCPv4, HdrLen: uint16(at), GSOSize: uint16(size),
		CsumStart: uint16(l4), CsumOffset: 16}
	switch {
	case k.inner.proto == ProtoUDP:
		v.GSOType, v.CsumOffset = GSOUDPL4, 6
	case !k.inner.src.Is4():
		v.GSOType = GSOTCPv6
	}
	return v
}

func drawTunnel(t *rapid.T) (tunnel, Vnet) {
	k := tunnel{kind: rapid.SampledFrom(tunnelKinds).Draw(t, "kind")}
	k.inner, _, _ = drawSuper(t)
	k.inner.partial, k.inner.noCsum = true, false
	k.outer = packet{src: netip.MustParseAddr("192.0.2.1"), dst: netip.MustParseAddr("192.0.2.2"),
		tags: rapid.SliceOfN(rapid.Uint16(), 0, 2).Draw(t, "outer tags"), id: rapid.Uint16().Draw(t, "outer id"),
		ipOpts: rapid.IntRange(0, 2).Draw(t, "outer IP options") * 4, noCsum: rapid.Bool().Draw(t, "no outer checksum")}
	if rapid.Bool().Draw(t, "outer v6") {
		k.outer.src, k.outer.dst = netip.MustParseAddr("fd01::1"), netip.MustParseAddr("fd02::2")
		k.outer.ipOpts, k.outer.ext = 0, rapid.IntRange(0, 2).Draw(t, "outer ext")*8
	}
	v := k.header(max(rapid.IntRange(1, 1600).Draw(t, "size of tunnel's"), len(k.inner.payload)/100))
	return k, v
}

// canonical has the two forms of a zero checksum be one: the kernel writes ones, the reference what comes out.
func canonical(k tunnel, b []byte) []byte {
	b = bytes.Clone(b)
	_, outer, _, inner, _ := k.build(true)
	at := []int{inner + 16}
	if k.inner.proto == ProtoUDP {
		at[0] = inner + 6
	}
	switch {
	case k.kind == "gre checksum":
		at = append(at, outer+4)
	case k.byUDP() && !k.outer.noCsum:
		at = append(at, outer+6)
	}
	for _, i := range at {
		if b[i]|b[i+1] == 0 {
			b[i], b[i+1] = 0xff, 0xff
		}
	}
	return b
}

func checkSegments(t *rapid.T, k tunnel, got, want [][]byte) {
	if len(got) != len(want) {
		t.Fatalf("%d segments, want %d", len(got), len(want))
	}
	for i := range want {
		if g, w := canonical(k, got[i]), canonical(k, want[i]); !bytes.Equal(g, w) {
			t.Fatalf("segment %d of %d:\n%x, want\n%x", i, len(want), g, w)
		}
	}
}

// What a tunnel's super-frame is cut into is what its sender would have sent without any offload.
func TestTunnelSegmentsAreTheSuperFrame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, v := drawTunnel(t)
		b, _, _, _, at := k.build(true)
		keep := bytes.Clone(b)
		var h Headers
		if !Parse(b, &h) || !v.Tunnelled(&h) || !FindInner(v, b, &h) {
			t.Fatalf("%s is not taken for a tunnel's super-frame", k.kind)
		}
		if h.Inner != at {
			t.Errorf("inner payload at %d, want %d", h.Inner, at)
		}
		var got [][]byte
		if err := Segment(v, b, func(s []byte) bool { got = append(got, bytes.Clone(s)); return true }); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, keep) {
			t.Error("the super-frame was changed")
		}
		want := k.segments(int(v.GSOSize))
		checkSegments(t, k, got, want)
		frames, octets := WireCount(v, &h, len(b))
		if n := len(slices.Concat(want...)); frames != len(want) || octets != n {
			t.Errorf("WireCount says %d frames with %d octets, want %d with %d", frames, octets, len(want), n)
		}
	})
}

// Groups of a tunnel's datagrams are UDP super-frames, which are cut into the same segments.
func TestRegroupedTunnelIsTheSuperFrame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, v := drawTunnel(t)
		b, _, _, _, _ := k.build(true)
		var got [][]byte
		groups := 0
		err := Regroup(v, b, func(g []byte) bool {
			groups++
			var v Vnet
			v.Unmarshal(g)
			f, l3 := g[VnetLen:], 14+4*len(k.outer.tags)
			length, header := int(binary.BigEndian.Uint16(f[l3+2:])), 0
			if !k.outer.src.Is4() {
				length, header = int(binary.BigEndian.Uint16(f[l3+4:])), 40
			}
			if want := len(f) - l3 - header; length != want {
				t.Errorf("length of the group's IP header is %d, want %d", length, want)
			}
			if v.GSO() != GSONone && v.GSO() != GSOUDPL4 {
				t.Errorf("group of type %#x", v.GSOType)
			}
			err := Segment(v, f, func(s []byte) bool { got = append(got, bytes.Clone(s)); return true })
			if err != nil {
				t.Fatal(err)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		want := k.segments(int(v.GSOSize))
		checkSegments(t, k, got, want)
		if k.byUDP() && !k.outer.noCsum && k.outer.ipOpts+k.outer.ext == 0 && groups > (len(want)+maxParts-1)/maxParts {
			t.Errorf("%d groups of %d segments", groups, len(want))
		}
	})
}

func TestRegroupStops(t *testing.T) {
	k := vxlan(200 * 100)
	b, _, _, _, _ := k.build(true)
	n := 0
	if err := Regroup(k.header(100), b, func([]byte) bool { n++; return n < 2 }); err != nil || n != 2 {
		t.Errorf("%d groups, error %v; want 2, none", n, err)
	}
}

// vxlan is TCP in VXLAN over IPv4.
func vxlan(octets int) tunnel {
	return tunnel{kind: "vxlan",
		outer: packet{src: netip.MustParseAddr("10.9.0.1"), dst: netip.MustParseAddr("10.9.0.2"), id: 0xfffe},
		inner: packet{src: netip.MustParseAddr("10.77.0.1"), dst: netip.MustParseAddr("10.77.0.2"), proto: ProtoTCP,
			flags: 0x18, options: 12, partial: true, payload: make([]byte, octets)}}
}

func TestTunnelHeaderOfATAP(t *testing.T) {
	for _, c := range []struct {
		name string
		k    func(*tunnel)
		want []byte // struct virtio_net_hdr_v1_hash_tunnel; nil: there is none
	}{
		{"as it is", func(*tunnel) {},
			[]byte{9, 0x21, 116, 0, 100, 0, 84, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 34, 0, 64, 0}},
		{"no outer checksum", func(k *tunnel) { k.outer.noCsum = true },
			[]byte{1, 0x21, 116, 0, 100, 0, 84, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 34, 0, 64, 0}},
		{"IPv6 outside, a tag inside", func(k *tunnel) {
			k.outer.src, k.outer.dst = netip.MustParseAddr("fd09::1"), netip.MustParseAddr("fd09::2")
			k.inner.tags = []uint16{7}
		}, []byte{9, 0x41, 140, 0, 100, 0, 108, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 54, 0, 88, 0}},
		{"GRE", func(k *tunnel) { k.kind = "gre" }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := vxlan(1000)
			c.k(&k)
			f, _, _, _, _ := k.build(true)
			v := k.header(100)
			b := append(make([]byte, VnetLen), f...)
			v.Marshal(b)
			before := bytes.Clone(b)
			ok := v.MarshalTunnel(b)
			if ok != (c.want != nil) {
				t.Fatalf("MarshalTunnel = %v", ok)
			}
			if ok {
				if d := cmp.Diff(c.want, b[:VnetLen]); d != "" {
					t.Errorf("-want +got\n%s", d)
				}
				v.Marshal(b)
			}
			if !bytes.Equal(b[VnetRoom:], before[VnetRoom:]) {
				t.Error("the header did not come back")
			}
		})
	}
}

func TestTunnelSegmentsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		kind string
		edit func(v *Vnet, b []byte, outerL4, innerL3 int)
	}{
		{"sequence numbers in GRE", "gre", func(_ *Vnet, b []byte, l4, _ int) { b[l4] |= 0x10 }},
		{"routing in GRE", "gre", func(_ *Vnet, b []byte, l4, _ int) { b[l4] |= 0x40 }},
		{"PPTP", "gre", func(_ *Vnet, b []byte, l4, _ int) { b[l4+1] = 1 }},
		{"another protocol", "ip", func(_ *Vnet, b []byte, l4, _ int) { b[l4-20+9] = 50 }},
		{"a fragment", "vxlan", func(_ *Vnet, b []byte, l4, _ int) { b[l4-20+6] = 0x20 }},
		{"inner fragment", "vxlan", func(_ *Vnet, b []byte, _, l3 int) { b[l3+6] = 0x20 }},
		{"inner length", "vxlan", func(_ *Vnet, b []byte, _, l3 int) { b[l3+3]++ }},
		{"no inner IP header", "vxlan", func(_ *Vnet, b []byte, _, l3 int) { b[l3] = 0x95 }},
		{"inner protocol", "vxlan", func(_ *Vnet, b []byte, _, l3 int) { b[l3+9] = ProtoUDP }},
		{"other family", "vxlan", func(v *Vnet, _ []byte, _, _ int) { v.GSOType = GSOTCPv6 }},
		{"odd offset", "vxlan", func(v *Vnet, _ []byte, _, _ int) { v.CsumStart++ }},
		{"outside", "vxlan", func(v *Vnet, _ []byte, _, _ int) { v.CsumStart = 60000 }},
		{"in the tunnel's header", "vxlan", func(v *Vnet, _ []byte, l4, _ int) { v.CsumStart = uint16(l4 + 8) }},
		{"checksum elsewhere", "vxlan", func(v *Vnet, _ []byte, _, _ int) { v.CsumOffset = 6 }},
		{"size zero", "vxlan", func(v *Vnet, _ []byte, _, _ int) { v.GSOSize = 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := vxlan(1000)
			k.kind = c.kind
			v := k.header(100)
			b, l4, l3, _, _ := k.build(true)
			c.edit(&v, b, l4, l3)
			var h Headers
			Parse(b, &h)
			if FindInner(v, b, &h) || h.Inner != 0 {
				t.Error("an inner packet was found")
			}
			err := Segment(v, b, func([]byte) bool { t.Error("emitted"); return false })
			if !errors.Is(err, ErrSegment) {
				t.Errorf("got %v, want %v", err, ErrSegment)
			}
		})
	}
}

func TestTunnelSegmentsAllocateLittle(t *testing.T) {
	k := vxlan(60000)
	b, _, _, _, _ := k.build(true)
	v := k.header(1398)
	emit := func([]byte) bool { return true }
	for name, f := range map[string]func(Vnet, []byte, func([]byte) bool) error{"Segment": Segment,
		"Regroup": Regroup} {
		// The pools may be emptied by a collection in between.
		if a := testing.AllocsPerRun(100, func() { _ = f(v, b, emit) }); a > 4 {
			t.Errorf("%s: %v allocations", name, a)
		}
	}
}

func BenchmarkTunnel(b *testing.B) {
	k := vxlan(60000)
	f, _, _, _, _ := k.build(true)
	v := k.header(1398)
	for _, c := range []struct {
		name string
		f    func(Vnet, []byte, func([]byte) bool) error
	}{{"Segment", Segment}, {"Regroup", Regroup}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(f)))
			for b.Loop() {
				_ = c.f(v, f, func([]byte) bool { return true })
			}
		})
	}
}
