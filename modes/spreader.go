package modes

import (
	"time"

	"nicteam/modes/spread"
)

// A spreader is a mode for a switch that knows the members as one group: all that are usable and stay
// send by a rule, and every member takes everything in, whatever is said of its link: such a
// switch sends by a port as soon as that has a carrier, knows nothing of our delays, and a frame that has
// arrived has proved that its member can receive. Its rules have no memory, but slots go over in order.
type spreader struct {
	rule rule
	st   State
	plan *spread.Plan
	over transition // of SpreadSlots
}

// rule fills in how the members of pl.Distributing share the work.
type rule interface {
	spread(pl *spread.Plan, st *State)
}

func newSpreader(r rule) *spreader { return &spreader{rule: r, plan: emptyPlan()} }

func (*spreader) isMode() {}

// Handle takes in a State, and on a Tick has slots go on going over; other events mean nothing here.
func (s *spreader) Handle(now time.Time, ev Event) Effects {
	switch ev := ev.(type) {
	case State:
		s.st = ev
		s.over.resume(ev.Before, &ev.Settings)
	case Tick:
		if s.over.from == nil {
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

// draft makes the Plan that follows from the state and the time.
func (s *spreader) draft(now time.Time) *spread.Plan {
	usable, staying := sets(&s.st)
	pl := draft(&s.st)
	for _, m := range s.st.Members {
		pl.Collecting = pl.Collecting.With(m.ID)
	}
	// The switch sends a group-addressed frame to one member of a group, so all take it in.
	pl.Multicast = pl.Collecting
	if enough(&s.st, staying) {
		pl.Distributing = staying
		s.rule.spread(pl, &s.st)
	}
	if pl.Rule == spread.RuleSlots {
		s.over.aim(now, &pl.Weights, usable, usable&^staying)
		s.over.put(pl, staying, s.st.Settings.Skew)
	} else {
		s.over.stop()
	}
	return pl
}

func (s *spreader) Plan() *spread.Plan  { return s.plan }
func (s *spreader) Deadline() time.Time { return s.over.deadline() }
