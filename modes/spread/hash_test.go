// SPDX-License-Identifier: MIT

package spread

import (
	"math/bits"
	"testing"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"

	"pgregory.net/rapid"
)

// icmpError wraps what it quotes.
func icmpError(kind uint8, quoted []byte) []byte {
	return append([]byte{kind, 1, 0, 0, 0, 0, 0, 0}, quoted...)
}

func hashOf(p HashPolicy, salt uint64, b []byte) uint64 {
	var h frame.Headers
	frame.Parse(b, &h)
	return Hash{p, salt}.Of(&h, b)
}

// Pairs of frames that must, or must not, be of one flow.
func TestHashFlows(t *testing.T) {
	const a, b = "10.0.0.1", "10.0.0.2"
	const a6, b6 = "fd00::1", "fd00::2"
	tcp := frametest.IP{Src: a, Dst: b, Proto: 6, SrcPort: 5000, DstPort: 80, TTL: 64}
	udp6 := frametest.IP{Src: a6, Dst: b6, Proto: 17, SrcPort: 5000, DstPort: 53, TTL: 64}
	with := func(p frametest.IP, f func(*frametest.IP)) frametest.IP { f(&p); return p }
	for _, c := range []struct {
		name   string
		policy HashPolicy
		x, y   frametest.IP
		same   bool
	}{
		{"what differs within a flow", Layer34, tcp,
			with(tcp, func(p *frametest.IP) { p.TTL = 3; p.TCI = 0xe005; p.Options = true; p.DstMAC = 7 }), true},
		{"other source port", Layer34, tcp, with(tcp, func(p *frametest.IP) { p.SrcPort++ }), false},
		{"other destination port", Layer34, tcp, with(tcp, func(p *frametest.IP) { p.DstPort++ }), false},
		{"other protocol", Layer34, tcp, with(tcp, func(p *frametest.IP) { p.Proto = 17 }), false},
		{"other source", Layer34, tcp, with(tcp, func(p *frametest.IP) { p.Src = "10.0.0.3" }), false},
		{"other destination", Layer34, tcp, with(tcp, func(p *frametest.IP) { p.Dst = "10.0.0.3" }), false},
		{"IPv6 with an extension header", Layer34, udp6, with(udp6, func(p *frametest.IP) { p.Options = true }), true},
		{"IPv6 other port", Layer34, udp6, with(udp6, func(p *frametest.IP) { p.SrcPort = 5002 }), false},
		{"IPv6 other address", Layer34, udp6, with(udp6, func(p *frametest.IP) { p.Dst = "fd00::1:2" }), false},
		{"first and later fragment", Layer34, with(tcp, func(p *frametest.IP) { p.Frag = 0x2000 }),
			with(tcp, func(p *frametest.IP) { p.Frag = 0x00b9; p.SrcPort = 0xdead }), true},
		{"middle and last fragment", Layer34, with(tcp, func(p *frametest.IP) { p.Frag = 0x20b9; p.SrcPort = 1 }),
			with(tcp, func(p *frametest.IP) { p.Frag = 0x00ba; p.SrcPort = 2 }), true},
		{"IPv6 fragments", Layer34, with(udp6, func(p *frametest.IP) { p.Frag = 1 }),
			with(udp6, func(p *frametest.IP) { p.Frag = 0x05a8; p.SrcPort = 0xdead }), true},
		{"IPv6 atomic fragment and whole", Layer34, with(udp6, func(p *frametest.IP) { p.Options = true }), udp6, true},
		{"GRE by addresses", Layer34, with(tcp, func(p *frametest.IP) { p.Proto = 47; p.SrcPort = 1 }),
			with(tcp, func(p *frametest.IP) { p.Proto = 47; p.SrcPort = 2 }), true},
		{"echoes by addresses", Layer34, with(tcp, func(p *frametest.IP) {
			p.Proto = 1
			p.Body = []byte{8, 0, 1, 2, 3, 4, 5, 6}
		}), with(tcp, func(p *frametest.IP) { p.Proto = 1; p.Body = []byte{0, 0, 9, 9, 9, 9, 9, 9} }), true},
		{"layer2 has no addresses", Layer2, tcp, with(tcp, func(p *frametest.IP) { p.Dst = "10.0.0.3" }), true},
		{"layer2 has the destination MAC", Layer2, tcp, with(tcp, func(p *frametest.IP) { p.DstMAC = 7 }), false},
		{"layer2 has the ethertype", Layer2, tcp, udp6, false},
		{"layer2+3 has no ports", Layer23, tcp, with(tcp, func(p *frametest.IP) { p.SrcPort++ }), true},
		{"layer2+3 has addresses", Layer23, tcp, with(tcp, func(p *frametest.IP) { p.Dst = "10.0.0.3" }), false},
		{"layer2+3 has MACs", Layer23, tcp, with(tcp, func(p *frametest.IP) { p.DstMAC = 7 }), false},
		{"vlan+srcmac has the VLAN", VLANSrcMAC, with(tcp, func(p *frametest.IP) { p.TCI = 5 }),
			with(tcp, func(p *frametest.IP) { p.TCI = 6 }), false},
		{"vlan+srcmac has no priority", VLANSrcMAC, with(tcp, func(p *frametest.IP) { p.TCI = 5 }),
			with(tcp, func(p *frametest.IP) { p.TCI = 0xe005 }), true},
		{"vlan+srcmac has nothing else", VLANSrcMAC, tcp, with(udp6, func(p *frametest.IP) { p.DstMAC = 7 }), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, salt := range []uint64{0, 1, 0xfeedface} {
				x, y := hashOf(c.policy, salt, c.x.Frame()), hashOf(c.policy, salt, c.y.Frame())
				if (x == y) != c.same {
					t.Errorf("salt %d: %#x and %#x; want same: %v", salt, x, y, c.same)
				}
			}
		})
	}
}

