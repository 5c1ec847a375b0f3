package modes

import "time"

// A spreader is a mode for a switch that knows the members as one group: all that are usable and stay
// send by a rule, and every member takes everything in, whatever is said of its link: such a
// switch sends by a port as soon as that has a carrier, knows nothing of our delays, and a frame that has
// arrived has proved that its member can receive. Its rules have no memory.
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
	_, staying := sets(&st)
	pl := draft(&st)
	for _, m := range st.Members {
		pl.Collecting = pl.Collecting.With(m.ID)
	}
	// The switch sends a group-addressed frame to one member of a group, so all take it in.
	pl.Multicast = pl.Collecting
	if enough(&st, staying) {
		pl.Distributing = staying
		s.rule.spread(pl, &st)
	}
	up := s.plan.Spread == SpreadNone && pl.Spread != SpreadNone
	s.plan = publish(s.plan, pl)
	if up {
		return Effects{Tell: TellAll}
	}
	return Effects{}
}

func (s *spreader) Plan() *Plan         { return s.plan }
func (s *spreader) Deadline() time.Time { return time.Time{} }
