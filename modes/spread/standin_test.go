// SPDX-License-Identifier: MIT

package spread

import (
	"slices"
	"testing"

	"nicteam/internal/frame"

	"pgregory.net/rapid"
)

func TestSuccessorsStandIn(t *testing.T) {
	pl := &Plan{Rule: RuleSingle, Distributing: 1, Next: 2, Later: []uint8{1, 3}, Least: 1}
	for _, c := range []struct {
		dead MemberSet
		want int
	}{{0b1, 2}, {0b101, 1}, {0b111, 3}, {0b1111, -1}} {
		if got := StandIn(pl, &TxState{}, c.dead, NoSlot, 1, 0); got != c.want {
			t.Errorf("dead %b: %d, want %d", c.dead, got, c.want)
		}
		for id := range 4 {
			if got := StandsIn(pl, c.dead, id); got != (id == c.want) {
				t.Errorf("dead %b: %d stands in is %v", c.dead, id, got)
			}
		}
	}
	if StandsIn(pl, 0, 2) || StandsIn(&Plan{Rule: RuleSlots, Active: 0, Next: 2}, 1, 2) {
		t.Error("the next active member stands in for none that is dead")
	}
	pl.Next, pl.Later = -1, nil
	if got := StandIn(pl, &TxState{}, 1, NoSlot, 1, 0); got != -1 {
		t.Errorf("without a successor: %d", got)
	}
}

// The stand-in of a slot is the member that has it in the Plan that follows the death.
func TestSlotsGoWhereThePlanWithoutTheDeadOneHasThem(t *testing.T) {
	unused := &TxState{}
	rapid.Check(t, func(t *rapid.T) {
		pl := &Plan{Rule: RuleSlots, Next: -1, Least: 1}
		for id := range rapid.IntRange(2, 9).Draw(t, "members") {
			pl.Weights[id] = uint32(rapid.IntRange(1, MaxShare).Draw(t, "share"))
			pl.Distributing = pl.Distributing.With(id)
		}
		table := &SlotTable{}
		table.Members, table.StandIns = AssignStandIns(&pl.Weights)
		pl.Slots = table
		if !slices.Equal(table.Members, AssignSlots(&pl.Weights)) {
			t.Fatal("slots depend on whether stand-ins are wanted")
		}
		dead := rapid.IntRange(0, pl.Distributing.Len()-1).Draw(t, "dead")
		after := pl.Weights
		after[dead] = 0
		for s, id := range AssignSlots(&after) {
			if got := StandIn(pl, unused, MemberSet(0).With(dead), s, 1, 0); got != int(id) {
				t.Fatalf("slot %d stands in by %d, then has %d", s, got, id)
			}
		}
	})
}

// Whatever the Plan, the stand-in is one of its members that is not dead, and there is one unless too few are left.
func TestStandInIsOfThePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := rapid.SampledFrom([]Rule{RuleNone, RuleSingle, RuleSlots, RuleRoundRobin, RuleBroadcast,
			RuleShortest}).Draw(t, "rule")
		n := rapid.IntRange(1, 6).Draw(t, "members")
		pl := planOf(rule, n)
		if rule == RuleShortest {
			pl = shortestPlan(slices.Repeat([]int{1000}, n)...)
			pl.Suspect = MemberSet(rapid.Uint64Range(0, 63).Draw(t, "suspect"))
			for id := range n {
				pl.Shortest.Closed[id] = uint8(rapid.SampledFrom([]int{0, 0, 100, 255}).Draw(t, "closed"))
			}
		}
		may := pl.Distributing
		if rule == RuleSingle && n > 1 {
			pl.Next, may = 1, 2
			for id := 2; id < min(n, 1+MaxSuccessors); id++ {
				pl.Later, may = append(pl.Later, uint8(id)), may.With(id)
			}
		}
		pl.Least = rapid.IntRange(0, 3).Draw(t, "least")
		dead := MemberSet(rapid.Uint64Range(0, 63).Draw(t, "dead"))
		var p Picker
		f := flowFrame(rapid.IntRange(0, 100).Draw(t, "flow"))
		got := p.Pick(pl, &f.h, f.b, len(f.b))
		if got == 0 || got&dead == 0 || rule == RuleBroadcast {
			return
		}
		to := p.StandIn(pl, got.First(), dead, &f.h, f.b, len(f.b))
		left := may &^ dead
		if rule != RuleSingle && left.Len() < pl.Least {
			left = 0
		}
		switch {
		case to < 0 && left != 0:
			t.Fatalf("none stands in, %b are left", left)
		case to >= 0 && !left.Has(to):
			t.Fatalf("%d stands in, %b are left", to, left)
		case to >= 0 && rule == RuleShortest && pl.FlowTargets()&left != 0 && !pl.FlowTargets().Has(to):
			t.Fatalf("%d stands in and is suspect, %b are not", to, pl.FlowTargets())
		}
	})
}

// The member that sends pays, and keeps the flow.
func TestStandInIsCharged(t *testing.T) {
	var p Picker
	p.Now = ms
	pl := shortestPlan(1000, 1000)
	f := flowFrame(1)
	id := p.Pick(pl, &f.h, f.b, 1000).First()
	to := p.StandIn(pl, id, MemberSet(0).With(id), &f.h, f.b, 1000)
	fl := p.Flows()
	if to != 1-id || fl.Members[id].given != 0 || fl.Members[to].given != 1000 || fl.Members[to].Clock <= ms {
		t.Errorf("%d after %d: %+v", to, id, fl.Members[:2])
	}
	slot := fl.Slots[flowSlot(pl, &f.h, f.b)]
	if int(slot.Member) != to || slot.Until != fl.Members[to].Clock || slot.Bytes != 1000 {
		t.Errorf("slot %+v", slot)
	}
	if again := p.Pick(pl, &f.h, f.b, 1000).First(); again != to {
		t.Errorf("the next frame leaves by %d", again)
	}
	group := *f
	group.h.Dst = frame.Broadcast
	group.h.IPProto = frame.ProtoICMP
	from := p.Pick(pl, &group.h, group.b, 500).First()
	other := p.StandIn(pl, from, MemberSet(0).With(from), &group.h, group.b, 500)
	if other != 1-from || fl.Members[from].Fixed != 0 || fl.Members[other].Fixed != 500 {
		t.Errorf("outside of flows: %d after %d, %+v", other, from, fl.Members[:2])
	}
}

func TestExplainStandIn(t *testing.T) {
	pl := planOf(RuleSingle, 3)
	pl.Active, pl.Next, pl.Later = 0, 1, []uint8{2}
	name := func(id int) string { return []string{"eth1", "eth2", "eth3"}[id] }
	f, err := ParseFlow("tcp 10.0.0.1:5000 10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	e := Explain(pl, nil, name, f)
	was := e
	if e.StandIn(pl, nil, 6, name); e != was {
		t.Errorf("changed: %+v", e)
	}
	e.StandIn(pl, nil, 1, name)
	const want = "would send by eth2: eth1 has no carrier; until the team's Plan says so: eth1 is the active member " +
		"and carries everything"
	if e.Member != 1 || e.IfDead != 2 || e.Why != want {
		t.Errorf("%+v", e)
	}
}
