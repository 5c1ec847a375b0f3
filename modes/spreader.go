package modes

import "time"

// A spreader is a mode for a switch that knows the members as one group: every usable member
// takes everything in, and all that stay send by a rule. Its rules have no memory.
type spreader struct {
	rule rule
	plan *Plan
}

// rule fills in how the members of pl.Distributing share the work.
type rule interface {
	spread(pl *Plan, st *State)
}

func newSpreader(r rule) *spreader { return &spreader{rule: r, plan: emptyPlan()} }

func (*spreader) isMode() {}

// Handle takes in a State; other events mean nothing here.
func (s *spreader) Handle(_ time.Time, ev Event) Effects {
	st, ok := ev.(State)
	if !ok {
		return Effects{}
	}
	usable, staying := sets(&st)
	pl := draft(&st)
	// The switch sends a group-addressed frame to one member of a group, so all take it in.
	pl.Collecting, pl.Multicast = usable, usable
	if enough(&st, staying) {
		pl.Distributing = staying
		s.rule.spread(pl, &st)
	}
	up := s.plan.Spread == SpreadNone && pl.Spread != SpreadNone
	s.plan = publish(s.plan, pl)
	return Effects{Announce: up}
}

func (s *spreader) Plan() *Plan         { return s.plan }
func (s *spreader) Deadline() time.Time { return time.Time{} }
