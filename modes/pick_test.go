package modes

import (
	"math"
	"math/big"
	"testing"

	"nicteam/internal/frame"

	"pgregory.net/rapid"
)

// units sends n units of the sizes that size gives, and returns the bytes by member.
func units(p *Picker, pl *Plan, n int, size func(i int) int) (load [MaxMembers]int, order []int) {
	var h frame.Headers
	for i := range n {
		s := size(i)
		m := p.Pick(pl, &h, nil, s)
		if m.Len() != 1 {
			panic("not one member")
		}
		load[m.First()] += s
		order = append(order, m.First())
	}
	return load, order
}

func always(n int) func(int) int { return func(int) int { return n } }

func TestRoundRobinAlternates(t *testing.T) {
	for _, n := range []int{1, 2, 3, 8} {
		pl := start(state(RoundRobin, n)).Plan()
		_, order := units(&Picker{}, pl, 100, always(1514))
		for i, id := range order {
			if id != i%n {
				t.Fatalf("%d members: unit %d by %d, order %v", n, i, id, order[:i+1])
			}
		}
	}
}

func TestPacketsPerMember(t *testing.T) {
	st := state(RoundRobin, 3)
	st.Settings.PacketsPerMember = 4
	_, order := units(&Picker{}, start(st).Plan(), 48, always(100))
	for i, id := range order {
		if id != i/4%3 {
			t.Fatalf("unit %d by %d, order %v", i, id, order[:i+1])
		}
	}
}

// A pair of weights 1 and 10 is used 1 to 10 by bytes, whatever the frames' sizes.
func TestRoundRobinIsWeighted(t *testing.T) {
	for _, packets := range []int{0, 1, 3} {
		st := state(RoundRobin, 2)
		st.Members[1].Weight = 10
		st.Settings.PacketsPerMember = packets
		for name, size := range map[string]func(int) int{
			"equal": always(1514),
			"mixed": func(i int) int { return []int{60, 66000, 1514, 66, 9014, 60, 60}[i%7] },
		} {
			load, _ := units(&Picker{}, start(st).Plan(), 50000, size)
			want := 10.0
			if got := float64(load[1]) / float64(load[0]); math.Abs(got/want-1) > 0.05 {
				t.Errorf("packets_per_member %d, %s sizes: 1 to %.2f, want 1 to 10", packets, name, got)
			}
		}
	}
}

// One of six is dead: each of the others carries a fifth.
func TestSurvivorsShareEvenly(t *testing.T) {
	for _, packets := range []int{0, 1, 2} {
		for dead := range 6 {
			st := state(RoundRobin, 6)
			st.Settings.PacketsPerMember = packets
			m := start(st)
			var p Picker
			units(&p, m.Plan(), 1001, always(1514))
			m.Handle(t0, change(st, func(m []Member) { m[dead].Usable = false }))
			const n = 50000
			load, _ := units(&p, m.Plan(), n, func(i int) int { return 60 + i%1454 })
			total := 0
			for _, b := range load {
				total += b
			}
			for id := range 6 {
				got := 100 * float64(load[id]) / float64(total)
				want := 20.0
				if id == dead {
					want = 0
				}
				if math.Abs(got-want) > 1 || id == dead && got > 0 {
					t.Errorf("packets_per_member %d, %d dead: %d carries %.2f %%", packets, dead, id, got)
				}
			}
		}
	}
}

// A member that comes back gets its share from then on, not what it has missed.
func TestNewcomerIsNotOwed(t *testing.T) {
	st := state(RoundRobin, 2)
	m := start(change(st, func(m []Member) { m[1].Usable = false }))
	var p Picker
	units(&p, m.Plan(), 100000, always(1514))
	m.Handle(t0, st)
	_, order := units(&p, m.Plan(), 10, always(1514))
	for i := 2; i < len(order); i++ {
		if order[i] != order[i-2] || order[i] == order[i-1] {
			t.Fatalf("order %v", order)
		}
	}
}

// slowRoundRobin is the rule of Picker with exact fractions.
type slowRoundRobin struct{ clock [MaxMembers]*big.Rat }