// The error that this host sends about a frame it has received goes where its answer would go.
func TestHashICMPErrors(t *testing.T) {
	for _, c := range []struct {
		name     string
		received frametest.IP
		proto    uint8
		kinds    []uint8
	}{
		{"IPv4", frametest.IP{Src: "10.0.0.9", Dst: "10.0.0.1", Proto: 17, SrcPort: 777, DstPort: 53},
			1, []uint8{3, 4, 5, 11, 12}},
		{"IPv4 with options", frametest.IP{Src: "10.0.0.9", Dst: "10.0.0.1", Proto: 6, SrcPort: 777, DstPort: 80,
			Options: true}, 1, []uint8{3}},
		{"IPv4 echo", frametest.IP{Src: "10.0.0.9", Dst: "10.0.0.1", Proto: 1, Body: []byte{8, 0, 0, 0, 1, 2, 3, 4}}, 1,
			[]uint8{3}},
		{"IPv6", frametest.IP{Src: "fd00::9", Dst: "fd00::1", Proto: 17, SrcPort: 777, DstPort: 53},
			58, []uint8{1, 2, 3, 4}},
		{"IPv6 with extension", frametest.IP{Src: "fd00::9", Dst: "fd00::1", Proto: 6, SrcPort: 777, DstPort: 53,
			Options: true}, 58, []uint8{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := c.received
			reply := frametest.IP{Src: r.Dst, Dst: r.Src, Proto: r.Proto, SrcPort: r.DstPort, DstPort: r.SrcPort,
				Body: r.Body}
			for _, policy := range HashPolicies() {
				want := hashOf(policy, 5, reply.Frame())
				for _, kind := range c.kinds {
					// A router in between may have the error go to another address than the reply.
					e := frametest.IP{Src: r.Dst, Dst: r.Src, Proto: c.proto, Body: icmpError(kind, r.Packet())}
					if got := hashOf(policy, 5, e.Frame()); got != want {
						t.Errorf("%v, type %d: %#x, the reply has %#x", policy, kind, got, want)
					}
				}
			}
			// Only 8 octets of the transport header need to be there.
			q := r.Packet()
			e := frametest.IP{Src: r.Dst, Dst: r.Src, Proto: c.proto,
				Body: icmpError(c.kinds[0], q[:len(q)-len(transport(r))+8])}
			if got, want := hashOf(Layer34, 5, e.Frame()), hashOf(Layer34, 5, reply.Frame()); got != want {
				t.Errorf("cut quotation: %#x, the reply has %#x", got, want)
			}
		})
	}
}

