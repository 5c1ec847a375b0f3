// SPDX-License-Identifier: MIT

package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// verifyRapid is verify inside of a property.
func verifyRapid(t *rapid.T, b []byte, l3, l4 int) {
	r := recorder{}
	verify(&r, b, l3, l4)
	for _, m := range r.errs {
		t.Errorf("%s (frame %x)", m, b)
	}
}

// recorder is a testing.TB that only remembers.
type recorder struct {
	testing.TB
	errs []string
}

func (*recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.errs = append(r.errs, fmt.Sprintf(format, args...))
}

// drawSuper draws a super-frame of any kind that can be asked for.
func drawSuper(t *rapid.T) (packet, Vnet, []byte) {
	p := packet{
		src: netip.MustParseAddr("10.1.2.3"), dst: netip.MustParseAddr("10.200.255.254"),
		proto:   ProtoTCP,
		tags:    rapid.SliceOfN(rapid.Uint16(), 0, 2).Draw(t, "tags"),
		id:      rapid.Uint16().Draw(t, "id"),
		seq:     rapid.Uint32().Draw(t, "seq"),
		flags:   rapid.Byte().Draw(t, "flags"),
		options: rapid.IntRange(0, 10).Draw(t, "options") * 4,
		payload: rapid.SliceOfN(rapid.Byte(), 1, 3000).Draw(t, "payload"),
		partial: rapid.Bool().Draw(t, "partial"),
	}
	v := Vnet{GSOType: GSOTCPv4, GSOSize: uint16(rapid.IntRange(1, 1600).Draw(t, "size"))}
	if len(p.payload)/int(v.GSOSize) > 100 {
		v.GSOSize = 100
	}
	if rapid.Bool().Draw(t, "v6") {
		p.src, p.dst = netip.MustParseAddr("fd00::ffff:1"), netip.MustParseAddr("fd00:ffff::2")
		p.ext = rapid.IntRange(0, 2).Draw(t, "ext") * 8
		v.GSOType = GSOTCPv6
	} else {
		p.ipOpts = rapid.IntRange(0, 2).Draw(t, "ip options") * 4
	}
	if rapid.Bool().Draw(t, "udp") {
		p.proto = ProtoUDP
		v.GSOType = GSOUDPL4
		p.noCsum = !p.partial && p.src.Is4() && rapid.Bool().Draw(t, "no checksum")
	} else if rapid.Bool().Draw(t, "ecn") {
		v.GSOType |= GSOECN
	}
	b, _, l4, at := p.build()
	v.HdrLen = uint16(at)
	if p.partial {
		v.Flags, v.CsumStart, v.CsumOffset = NeedsCsum, uint16(l4), 16
		if p.proto == ProtoUDP {
			v.CsumOffset = 6
		}
	}
	return p, v, b
}

// The segments carry the payload in order, each is right in itself, and together they are what
// WireCount said.
func TestSegmentsAreTheSuperFrame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, v, b := drawSuper(t)
		keep := bytes.Clone(b)
		_, l3, l4, at := p.build()
		var payload []byte
		var segs [][]byte
		if err := Segment(v, b, func(s []byte) bool {
			segs = append(segs, bytes.Clone(s))
			payload = append(payload, s[at:]...)
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, keep) {
			t.Error("the super-frame was changed")
		}
		if !bytes.Equal(payload, p.payload) {
			t.Errorf("payload is not that of the super-frame")
		}
		var h Headers
		Parse(b, &h)
		frames, octets := WireCount(v, &h, len(b))
		if got := len(slices.Concat(segs...)); frames != len(segs) || octets != got {
			t.Errorf("%d segments with %d octets, WireCount said %d with %d", len(segs), got, frames, octets)
		}
		done := 0
		for i, s := range segs {
			last := i == len(segs)-1
			verifyRapid(t, s, l3, l4)
			if n := len(s) - at; n > int(v.GSOSize) || n < int(v.GSOSize) && !last {
				t.Errorf("segment %d has %d octets of payload", i, n)
			}
			if !bytes.Equal(s[:l3], b[:l3]) {
				t.Errorf("segment %d: Ethernet header and tags changed", i)
			}
			if p.src.Is4() {
				if id := binary.BigEndian.Uint16(s[l3+4:]); id != p.id+uint16(i) {
					t.Errorf("segment %d has id %d", i, id)
				}
			}
			if p.proto == ProtoTCP {
				want := p.flags
				if !last {
					want &^= 0x09
				}
				if i > 0 {
					want &^= 0x80
				}
				if s[l4+13] != want {
					t.Errorf("segment %d of %d has flags %#x, want %#x", i, len(segs), s[l4+13], want)
				}
				if seq := binary.BigEndian.Uint32(s[l4+4:]); seq != p.seq+uint32(done) {
					t.Errorf("segment %d has sequence number %d, want %d", i, seq, p.seq+uint32(done))
				}
			} else if p.noCsum != (s[l4+6]|s[l4+7] == 0) {
				t.Errorf("segment %d has checksum %x", i, s[l4+6:l4+8])
			}
			done += len(s) - at
		}
	})
}

