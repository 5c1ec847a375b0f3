package modes

import "nicteam/modes/spread"

// roundRobin sends frame by frame, weighted by bytes; Picker holds the rule.
type roundRobin struct{}

func (roundRobin) spread(pl *spread.Plan, st *State) {
	pl.Rule = spread.RuleRoundRobin
	share(pl, st, pl.Distributing)
}