func transport(p frametest.IP) []byte {
	if p.Body != nil {
		return p.Body
	}
	return make([]byte, 40)
}

// An error whose quotation cannot be read is still a frame between two addresses.
func TestHashBrokenICMPError(t *testing.T) {
	echo := frametest.IP{Src: "10.0.0.1", Dst: "10.0.0.2", Proto: 1, Body: []byte{8, 0, 0, 0, 0, 0, 0, 0}}
	broken := frametest.IP{Src: "10.0.0.1", Dst: "10.0.0.2", Proto: 1, Body: icmpError(3, []byte{0x45, 0, 0})}
	if x, y := hashOf(Layer34, 0, echo.Frame()), hashOf(Layer34, 0, broken.Frame()); x != y {
		t.Errorf("%#x and %#x", x, y)
	}
}

// Frozen: a change of any of these moves flows of running teams and breaks parity with the
// other data path.
func TestHashVectors(t *testing.T) {
	tcp := frametest.IP{Src: "10.0.0.1", Dst: "10.0.0.2", Proto: 6, SrcPort: 5000, DstPort: 80, DstMAC: 0x020000000200,
		TCI: 100}.Frame()
	udp6 := frametest.IP{Src: "fd00::1", Dst: "fd00::2", Proto: 17, SrcPort: 5000, DstPort: 53,
		DstMAC: 0x020000000200}.Frame()
	for _, c := range []struct {
		policy HashPolicy
		salt   uint64
		b      []byte
		want   uint64
	}{
		{Layer34, 0, tcp, 0x27de51a8d7d09721},
		{Layer34, 0xfeedface, tcp, 0x4f238c5e2c53365c},
		{Layer34, 0, udp6, 0x1a26b4c8e632c1d3},
		{Layer23, 0, tcp, 0x26c062edbeb8fdc7},
		{Layer2, 0, tcp, 0xa46617e7c1f529fb},
		{VLANSrcMAC, 0, tcp, 0x538ef3518ae0f4d7},
	} {
		if got := hashOf(c.policy, c.salt, c.b); got != c.want {
			t.Errorf("%v, salt %#x, %d octets: got %#x, want %#x", c.policy, c.salt, len(c.b), got, c.want)
		}
	}
}

// Each bit of what goes in turns each bit of what comes out about half of the time.
func TestHashAvalanche(t *testing.T) {
	base := frametest.IP{Src: "10.0.0.1", Dst: "10.0.0.2", Proto: 6, SrcPort: 5000, DstPort: 80}.Frame()
	const first, last = 14 + 12, 14 + 24 // addresses and ports
	var flips [64]int
	n := 0
	for salt := range uint64(50) {
		was := hashOf(Layer34, salt, base)
		for bit := first * 8; bit < last*8; bit++ {
			b := append([]byte(nil), base...)
			b[bit/8] ^= 1 << (bit % 8)
			d := hashOf(Layer34, salt, b) ^ was
			if k := bits.OnesCount64(d); k < 8 || k > 56 {
				t.Errorf("salt %d, bit %d: %d bits turned", salt, bit, k)
			}
			for i := range flips {
				flips[i] += int(d >> i & 1)
			}
			n++
		}
	}
	for i, f := range flips {
		if p := float64(f) / float64(n); p < 0.45 || p > 0.55 {
			t.Errorf("bit %d turned in %.3f of the cases", i, p)
		}
	}
}