func TestSegmentSingleFrame(t *testing.T) {
	p := packet{src: netip.MustParseAddr("10.0.0.1"), dst: netip.MustParseAddr("10.0.0.2"), proto: ProtoUDP,
		partial: true, payload: []byte("x")}
	b, l3, l4, _ := p.build()
	n := 0
	if err := Segment(Vnet{Flags: NeedsCsum, CsumStart: uint16(l4), CsumOffset: 6}, b, func(s []byte) bool {
		n++
		verify(t, s, l3, l4)
		return true
	}); err != nil || n != 1 {
		t.Errorf("%d segments, error %v", n, err)
	}
}

func TestSegmentStops(t *testing.T) {
	p := packet{src: netip.MustParseAddr("10.0.0.1"), dst: netip.MustParseAddr("10.0.0.2"), proto: ProtoTCP,
		payload: make([]byte, 100)}
	b, _, _, _ := p.build()
	n := 0
	if err := Segment(Vnet{GSOType: GSOTCPv4, GSOSize: 10}, b, func([]byte) bool { n++; return n < 3 }); err != nil ||
		n != 3 {
		t.Errorf("%d segments, error %v; want 3, none", n, err)
	}
}

func TestSegmentRefuses(t *testing.T) {
	v4, w4 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	tcp, _, l4, _ := packet{src: v4, dst: w4, proto: ProtoTCP, payload: make([]byte, 100)}.build()
	udp, _, _, _ := packet{src: v4, dst: w4, proto: ProtoUDP, payload: make([]byte, 100)}.build()
	fragment := bytes.Clone(tcp)
	fragment[14+6] = 0x20
	for _, c := range []struct {
		name string
		v    Vnet
		b    []byte
	}{
		{"runt", Vnet{GSOType: GSOTCPv4, GSOSize: 10}, tcp[:13]},
		{"size zero", Vnet{GSOType: GSOTCPv4}, tcp},
		{"other family", Vnet{GSOType: GSOTCPv6, GSOSize: 10}, tcp},
		{"TCP as UDP", Vnet{GSOType: GSOUDPL4, GSOSize: 10}, tcp},
		{"UDP as TCP", Vnet{GSOType: GSOTCPv4, GSOSize: 10}, udp},
		{"UFO", Vnet{GSOType: GSOUDP, GSOSize: 10}, udp},
		{"unknown type", Vnet{GSOType: 77, GSOSize: 10}, tcp},
		{"only ECN", Vnet{GSOType: GSOECN | 2, GSOSize: 10}, tcp},
		{"fragment", Vnet{GSOType: GSOTCPv4, GSOSize: 10}, fragment},
		{"cut header", Vnet{GSOType: GSOTCPv4, GSOSize: 10}, tcp[:50]},
		{"checksum elsewhere", Vnet{GSOType: GSOTCPv4, GSOSize: 10, Flags: NeedsCsum, CsumStart: uint16(l4 + 2),
			CsumOffset: 16}, tcp},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Segment(c.v, c.b, func([]byte) bool { t.Error("emitted"); return false })
			if !errors.Is(err, ErrSegment) {
				t.Errorf("got %v, want %v", err, ErrSegment)
			}
		})
	}
}

