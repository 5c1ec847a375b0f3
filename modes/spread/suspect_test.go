// SPDX-License-Identifier: MIT

package spread

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// suspecting returns a copy of pl with these members suspect.
func suspecting(pl *Plan, ids ...int) *Plan {
	p := *pl
	p.Suspect = 0
	for _, id := range ids {
		p.Suspect = p.Suspect.With(id)
	}
	return &p
}

func TestFlowTargets(t *testing.T) {
	for _, c := range []struct{ distributing, suspect, want MemberSet }{
		{0b111, 0, 0b111}, {0b111, 0b010, 0b101}, {0b011, 0b011, 0b011}, {0b001, 0b001, 0b001}, {0b011, 0b100, 0b011},
		{0, 0b1, 0},
	} {
		if got := (&Plan{Distributing: c.distributing, Suspect: c.suspect}).FlowTargets(); got != c.want {
			t.Errorf("%+v: %b", c, got)
		}
	}
}

// The empty queue of a dead member is always the shortest: once the member is suspect, no flow goes there.
func TestNoFlowGoesToASuspectMember(t *testing.T) {
	pl := shortestPlan(100, 1000, 100)
	var p Picker
	for i := range 300 { // the others are busy
		p.Now += 20 * us
		flowFrame(i).pick(&p, pl, 1514)
	}
	began := p.Now
	pl = suspecting(pl, 1)
	for i := 1000; i < 1300; i++ {
		p.Now += 20 * us
		if flowFrame(i).pick(&p, pl, 1514) == 1 {
			t.Fatalf("a new flow went to the suspect member after %v", time.Duration(p.Now-began))
		}
	}
	if pl = suspecting(pl); flowFrame(2000).pick(&p, pl, 1514) != 1 {
		t.Error("cleared, its empty queue is not used")
	}
}

// A flow of a suspect member stays while its frames may be under way, and leaves in its first pause, whether or not
// another member offers an advantage.
func TestFlowsLeaveASuspectMemberInAPause(t *testing.T) {
	pl := shortestPlan(1000, 1000)
	f := flowFrame(5)
	var p Picker
	p.Now = ms
	was := f.pick(&p, pl, 1514)
	suspect := suspecting(pl, was)
	for range 50 {
		p.Now += 100 * us // < skew
		if id := f.pick(&p, suspect, 1514); id != was {
			t.Fatalf("by %d after %d us, its frames may still be under way with %d", id, p.Now/us, was)
		}
	}
	p.Now += ms
	if id := f.pick(&p, pl, 64); id != was {
		t.Fatalf("a member that is not suspect lost its flow to %d", id)
	}
	p.Now += ms
	if id := f.pick(&p, suspect, 64); id == was {
		t.Fatal("it stays with the suspect member after a pause")
	}
}

// An order to move there waits until the suspicion is over.
func TestNoOrderGoesToASuspectMember(t *testing.T) {
	pl := shortestPlan(100, 100, 100)
	f := flowFrame(5)
	var p Picker
	was := f.pick(&p, pl, 1514)
	to := (was + 1) % 3
	ordered := suspecting(pl, to)
	order(ordered, Move{Slot: uint16(flowSlot(pl, &f.h, f.b)), To: uint8(to)})
	for range 400 {
		p.Now += 100 * us
		if id := f.pick(&p, ordered, 1514); id != was {
			t.Fatalf("by %d", id)
		}
	}
	if id := f.pick(&p, suspecting(ordered), 1514); id != to {
		t.Errorf("by %d once nobody is suspect, the order says %d", id, to)
	}
}

// Where all members are suspect suspicion says nothing: everything is as if none were.
func TestAllSuspectIsNoneSuspect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		none := shortestPlan(100, 500, 1000)
		all := suspecting(none, 0, 1, 2)
		var a, b Picker
		for range rapid.IntRange(1, 200).Draw(t, "frames") {
			a.Now += rapid.SampledFrom([]int64{0, 0, 50 * us, 700 * us, 5 * ms}).Draw(t, "wait")
			b.Now = a.Now
			f := flowFrame(rapid.IntRange(0, 19).Draw(t, "flow"))
			if x, y := f.pick(&a, none, 1514), f.pick(&b, all, 1514); x != y {
				t.Fatalf("by %d, with all suspect by %d", x, y)
			}
		}
	})
}

// A refused frame goes to a suspect member only if there is no other.
func TestOtherAvoidsSuspectMembers(t *testing.T) {
	pl := suspecting(shortestPlan(100, 100, 100), 0)
	for _, c := range []struct {
		tried MemberSet
		want  int
	}{{0b010, 2}, {0b110, 0}, {0b111, -1}} {
		if got := Other(pl, c.tried); got != c.want {
			t.Errorf("tried %b: %d, want %d", c.tried, got, c.want)
		}
	}
}

// Flows that never pause are rebalanced among the others.
func TestRebalancerLeavesSuspectMembersAlone(t *testing.T) {
	pl := shortestPlan(100, 100, 100)
	moves := func(pl *Plan) (all []Move) {
		var r Rebalancer
		var f FlowTable
		for i := range 8 { // 8 flows of 10 Mbit/s on member 0
			f.Slots[i].Member = 0
		}
		for id := range 3 {
			f.Members[id].Rate = 100e6
		}
		for range 4 {
			f.Now += int64(time.Second)
			for i := range 8 {
				f.Slots[i].Bytes += 10e6 / 8
			}
			all = append(all, r.Moves(&f, pl)...)
		}
		return all
	}
	to := func(all []Move) (set MemberSet) {
		for _, m := range all {
			set = set.With(int(m.To))
		}
		return set
	}
	if got := to(moves(pl)); got != 0b110 {
		t.Errorf("moves to %b, want 110", got)
	}
	if got := to(moves(suspecting(pl, 1))); got != 0b100 {
		t.Errorf("moves to %b while 1 is suspect", got)
	}
	if got := moves(suspecting(pl, 0)); got != nil {
		t.Errorf("moves from a suspect member: %v", got)
	}
}
