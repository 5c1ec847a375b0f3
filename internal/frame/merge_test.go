// SPDX-License-Identifier: MIT

package frame

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// datagram says how to build a UDP frame.
type datagram struct {
	v6           bool
	vlan         uint16
	srcPort      uint16
	size         int
	id           uint16
	df           bool
	tos, ttl     uint8
	partial      bool // the checksum is left to be made
	wrong, empty bool // the checksum is wrong, is zero
	pad          bool // to the least length on a wire
}

// build returns [virtio header][frame] with room behind it.
func (d datagram) build() []byte {
	l3, ihl, typ := EtherLen, 20, uint16(TypeIPv4)
	if d.vlan != 0 {
		l3 += TagLen
	}
	if d.v6 {
		ihl, typ = 40, TypeIPv6
	}
	l4 := l3 + ihl
	f := make([]byte, l4+8+d.size)
	MAC(0x020000000001).Put(f, 0)
	MAC(0x020000000002).Put(f, 6)
	if d.vlan != 0 {
		binary.BigEndian.PutUint16(f[12:], TypeVLAN)
		binary.BigEndian.PutUint16(f[14:], d.vlan)
	}
	binary.BigEndian.PutUint16(f[l3-2:], typ)
	ip := f[l3:l4]
	if d.v6 {
		ip[0], ip[1] = 0x60|d.tos>>4, d.tos<<4
		binary.BigEndian.PutUint16(ip[4:], uint16(8+d.size))
		ip[6], ip[7] = ProtoUDP, d.ttl
		ip[23], ip[39] = 1, 2
	} else {
		ip[0], ip[1], ip[8], ip[9] = 0x45, d.tos, d.ttl, ProtoUDP
		binary.BigEndian.PutUint16(ip[2:], uint16(28+d.size))
		binary.BigEndian.PutUint16(ip[4:], d.id)
		if d.df {
			ip[6] = 0x40
		}
		copy(ip[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
		binary.BigEndian.PutUint16(ip[10:], Checksum(ip))
	}
	udp := f[l4:]
	binary.BigEndian.PutUint16(udp, d.srcPort)
	binary.BigEndian.PutUint16(udp[2:], 9)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	for i := range d.size {
		udp[8+i] = byte(i) ^ byte(d.id) ^ byte(d.srcPort)
	}
	pseudo := PseudoSum(f, l3, ProtoUDP, len(udp))
	var v Vnet
	if d.partial {
		v = Vnet{Flags: NeedsCsum, CsumStart: uint16(l4), CsumOffset: udpChecksum}
		binary.BigEndian.PutUint16(udp[udpChecksum:], Fold(pseudo))
	} else if !d.empty {
		binary.BigEndian.PutUint16(udp[udpChecksum:], mangle(^Fold(Sum(pseudo, udp))))
		if d.wrong {
			udp[udpChecksum] ^= 0x55
		}
	}
	if d.pad && len(f) < minFrame {
		f = append(f, make([]byte, minFrame-len(f))...)
	}
	b := make([]byte, VnetLen+len(f), VnetLen+maxMerged)
	v.Marshal(b)
	copy(b[VnetLen:], f)
	return b
}

// maxMerged is the room that callers have.
const maxMerged = 65535 + EtherLen + 2*TagLen

// merged puts frames through a Merger, and returns what comes out, in order, and how many frames each has.
func merged(t interface{ Fatalf(string, ...any) }, in [][]byte, way func(i int) int) (out [][]byte, parts []int) {
	var m Merger
	all := make([][]byte, len(in))
	n := make([]int, len(in))
	for i, b := range in {
		var v Vnet
		var h Headers
		v.Unmarshal(b)
		if !Parse(b[VnetLen:], &h) {
			t.Fatalf("frame %d does not parse", i)
		}
		if to, length := m.Add(i, b, v, &h, way(i)); to >= 0 {
			if to >= i || all[to] == nil {
				t.Fatalf("frame %d was joined to %d", i, to)
			}
			all[to] = all[to][:length]
			n[to]++
			continue
		}
		all[i], n[i] = b, 1
	}
	m.Finish()
	for i, b := range all {
		if b != nil {
			out, parts = append(out, b), append(parts, n[i])
		}
	}
	return out, parts
}

// segments undoes it.
func segments(t interface{ Fatalf(string, ...any) }, b []byte) (out [][]byte) {
	var v Vnet
	v.Unmarshal(b)
	if err := Segment(v, b[VnetLen:], func(seg []byte) bool {
		out = append(out, bytes.Clone(seg))
		return true
	}); err != nil {
		t.Fatalf("segment: %v", err)
	}
	return out
}

// bare is a frame as it would be on a wire, with what a super-frame does not keep taken out: padding,
// and the id (and with it the header's checksum) of an IPv4 packet that must not be fragmented.
func bare(t interface{ Fatalf(string, ...any) }, b []byte) string {
	f := segments(t, b)[0]
	var h Headers
	Parse(f, &h)
	if h.L4 != 0 && h.IPProto == ProtoUDP {
		f = f[:h.L4+int(binary.BigEndian.Uint16(f[h.L4+4:]))]
	}
	if h.EtherType == TypeIPv4 && f[h.L3+6]&0x40 != 0 {
		clear(f[h.L3+4 : h.L3+6])
		clear(f[h.L3+10 : h.L3+12])
	}
	return string(f)
}

func same(int) int { return 0 }

func TestMergeTable(t *testing.T) {
	base := datagram{srcPort: 7, size: 18, df: true, ttl: 64, partial: true}
	with := func(f func(d *datagram)) datagram { d := base; f(&d); return d }
	times := func(n int, d datagram) (all []datagram) {
		for range n {
			d.id++
			all = append(all, d)
		}
		return all
	}
	tests := []struct {
		name string
		in   []datagram
		want []int // frames in each that comes out
	}{
		{"alone", times(1, base), []int{1}},
		{"two", times(2, base), []int{2}},
		{"as many as may be", times(70, base), []int{64, 6}},
		{"by length", times(60, with(func(d *datagram) { d.size = 1400 })), []int{46, 14}},
		{"by length, IPv6", times(60, with(func(d *datagram) { d.size = 1400; d.v6 = true })), []int{46, 14}},
		{"IPv6", times(5, with(func(d *datagram) { d.v6 = true })), []int{5}},
		{"tagged", times(5, with(func(d *datagram) { d.vlan = 0x6064 })), []int{5}},
		{"the last is shorter", append(times(3, base), with(func(d *datagram) { d.size = 5 }), base), []int{4, 1}},
		{"longer", append(times(3, base), times(2, with(func(d *datagram) { d.size = 19 }))...), []int{3, 2}},
		{"padded", times(3, with(func(d *datagram) { d.size = 4; d.partial = false; d.pad = true })), []int{3}},
		{"checksums verified", times(3, with(func(d *datagram) { d.partial = false })), []int{3}},
		{"checksum wrong", append(times(2, base),
			append(times(1, with(func(d *datagram) { d.partial = false; d.wrong = true })), base)...), []int{2, 1, 1}},
		{"first checksum wrong", append(times(1, with(func(d *datagram) { d.partial = false; d.wrong = true })),
			times(2, base)...), []int{1, 2}},
		{"no checksum", times(3, with(func(d *datagram) { d.partial = false; d.empty = true })), []int{1, 1, 1}},
		{"empty", times(2, with(func(d *datagram) { d.size = 0 })), []int{1, 1}},
		{"another TOS", append(times(2, base), times(2, with(func(d *datagram) { d.tos = 4 }))...), []int{2, 2}},
		{"another TOS, IPv6", append(times(2, with(func(d *datagram) { d.v6 = true })),
			times(2, with(func(d *datagram) { d.tos = 4; d.v6 = true }))...), []int{2, 2}},
		{"another TTL", append(times(2, base), times(2, with(func(d *datagram) { d.ttl = 9 }))...), []int{2, 2}},
		{"another VLAN", append(times(2, with(func(d *datagram) { d.vlan = 1 })),
			times(2, with(func(d *datagram) { d.vlan = 2 }))...), []int{2, 2}},
		{"ids count", times(3, with(func(d *datagram) { d.df = false })), []int{3}},
		{"ids do not", []datagram{with(func(d *datagram) { d.df = false }), with(func(d *datagram) { d.df = false })},
			[]int{1, 1}},
		{"flows in turn", slices.Repeat([]datagram{base, with(func(d *datagram) { d.srcPort = 8 })}, 3), []int{3, 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var in [][]byte
			var want []string
			for _, d := range tt.in {
				in = append(in, d.build())
				want = append(want, bare(t, in[len(in)-1]))
			}
			out, got := merged(t, in, same)
			if !slices.Equal(got, tt.want) {
				t.Errorf("frames a super-frame: %v, want %v", got, tt.want)
			}
			var came []string
			for _, b := range out {
				for _, f := range segments(t, b) {
					came = append(came, bare(t, append(make([]byte, VnetLen), f...)))
				}
			}
			slices.Sort(came)
			slices.Sort(want)
			if !slices.Equal(came, want) {
				t.Errorf("segments are not the frames")
			}
		})
	}
}

func TestMergeKeepsWaysApart(t *testing.T) {
	d := datagram{srcPort: 7, size: 18, df: true, ttl: 64, partial: true}
	var in [][]byte
	for range 6 {
		in = append(in, d.build())
	}
	if _, parts := merged(t, in, func(i int) int { return i % 2 }); !slices.Equal(parts, []int{3, 3}) {
		t.Errorf("frames a super-frame: %v", parts)
	}
}

// Whatever goes in comes out of Segment, each flow in its order, and counted as so many frames and bytes.
func TestMergeThenSegment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 100).Draw(t, "frames")
		ports := rapid.IntRange(1, 7).Draw(t, "ports")
		odd := rapid.IntRange(0, 20).Draw(t, "oddness")
		size := rapid.SampledFrom([]int{1, 18, 200, 1400, 8000}).Draw(t, "size")
		v6 := rapid.Bool().Draw(t, "v6")
		ids := make([]uint16, 8)
		type flow struct {
			v6   bool
			port uint16
			way  int
		}
		var in [][]byte
		var ways []int
		want := map[flow][]string{}
		frames := 0
		for range n {
			p := rapid.IntRange(0, ports-1).Draw(t, "port")
			ids[p]++
			d := datagram{v6: v6, srcPort: uint16(p), size: size, ttl: 64, id: ids[p], df: true, partial: true}
			way := 0
			if rapid.IntRange(0, 20).Draw(t, "odd") < odd {
				switch rapid.IntRange(0, 10).Draw(t, "how") {
				case 0:
					d.size = rapid.IntRange(0, size).Draw(t, "shorter")
				case 1:
					d.partial = false
				case 2:
					d.partial, d.wrong = false, true
				case 3:
					d.partial, d.empty = false, !v6
				case 4:
					d.df = false
				case 5:
					d.tos = 8
				case 6:
					d.ttl = 1
				case 7:
					d.vlan = 5
				case 8:
					d.pad, d.partial = true, false
				case 9:
					d.v6 = !v6
				case 10:
					way = 1
				}
			}
			b := d.build()
			in, ways = append(in, b), append(ways, way)
			f := flow{d.v6, d.srcPort, way}
			want[f] = append(want[f], bare(t, b))
		}
		out, _ := merged(t, in, func(i int) int { return ways[i] })
		got := map[flow][]string{}
		for _, b := range out {
			var v Vnet
			var h Headers
			v.Unmarshal(b)
			Parse(b[VnetLen:], &h)
			f, o := WireCount(v, &h, len(b)-VnetLen)
			frames += f
			segs := segments(t, b)
			if len(segs) != f {
				t.Fatalf("WireCount says %d frames, there are %d", f, len(segs))
			}
			for _, s := range segs {
				o -= len(s)
				var sh Headers
				Parse(s, &sh)
				// The way is that of the first; all of a run share it, so any frame equal to it will do.
				k := flow{sh.EtherType == TypeIPv6, binary.BigEndian.Uint16(s[sh.L4:]),
					ways[slices.IndexFunc(in, func(x []byte) bool { return &x[0] == &b[0] })]}
				got[k] = append(got[k], bare(t, append(make([]byte, VnetLen), s...)))
			}
			if o != 0 {
				t.Fatalf("WireCount is %d octets off", o)
			}
		}
		if frames != n {
			t.Fatalf("%d frames of %d", frames, n)
		}
		for k, w := range want {
			if !slices.Equal(got[k], w) {
				t.Fatalf("flow %+v: %d frames are not the %d that went in, in their order", k, len(got[k]), len(w))
			}
		}
	})
}

