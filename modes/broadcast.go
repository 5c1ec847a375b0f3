package modes

// broadcast sends a copy of every frame by every member.
type broadcast struct{}

func (broadcast) spread(pl *Plan, _ *State) { pl.Spread = SpreadBroadcast }