func (s *slowRoundRobin) pick(pl *Plan, bytes int) int {
	best := -1
	for id := range MaxMembers {
		if !pl.Distributing.Has(id) {
			continue
		}
		if s.clock[id] == nil {
			s.clock[id] = new(big.Rat)
		}
		if best < 0 || s.clock[id].Cmp(s.clock[best]) < 0 {
			best = id
		}
	}
	s.clock[best].Add(s.clock[best], big.NewRat(int64(bytes)*MaxShare, int64(pl.Weights[best])))
	return best
}

// The integers of Picker choose as exact fractions do, but for the rounding of ties: no member
// is ever further from its exact part than one unit.
func TestPickerIsTheSlowRoundRobin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := state(RoundRobin, rapid.IntRange(1, 6).Draw(t, "members"))
		for i := range st.Members {
			st.Members[i].Weight = float64(rapid.IntRange(1, 20).Draw(t, "weight"))
		}
		pl := start(st).Plan()
		var p Picker
		var slow slowRoundRobin
		var fast, exact [MaxMembers]int
		var h frame.Headers
		for _, size := range rapid.SliceOfN(rapid.IntRange(60, 66000), 1, 500).Draw(t, "sizes") {
			fast[p.Pick(pl, &h, nil, size).First()] += size
			exact[slow.pick(pl, size)] += size
		}
		for id := range fast {
			if d := fast[id] - exact[id]; d > 66000 || d < -66000 {
				t.Errorf("member %d: %d bytes, exactly %d", id, fast[id], exact[id])
			}
		}
	})
}

// Clocks that wrap keep the order.
func TestClocksWrap(t *testing.T) {
	pl := start(state(RoundRobin, 3)).Plan()
	var p Picker
	units(&p, pl, 3, always(100))
	for id := range 3 {
		p.ledger.Turns.Clock[id] -= 1000 * MaxShare
	}
	first := p.ledger.Turns.Clock[0]
	_, order := units(&p, pl, 300, always(100))
	for i, id := range order {
		if id != i%3 {
			t.Fatalf("unit %d by %d", i, id)
		}
	}
	if p.ledger.Turns.Clock[0] > first {
		t.Error("the clocks have not wrapped: the test tests nothing")
	}
}

// Whatever programs have left in the Ledger, the member is one of the Plan.
func TestTurnOfAMemberThatIsNoMore(t *testing.T) {
	pl := start(state(RoundRobin, 3)).Plan()
	for _, turn := range []uint32{3, 63, 64, 1 << 31} {
		var p Picker
		units(&p, pl, 1, always(100))
		p.ledger.Turns.Turn, p.ledger.Turns.Left = turn, 7
		if set := p.Pick(pl, &frame.Headers{}, nil, 100); set == 0 || set&^pl.Distributing != 0 {
			t.Errorf("turn %d: by %b", turn, set)
		}
	}
}

// Whatever the Plan, a frame leaves only by members that distribute in it, and by one of them
// unless the Plan wants copies or has nobody.
func TestPickObeysThePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p Picker
		st := drawState(t)
		for range 3 {
			drawMembers(t, &st)
			pl := start(st).Plan()
			var used MemberSet
			for i := range 400 {
				b := ip{src: "10.0.0.1", dst: "10.0.0.2", proto: 6, sport: uint16(i), dport: 80, dstMAC: frame.MAC(i), tci: uint16(i)}.frame()
				var h frame.Headers
				frame.Parse(b, &h)
				got := p.Pick(pl, &h, b, len(b))
				if got&^pl.Distributing != 0 {
					t.Fatalf("by %b, distributing %b", got, pl.Distributing)
				}
				want := 1
				if pl.Spread == SpreadBroadcast {
					want = pl.Distributing.Len()
				}
				if pl.Distributing == 0 {
					want = 0
				}
				if got.Len() != want {
					t.Fatalf("by %b, distributing %b, spread %d", got, pl.Distributing, pl.Spread)
				}
				used |= got
				may := pl.Distributing
				if pl.Spread == SpreadSingle && pl.Next >= 0 { // who is about to take over
					may = may.With(pl.Next)
				}
				if o := Other(pl, got); o >= 0 && (got.Has(o) || !may.Has(o)) || o < 0 && may&^got != 0 {
					t.Fatalf("refused by %b, other is %d, of %b", got, o, may)
				}
			}
			if pl.Spread == SpreadSingle && used != pl.Distributing {
				t.Fatalf("used %b, distributing %b", used, pl.Distributing)
			}
		}
	})
}

