// SPDX-License-Identifier: MIT

package spread

import (
	"testing"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
)

// Whatever comes in, and whatever is read: nothing panics, frames leave by members that may send, and clocks stay sane.
func FuzzShortest(f *testing.F) {
	f.Add(flowFrame(1).b, int64(ms), uint64(1514), 1514, 3, uint64(MaxShare))
	f.Add(frametest.IP{Src: "10.0.0.1", Dst: "224.0.0.22", Proto: 2, DstMAC: 0x01005e000016}.Frame(), int64(-1),
		uint64(1<<63), -1, 0, uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, wait int64, sent uint64, waiting, id int, weight uint64) {
		pl := shortestPlan(100, -1000, 0, 10)
		pl.Weights[0] = uint32(weight % (MaxShare + 1))
		pl.Shortest.Rates[3] = weight
		var h frame.Headers
		if !frame.Parse(b, &h) {
			return
		}
		var p Picker
		for i := range 20 {
			p.Now += wait % (1000 * ms)
			if set := p.Pick(pl, &h, b, 1+int(sent%(1<<24))); set.Len() > 1 || set&^pl.Distributing != 0 {
				t.Fatalf("by %b", set)
			}
			p.Measured((id+i)%MaxMembers, sent, waiting)
			for id, q := range p.Flows().Members {
				if pl.Distributing.Has(id) && wait >= 0 && (q.Clock < 0 || q.Clock > p.Now+2*maxAhead || q.Rate == 0 ||
					q.lateBy < 0 || q.all > p.Now+maxAhead) {
					t.Fatalf("member %d: %+v at %d", id, q, p.Now)
				}
			}
		}
	})
}

func TestShortestAllocatesNothing(t *testing.T) {
	a, b := shortestPlan(100, 500, -1), shortestPlan(100, 0, 1000)
	f := flowFrame(3)
	var p Picker
	if p.Flows() != nil {
		t.Error("a flow table before it is needed")
	}
	f.pick(&p, a, 1514)
	table := p.Flows()
	if n := testing.AllocsPerRun(100, func() {
		for _, pl := range []*Plan{a, b} {
			p.Now += 20 * ms
			f.pick(&p, pl, 1514)
			p.Measured(0, 1514, 64000)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	p.Pick(planOf(RuleRoundRobin, 2), &f.h, f.b, 1514)
	if p.Flows() != table {
		t.Error("another mode lost the flow table")
	}
}

func BenchmarkPickShortest(b *testing.B) {
	frames := make([]*parsed, 1024)
	for i := range frames {
		frames[i] = flowFrame(i)
	}
	for _, c := range []struct {
		name string
		pl   *Plan
		gap  int64 // ns
	}{
		{"stay", shortestPlan(1000, 1000, 1000, 1000), 100},
		{"choose", shortestPlan(10000, 10000, 10000, 10000), 1_000_000},
		{"rest", shortestPlan(10000, 10000, 10000, 10000), 2_000_000_000},
		{"slots", planOf(RuleSlots, 4), 100},
	} {
		b.Run(c.name, func(b *testing.B) {
			var p Picker
			i := 0
			for b.Loop() {
				f := frames[i&1023]
				i++
				p.Now += c.gap
				p.Pick(c.pl, &f.h, f.b, 1514)
			}
		})
	}
}