func FuzzSegment(f *testing.F) {
	v4, w4 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	tcp, _, _, _ := packet{src: v4, dst: w4, proto: ProtoTCP, payload: make([]byte, 100)}.build()
	udp, _, l4, _ := packet{src: v4, dst: w4, proto: ProtoUDP, payload: make([]byte, 100), partial: true}.build()
	head := make([]byte, VnetLen)
	Vnet{GSOType: GSOTCPv4, GSOSize: 10}.Marshal(head)
	f.Add(append(bytes.Clone(head), tcp...))
	Vnet{GSOType: GSOUDPL4, GSOSize: 10, Flags: NeedsCsum, CsumStart: uint16(l4), CsumOffset: 6}.Marshal(head)
	f.Add(append(bytes.Clone(head), udp...))
	for _, kind := range tunnelKinds {
		k := vxlan(300)
		k.kind = kind
		b, _, _, _, _ := k.build(true)
		k.header(100).Marshal(head)
		f.Add(append(bytes.Clone(head), b...))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < VnetLen {
			return
		}
		var v Vnet
		v.Unmarshal(in)
		b := in[VnetLen:]
		keep := bytes.Clone(b)
		var h Headers
		Parse(b, &h)
		tunnel := v.Tunnelled(&h)
		found := tunnel && FindInner(v, b, &h)
		frames, octets := WireCount(v, &h, len(b))
		n, sum := 0, 0
		var all []byte
		err := Segment(v, b, func(s []byte) bool { n++; sum += len(s); all = append(all, s...); return true })
		if tunnel && found != (err == nil) {
			t.Fatalf("found %v, but segmented with %v", found, err)
		}
		var again []byte
		regrouped := Regroup(v, b, func(g []byte) bool {
			var v Vnet
			v.Unmarshal(g)
			if err := Segment(v, g[VnetLen:], func(s []byte) bool {
				again = append(again, s...)
				return true
			}); err != nil {
				t.Fatalf("group %x: %v", g, err)
			}
			return true
		})
		if (regrouped == nil) != (err == nil) || !bytes.Equal(all, again) {
			t.Fatalf("segmented (%v)\n%x, regrouped (%v)\n%x", err, all, regrouped, again)
		}
		whole := bytes.Clone(in)
		if v.MarshalTunnel(whole) && !found {
			t.Fatal("a header for what is no tunnel's")
		}
		if !bytes.Equal(whole[VnetLen:], b) || !bytes.Equal(b, keep) {
			t.Fatal("input changed")
		}
		if err == nil && (n != frames || sum != octets) {
			t.Fatalf("%d segments with %d octets, WireCount said %d with %d", n, sum, frames, octets)
		}
		if err != nil && n != 0 {
			t.Fatalf("%v after %d segments", err, n)
		}
	})
}

func TestSegmentAllocatesLittle(t *testing.T) {
	b, _, _, _ := packet{src: netip.MustParseAddr("10.0.0.1"), dst: netip.MustParseAddr("10.0.0.2"), proto: ProtoTCP,
		payload: make([]byte, 60000)}.build()
	v := Vnet{GSOType: GSOTCPv4, GSOSize: 1448}
	n := 0
	emit := func([]byte) bool { n++; return true }
	// The pool may be emptied by a collection in between.
	if a := testing.AllocsPerRun(100, func() {
		if err := Segment(v, b, emit); err != nil {
			t.Fatal(err)
		}
	}); a > 1 {
		t.Errorf("%v allocations for 42 segments", a)
	}
	if n == 0 {
		t.Error("nothing emitted")
	}
}

func BenchmarkSegment(b *testing.B) {
	f, _, _, _ := packet{src: netip.MustParseAddr("10.0.0.1"), dst: netip.MustParseAddr("10.0.0.2"), proto: ProtoTCP,
		payload: make([]byte, 60000)}.build()
	v := Vnet{GSOType: GSOTCPv4, GSOSize: 1448}
	b.SetBytes(int64(len(f)))
	for b.Loop() {
		Segment(v, f, func([]byte) bool { return true })
	}
}
