package modes

// roundRobin sends frame by frame, weighted by bytes; Picker holds the rule.
type roundRobin struct{}

func (roundRobin) spread(pl *Plan, st *State) {
	pl.Spread = SpreadRoundRobin
	share(pl, st, pl.Distributing)
}