// Linux clients take even source ports one after the other. Whatever the salt, the busiest of
// the members gets no more than chance would give it.
func TestConsecutiveEvenPortsSpread(t *testing.T) {
	for _, n := range []int{2, 3, 4, 8} {
		pl := planOf(RuleSlots, n)
		worst := 0.0
		for salt := range uint64(20) {
			pl.Hash.Salt = salt
			var p Picker
			var load [MaxMembers]int
			const flows = 4096
			for i := range flows {
				b := frametest.IP{Src: "10.0.0.1", Dst: "10.0.0.2", Proto: 6, SrcPort: uint16(32768 + 2*i),
					DstPort: 443}.Frame()
				var h frame.Headers
				frame.Parse(b, &h)
				load[p.Pick(pl, &h, b, len(b)).First()]++
			}
			for id := range n {
				worst = max(worst, float64(load[id])*float64(n)/flows)
			}
		}
		// The slots themselves are shared out by chance: 1024/8 = 128 ± 11.
		if worst > 1.35 {
			t.Errorf("%d members: the busiest carries %.2f times the mean", n, worst)
		}
	}
}

// Two teams one behind the other must not both choose the same: what the first sends by one
// member the second must spread.
func TestSaltsDoNotPolarise(t *testing.T) {
	pa, pb := planOf(RuleSlots, 2), planOf(RuleSlots, 2)
	pa.Hash.Salt, pb.Hash.Salt = 1, 2
	var p, q Picker
	var load [2]int
	for i := range 4000 {
		f := frametest.IP{Src: "10.0.0.1", Dst: "10.0.0.2", Proto: 6, SrcPort: uint16(10000 + i), DstPort: 443}.Frame()
		var h frame.Headers
		frame.Parse(f, &h)
		if p.Pick(pa, &h, f, len(f)).Has(0) {
			load[q.Pick(pb, &h, f, len(f)).First()]++
		}
	}
	if total := load[0] + load[1]; load[0] < total*2/5 || load[1] < total*2/5 {
		t.Errorf("what the first team sends by one member the second splits %v", load)
	}
}

func TestHashNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := frametest.IP{Src: "10.0.0.1", Dst: "10.0.0.2", Proto: rapid.Byte().Draw(t, "proto"),
			Body: rapid.SliceOfN(rapid.Byte(), 0, 80).Draw(t, "body")}.Frame()
		if rapid.Bool().Draw(t, "v6") {
			b = frametest.IP{Src: "fd00::1", Dst: "fd00::2",
				Proto: rapid.SampledFrom([]uint8{0, 43, 44, 58, 60}).Draw(t, "next"),
				Body:  rapid.SliceOfN(rapid.Byte(), 0, 80).Draw(t, "body6")}.Frame()
		}
		b = b[:rapid.IntRange(14, len(b)).Draw(t, "cut")]
		for _, p := range append(HashPolicies(), 99) {
			hashOf(p, 0, b)
		}
	})
}

func FuzzHash(f *testing.F) {
	f.Add(frametest.IP{Src: "10.0.0.1", Dst: "10.0.0.2", Proto: 1,
		Body: icmpError(3, frametest.IP{Src: "10.0.0.2", Dst: "10.0.0.1", Proto: 6}.Packet())}.Frame())
	f.Add(frametest.IP{Src: "fd00::1", Dst: "fd00::2", Proto: 58,
		Body: icmpError(1, frametest.IP{Src: "fd00::2", Dst: "fd00::1", Proto: 17, Options: true}.Packet())}.Frame())
	f.Fuzz(func(t *testing.T, b []byte) {
		before := string(b)
		for _, p := range HashPolicies() {
			if s := Slot(hashOf(p, 1, b)); s < 0 || s >= SlotCount {
				t.Fatalf("slot %d", s)
			}
		}
		if string(b) != before {
			t.Fatal("the frame was changed")
		}
	})
}
