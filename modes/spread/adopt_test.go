// SPDX-License-Identifier: MIT

package spread

import (
	"slices"
	"testing"
	"time"

	"nicteam/internal/frame"
)

// adoptPlan is a Plan of a rule with members 0 and 1.
func adoptPlan(rule Rule) *Plan {
	pl := &Plan{Rule: rule, Distributing: 3, Collecting: 3, Active: 0, Next: 1, PacketsPerMember: 1,
		Hash: Hash{Policy: Layer34, Salt: 7}, Adapter: 0x0200000000aa,
		Slots:    &SlotTable{Members: make([]uint8, SlotCount)},
		Shortest: &Shortest{Gain: DefaultGain, Skew: DefaultSkew, SpeedKnown: 3}}
	for id := range 2 {
		pl.Weights[id], pl.Shortest.Rates[id] = MaxShare, 1e9
	}
	return pl
}

// pickMany picks members for frames of some flows.
func pickMany(p *Picker, pl *Plan, n int) (picked []MemberSet) {
	for i := range n {
		b := make([]byte, 60)
		pl.Adapter.Put(b, 6)
		frame.MAC(0x0200000000bb).Put(b, 0)
		b[12], b[13], b[14], b[23] = 0x08, 0x00, 0x45, frame.ProtoUDP
		b[17] = 46
		b[35], b[37] = byte(i%50), 9
		var h frame.Headers
		frame.Parse(b, &h)
		p.Now += int64(10 * time.Microsecond)
		picked = append(picked, p.Pick(pl, &h, b, 1000))
	}
	return picked
}

// A Picker that adopts the state of another decides as that one does, whatever the rule.
func TestAdoptedPickerGoesOn(t *testing.T) {
	for name, rule := range map[string]Rule{"round-robin": RuleRoundRobin, "shortest": RuleShortest} {
		t.Run(name, func(t *testing.T) {
			pl := adoptPlan(rule)
			old := &Picker{Now: 1e9}
			pickMany(old, pl, 501)
			old.KeepIn(new(TxState))
			state := *old.state
			next := &Picker{Now: old.Now}
			next.Adopt(&state, rule, pl.Distributing)
			same := *pl // of the next process
			next.Follow(&same)
			want, got := pickMany(old, pl, 500), pickMany(next, &same, 500)
			if !slices.Equal(got, want) {
				t.Errorf("it picks\n%v\nwant\n%v", got, want)
			}
			if n := len(slices.Compact(slices.Sorted(slices.Values(got)))); n != 2 {
				t.Errorf("%d members are picked: the test shows nothing", n)
			}
			if next.state != &state {
				t.Error("the state has moved")
			}
		})
	}
}

// Forced moves and a migration that the process before has begun do not begin again; those after them do.
func TestAdoptedMovesAreDone(t *testing.T) {
	pl := adoptPlan(RuleShortest)
	pl.Shortest.Generation, pl.Shortest.Moves = 5, []Move{{Slot: 3, To: 1}}
	pl.Slots.Migration = &Migration{ID: 9, Mark: 1, From: make([]uint8, SlotCount), Pause: time.Second}
	old := &Picker{Now: 1e9}
	old.Follow(pl)
	old.KeepIn(new(TxState))
	state := *old.state
	state.Flows.Members[1].Capacity = 4e8
	before := state
	next := &Picker{Now: 2e9}
	next.Adopt(&state, RuleShortest, pl.Distributing)
	same := *pl
	next.Follow(&same)
	if got, want := state.Flows.ForceBy, before.Flows.ForceBy; got != want {
		t.Errorf("moves are forced by %d, want %d", got, want)
	}
	if got, want := state.Migration, before.Migration; got.Since != want.Since || got.Generation != want.Generation {
		t.Errorf("the migration began at %d as number %d, want %d, %d", got.Since, got.Generation, want.Since,
			want.Generation)
	}
	if q := state.Flows.Members[1]; q.Rate != 4e8 || q.Source != RateMeasured {
		t.Errorf("the measured rate is %d, %v", q.Rate, q.Source)
	}
	more := *pl
	more.Shortest = &Shortest{}
	*more.Shortest = *pl.Shortest
	more.Shortest.Generation = 6
	next.Follow(&more)
	if state.Flows.ForceBy == before.Flows.ForceBy {
		t.Error("later moves are not forced")
	}
}
