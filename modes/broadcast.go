package modes

import "nicteam/modes/spread"

// broadcast sends a copy of every frame by every member.
type broadcast struct{}

func (broadcast) spread(pl *spread.Plan, _ *State) { pl.Rule = spread.RuleBroadcast }
