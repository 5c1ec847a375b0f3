// SPDX-License-Identifier: MIT

package spread

import "testing"

// Of what is closed the member gets no new flow, of the rest at most what it would get anyway; and what is open stays
// open in the next step.
func TestClosedSlotsGoElsewhere(t *testing.T) {
	const flows = 4000
	gets := func(closed uint8) (n int) {
		pl := shortestPlan(1000, 1000)
		pl.Shortest.Closed[1] = closed
		var p Picker
		for i := range flows {
			p.Now += 10 * ms
			f := flowFrame(i)
			id, slot := f.pick(&p, pl, 1514), flowSlot(pl, &f.h, f.b)
			if id == 1 {
				n++
				if !pl.Shortest.Open(slot, 1) {
					t.Fatalf("closed %d: slot %d went to member 1", closed, slot)
				}
				earlier := *pl.Shortest
				if earlier.Closed[1] /= 2; !earlier.Open(slot, 1) {
					t.Fatalf("closed %d: slot %d was open before", closed, slot)
				}
			}
		}
		return n
	}
	for _, c := range []struct {
		closed      uint8
		least, most int // of 100
	}{{0, 45, 55}, {26, 45, 55}, {128, 33, 42}, {230, 8, 12}, {255, 0, 1}} {
		if n := gets(c.closed) * 100 / flows; n < c.least || n > c.most {
			t.Errorf("closed %d of 256: %d %% of the flows, want %d to %d", c.closed, n, c.least, c.most)
		}
	}
}

// A flow that the member has is not taken away.
func TestClosedSlotsStay(t *testing.T) {
	pl := shortestPlan(1000, 1000)
	closed := shortestPlan(1000, 1000)
	closed.Shortest.Closed = [MaxMembers]uint8{255, 255}
	var p Picker
	for i := range 50 {
		p.Now += 10 * ms
		f := flowFrame(i)
		was := f.pick(&p, pl, 1514)
		p.Now += 10 * ms
		if id := f.pick(&p, closed, 1514); id != was {
			t.Fatalf("flow %d went from %d to %d", i, was, id)
		}
	}
}

// Where all members are closed to a slot it goes to any.
func TestClosedToAll(t *testing.T) {
	pl := shortestPlan(1000, 1000)
	pl.Shortest.Closed = [MaxMembers]uint8{255, 255}
	var p Picker
	var n [2]int
	for i := range 1000 {
		p.Now += 10 * ms
		n[flowFrame(i).pick(&p, pl, 1514)]++
	}
	if n[0] < 400 || n[1] < 400 {
		t.Errorf("%v flows", n)
	}
}

// Flows that never pause are not forced to where they may not go.
func TestRebalancerKeepsClosedSlotsClosed(t *testing.T) {
	pl := shortestPlan(100, 100)
	pl.Shortest.Closed[1] = 128
	var r Rebalancer
	var f FlowTable
	for id := range 2 {
		f.Members[id].Rate = 100e6
	}
	moved := 0
	for range 4 {
		f.Now += 1000 * ms
		for i := range 40 {
			f.Slots[i].Bytes += 2e6 / 8
		}
		for _, m := range r.Moves(&f, pl) {
			moved++
			if !pl.Shortest.Open(int(m.Slot), int(m.To)) {
				t.Errorf("%+v", m)
			}
		}
	}
	if moved == 0 {
		t.Error("nothing moves")
	}
}