// A Plan that contradicts itself sends nothing by a member that may not send.
func TestPickTrustsDistributing(t *testing.T) {
	b := ip{src: "10.0.0.1", dst: "10.0.0.2", proto: 6}.frame()
	var h frame.Headers
	frame.Parse(b, &h)
	slots := make([]uint8, SlotCount)
	for i := range slots {
		slots[i] = 3
	}
	for _, pl := range []*Plan{
		{Spread: SpreadSingle, Single: 3, Distributing: 0b1},
		{Spread: SpreadSlots, Slots: slots, Distributing: 0b1},
		{Spread: SpreadSlots, Distributing: 0b1},
		{Spread: SpreadRoundRobin, Weights: [MaxMembers]uint32{3: 1}, Distributing: 0b1, PacketsPerMember: 1},
		{Spread: 99, Distributing: 0b1},
	} {
		var p Picker
		if got := p.Pick(pl, &h, b, len(b)); got != 0 {
			t.Errorf("spread %d: by %b", pl.Spread, got)
		}
	}
}

// With weights that do not differ by orders of magnitude every usable member carries something.
func TestEveryUsableMemberIsUsed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]Kind{RoundRobin, XOR, Broadcast}).Draw(t, "kind")
		st := state(kind, rapid.IntRange(1, 8).Draw(t, "members"))
		st.Settings.Salt = rapid.Uint64().Draw(t, "salt")
		st.Settings.PacketsPerMember = rapid.IntRange(0, 3).Draw(t, "packets")
		for i := range st.Members {
			st.Members[i].Weight = rapid.Float64Range(1, 5).Draw(t, "weight")
		}
		pl := start(st).Plan()
		var p Picker
		var used MemberSet
		for i := range 2000 {
			b := ip{src: "10.0.0.1", dst: "10.0.0.2", proto: 17, sport: uint16(2 * i), dport: 80}.frame()
			var h frame.Headers
			frame.Parse(b, &h)
			used |= p.Pick(pl, &h, b, len(b))
		}
		if used != pl.Distributing || used.Len() != len(st.Members) {
			t.Errorf("used %b of %d members", used, len(st.Members))
		}
	})
}

func TestPickAllocatesNothing(t *testing.T) {
	frames := [][]byte{
		ip{src: "fd00::1", dst: "fd00::2", proto: 6, sport: 1, dport: 2, options: true, tci: 5}.frame(),
		ip{src: "10.0.0.1", dst: "10.0.0.2", proto: 1, body: icmpError(3, ip{src: "10.0.0.2", dst: "10.0.0.1", proto: 17}.packet())}.frame(),
	}
	for _, kind := range []Kind{RoundRobin, ActiveBackup, XOR, Broadcast} {
		a, b := start(state(kind, 3)).Plan(), start(state(kind, 2)).Plan()
		var p Picker
		sent := MemberSet(0)
		if n := testing.AllocsPerRun(100, func() {
			for _, pl := range []*Plan{a, b} { // each Plan is new to the Picker
				for _, f := range frames {
					var h frame.Headers
					frame.Parse(f, &h)
					m := p.Pick(pl, &h, f, len(f))
					sent |= m
					Other(pl, m)
				}
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations", kind, n)
		}
		if sent == 0 {
			t.Errorf("%v: nothing was sent", kind)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	f := ip{src: "10.0.0.1", dst: "10.0.0.2", proto: 6, sport: 5000, dport: 80}.frame()
	var h frame.Headers
	frame.Parse(f, &h)
	for _, kind := range []Kind{RoundRobin, ActiveBackup, XOR} {
		b.Run(kind.String(), func(b *testing.B) {
			pl := start(state(kind, 4)).Plan()
			var p Picker
			for b.Loop() {
				p.Pick(pl, &h, f, len(f))
			}
		})
	}
}
