// SPDX-License-Identifier: MIT

package modes

import (
	"time"

	"nicteam/modes/spread"
)

// A spreader is a mode for a switch with a static LAG: all usable members that stay send by a rule. Every member
// receives whatever its link watches say: such a switch sends by a port as soon as it has a carrier and knows none of
// our delays, and a received frame proves that its member receives. The rules have no memory, but slots migrate in
// order.
type spreader struct {
	rule  rule
	st    State
	plan  *spread.Plan
	slots slotMigration // of RuleSlots
}

// rule sets how the members of pl.Distributing share the frames.
type rule interface {
	spread(pl *spread.Plan, st *State)
}

func newSpreader(r rule) *spreader { return &spreader{rule: r, plan: emptyPlan()} }

func (*spreader) isMode() {}

// Handle follows a State, and on a Tick a migration of slots. It ignores other events.
func (s *spreader) Handle(now time.Time, ev Event) Effects {
	switch ev := ev.(type) {
	case State:
		s.st = ev
		s.slots.resume(ev.Before, &ev.Settings)
	case Tick:
		if s.slots.from == nil {
			return Effects{}
		}
	default:
		return Effects{}
	}
	pl := s.draft(now)
	up := s.plan.Rule == spread.RuleNone && pl.Rule != spread.RuleNone
	s.plan = publish(s.plan, pl)
	if up {
		return Effects{Tell: TellAll}
	}
	return Effects{}
}

// draft returns the Plan that follows from the State and the time.
func (s *spreader) draft(now time.Time) *spread.Plan {
	usable, staying := sets(&s.st)
	pl := draft(&s.st)
	for _, m := range s.st.Members {
		pl.Collecting = pl.Collecting.With(m.ID)
	}
	// The switch sends a group-addressed frame by one port of a LAG, so all members accept it.
	pl.Multicast = pl.Collecting
	if enough(&s.st, staying) {
		pl.Distributing = staying
		s.rule.spread(pl, &s.st)
	}
	if pl.Rule == spread.RuleSlots {
		s.slots.retarget(now, &pl.Weights, usable, usable&^staying)
		s.slots.fill(pl, staying, s.st.Settings.Skew)
	} else {
		s.slots.clear()
	}
	return pl
}

func (s *spreader) Plan() *spread.Plan  { return s.plan }
func (s *spreader) Deadline() time.Time { return s.slots.deadline() }

// roundRobin sends frame by frame, weighted by bytes; see spread.Picker.
type roundRobin struct{}

func (roundRobin) spread(pl *spread.Plan, st *State) {
	pl.Rule = spread.RuleRoundRobin
	share(pl, st, pl.Distributing)
}

// xor sends a flow by the member of its hash's slot. The kernel calls it so because its hash is an exclusive or;
// spread.Hash mixes, and slots are assigned by rendezvous hashing.
type xor struct{}

func (xor) spread(pl *spread.Plan, st *State) {
	pl.Rule = spread.RuleSlots
	share(pl, st, pl.Distributing)
}

// broadcast sends a copy of every frame by every member.
type broadcast struct{}

func (broadcast) spread(pl *spread.Plan, _ *State) { pl.Rule = spread.RuleBroadcast }
