// SPDX-License-Identifier: MIT

package spread

import (
	"testing"

	"pgregory.net/rapid"
)

// returningBy returns a copy of pl in which a member gets all but so many 256ths of the slots.
func returningBy(pl *Plan, id int, closed uint8) *Plan {
	p, s := *pl, *pl.Shortest
	s.Closed[id] = closed
	p.Shortest = &s
	return &p
}

// A member that returns gets its part of new flows, whether the others are idle or its empty queue is the shortest by
// far. Flows that it got at one step stay with it at the next.
func TestReturningMemberGetsPartOfTheFlows(t *testing.T) {
	for _, busy := range []bool{false, true} {
		var before map[int]bool
		for _, closed := range []uint8{255, 231, 128, 26, 1, 0} {
			pl := returningBy(shortestPlan(1000, 1000, 1000), 1, closed)
			var p Picker
			got := map[int]bool{}
			const flows = 3000
			for i := range flows {
				p.Now += 100 * ms
				if busy {
					p.Now -= 100*ms - 20*us
					for id := range 3 {
						p.shortestRule().flows.Members[id].Clock = p.Now
						if id != 1 {
							p.shortestRule().flows.Members[id].Clock += 5 * ms
						}
					}
				}
				if flowFrame(i).pick(&p, pl, 1514) == 1 {
					got[i] = true
				}
			}
			all := 1.0 / 3
			if busy {
				all = 1
			}
			want := all * float64(256-int(closed)) / 256
			if part := float64(len(got)) / flows; part < want-0.04 || part > want+0.04 {
				t.Errorf("busy %v, closed %d: %.3f of the flows, want %.3f", busy, closed, part, want)
			}
			for i := range before {
				if !got[i] {
					t.Fatalf("busy %v, closed %d: flow %d is not the member's any more", busy, closed, i)
				}
			}
			before = got
		}
	}
}

// A slot that is closed for all targets goes where it would go if it were closed for none.
func TestAllClosedIsNoneClosed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		none := shortestPlan(100, 500, 1000)
		all := returningBy(returningBy(suspecting(none, 0), 1, 255), 2, 255)
		none = suspecting(none, 0)
		var a, b Picker
		for range rapid.IntRange(1, 200).Draw(t, "frames") {
			a.Now += rapid.SampledFrom([]int64{0, 0, 50 * us, 700 * us, 5 * ms}).Draw(t, "wait")
			b.Now = a.Now
			f := flowFrame(rapid.IntRange(0, 19).Draw(t, "flow"))
			if all.ClosedTo(flowSlot(all, &f.h, f.b)) != 0b110 {
				continue
			}
			if x, y := f.pick(&a, none, 1514), f.pick(&b, all, 1514); x != y {
				t.Fatalf("by %d, with all closed by %d", x, y)
			}
		}
	})
}

// Flows that never pause are moved to a member that returns only if their slots are open.
func TestRebalancerKeepsToOpenSlots(t *testing.T) {
	pl := returningBy(shortestPlan(100, 100), 1, 128)
	var r Rebalancer
	var f FlowTable
	for id := range 2 {
		f.Members[id].Rate = 100e6
	}
	moved := 0
	for range 4 {
		f.Now += 1_000_000_000
		for i := range 40 {
			f.Slots[i].Bytes += 2e6 / 8
		}
		for _, m := range r.Moves(&f, pl) {
			moved++
			if pl.ClosedTo(int(m.Slot)).Has(int(m.To)) {
				t.Errorf("slot %d is moved to %d, where it is closed", m.Slot, m.To)
			}
		}
	}
	if moved < 5 {
		t.Errorf("%d moves", moved)
	}
}
