// SPDX-License-Identifier: MIT

package spread

import (
	"math"
	"math/big"
	"slices"
	"testing"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"

	"pgregory.net/rapid"
)

// planOf returns a Plan of that rule for the members 0 to n-1, with equal shares.
func planOf(rule Rule, n int) *Plan {
	return weighted(rule, slices.Repeat([]float64{1}, n)...)
}

// weighted returns a Plan of that rule for as many members as there are weights.
func weighted(rule Rule, weights ...float64) *Plan {
	pl := &Plan{Rule: rule, Adapter: frametest.Adapter, PacketsPerMember: 1, Next: -1}
	for id, w := range weights {
		pl.Distributing = pl.Distributing.With(id)
		pl.Weights[id] = uint32(math.Round(w / slices.Max(weights) * MaxShare))
	}
	switch rule {
	case RuleSingle:
		pl.Distributing = 1
	case RuleSlots:
		pl.Slots = &SlotTable{Members: AssignSlots(&pl.Weights)}
	}
	return pl
}

// without returns pl without a member.
func without(pl *Plan, id int) *Plan {
	less := *pl
	less.Distributing, less.Weights[id] = pl.Distributing.Without(id), 0
	return &less
}

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
		pl := planOf(RuleRoundRobin, n)
		_, order := units(&Picker{}, pl, 100, always(1514))
		for i, id := range order {
			if id != i%n {
				t.Fatalf("%d members: unit %d by %d, order %v", n, i, id, order[:i+1])
			}
		}
	}
}

func TestPacketsPerMember(t *testing.T) {
	pl := planOf(RuleRoundRobin, 3)
	pl.PacketsPerMember = 4
	_, order := units(&Picker{}, pl, 48, always(100))
	for i, id := range order {
		if id != i/4%3 {
			t.Fatalf("unit %d by %d, order %v", i, id, order[:i+1])
		}
	}
}

// A pair of weights 1 and 10 is used 1 to 10 by bytes, whatever the frames' sizes.
func TestRoundRobinIsWeighted(t *testing.T) {
	for _, packets := range []int{0, 1, 3} {
		pl := weighted(RuleRoundRobin, 1, 10)
		pl.PacketsPerMember = packets
		for name, size := range map[string]func(int) int{
			"equal": always(1514),
			"mixed": func(i int) int { return []int{60, 66000, 1514, 66, 9014, 60, 60}[i%7] },
		} {
			load, _ := units(&Picker{}, pl, 50000, size)
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
			all := planOf(RuleRoundRobin, 6)
			all.PacketsPerMember = packets
			var p Picker
			units(&p, all, 1001, always(1514))
			const n = 50000
			load, _ := units(&p, without(all, dead), n, func(i int) int { return 60 + i%1454 })
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
	both := planOf(RuleRoundRobin, 2)
	var p Picker
	units(&p, without(both, 1), 100000, always(1514))
	_, order := units(&p, both, 10, always(1514))
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
		var weights []float64
		for range rapid.IntRange(1, 6).Draw(t, "members") {
			weights = append(weights, float64(rapid.IntRange(1, 20).Draw(t, "weight")))
		}
		pl := weighted(RuleRoundRobin, weights...)
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
	pl := planOf(RuleRoundRobin, 3)
	var p Picker
	units(&p, pl, 3, always(100))
	for id := range 3 {
		p.state.RoundRobin.Clock[id] -= 1000 * MaxShare
	}
	first := p.state.RoundRobin.Clock[0]
	_, order := units(&p, pl, 300, always(100))
	for i, id := range order {
		if id != i%3 {
			t.Fatalf("unit %d by %d", i, id)
		}
	}
	if p.state.RoundRobin.Clock[0] > first {
		t.Error("the clocks have not wrapped: the test tests nothing")
	}
}

// Whatever programs have left in TxState, the member is one of the Plan.
func TestTurnOfAMemberThatIsNoMore(t *testing.T) {
	pl := planOf(RuleRoundRobin, 3)
	for _, turn := range []uint32{3, 63, 64, 1 << 31} {
		var p Picker
		units(&p, pl, 1, always(100))
		p.state.RoundRobin.Member, p.state.RoundRobin.Left = turn, 7
		if set := p.Pick(pl, &frame.Headers{}, nil, 100); set == 0 || set&^pl.Distributing != 0 {
			t.Errorf("turn %d: by %b", turn, set)
		}
	}
}

// A Plan that contradicts itself sends nothing by a member that may not send.
func TestPickTrustsDistributing(t *testing.T) {
	b := frametest.IP{Src: "10.0.0.1", Dst: "10.0.0.2", Proto: 6}.Frame()
	var h frame.Headers
	frame.Parse(b, &h)
	slots := make([]uint8, SlotCount)
	for i := range slots {
		slots[i] = 3
	}
	for _, pl := range []*Plan{
		{Rule: RuleSingle, Active: 3, Distributing: 0b1},
		{Rule: RuleSlots, Slots: &SlotTable{Members: slots}, Distributing: 0b1},
		{Rule: RuleSlots, Distributing: 0b1},
		{Rule: RuleRoundRobin, Weights: [MaxMembers]uint32{3: 1}, Distributing: 0b1, PacketsPerMember: 1},
		{Rule: 99, Distributing: 0b1},
	} {
		var p Picker
		if got := p.Pick(pl, &h, b, len(b)); got != 0 {
			t.Errorf("spread %d: by %b", pl.Rule, got)
		}
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	frames := [][]byte{
		frametest.IP{Src: "fd00::1", Dst: "fd00::2", Proto: 6, SrcPort: 1, DstPort: 2, Options: true, TCI: 5}.Frame(),
		frametest.IP{Src: "10.0.0.1", Dst: "10.0.0.2", Proto: 1,
			Body: icmpError(3, frametest.IP{Src: "10.0.0.2", Dst: "10.0.0.1", Proto: 17}.Packet())}.Frame(),
	}
	for _, rule := range []Rule{RuleRoundRobin, RuleSingle, RuleSlots, RuleBroadcast} {
		a, b := planOf(rule, 3), planOf(rule, 2)
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
			t.Errorf("rule %d: %v allocations", rule, n)
		}
		if sent == 0 {
			t.Errorf("rule %d: nothing was sent", rule)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	f := frametest.IP{Src: "10.0.0.1", Dst: "10.0.0.2", Proto: 6, SrcPort: 5000, DstPort: 80}.Frame()
	var h frame.Headers
	frame.Parse(f, &h)
	for name, rule := range map[string]Rule{"round-robin": RuleRoundRobin, "active-backup": RuleSingle,
		"xor": RuleSlots} {
		b.Run(name, func(b *testing.B) {
			pl := planOf(rule, 4)
			var p Picker
			for b.Loop() {
				p.Pick(pl, &h, f, len(f))
			}
		})
	}
}