func TestMergeDoesNotAllocate(t *testing.T) {
	d := datagram{srcPort: 7, size: 18, df: true, ttl: 64, partial: true}
	b, c := d.build(), d.build()
	keep := bytes.Clone(b)
	var m Merger
	allocs := testing.AllocsPerRun(100, func() {
		copy(b, keep)
		var h Headers
		var v Vnet
		v.Unmarshal(b)
		Parse(b[VnetLen:], &h)
		m.Add(0, b, v, &h, 0)
		if to, _ := m.Add(1, c, v, &h, 0); to != 0 {
			t.Error("not joined")
		}
		m.Finish()
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// FuzzMerge joins two frames that may be anything. What is joined must come apart into the same two.
func FuzzMerge(f *testing.F) {
	d := datagram{srcPort: 7, size: 18, df: true, ttl: 64, partial: true}
	f.Add(d.build(), d.build())
	d.v6 = true
	f.Add(d.build(), d.build())
	d.partial, d.vlan, d.pad = false, 9, true
	f.Add(d.build(), d.build())
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if len(a) > 9000 || len(b) > 9000 || len(a) < VnetLen+EtherLen || len(b) < VnetLen+EtherLen {
			return
		}
		// The data path parses only what has the shape; flags of others are carried as they are.
		a, b = append(make([]byte, 0, VnetLen+maxMerged), a...), bytes.Clone(b)
		first, second := bytes.Clone(a), bytes.Clone(b)
		out, parts := merged(t, [][]byte{a, b}, same)
		if len(out) == 2 {
			if !bytes.Equal(out[0], first) || !bytes.Equal(out[1], second) {
				t.Fatal("frames that stay for themselves were changed")
			}
			return
		}
		segs := segments(t, out[0])
		if len(segs) != 2 || parts[0] != 2 {
			t.Fatalf("%d segments", len(segs))
		}
		for i, in := range [][]byte{first, second} {
			// DataValid is trusted, so the checksum may be anything there.
			var v Vnet
			v.Unmarshal(in)
			if v.Flags&DataValid != 0 {
				return
			}
			if v.Flags&NeedsCsum != 0 {
				// The sum that is left is the sender's to get right.
				continue
			}
			if got, want := bare(t, append(make([]byte, VnetLen), segs[i]...)), bare(t, in); got != want {
				t.Fatalf("segment %d is\n%x, want\n%x", i, got, want)
			}
		}
	})
}
