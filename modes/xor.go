package modes

import "nicteam/modes/spread"

// xor sends a flow by the member that its hash names. The kernel calls its mode so because its
// hash is an exclusive or; here Hash mixes and the slots are shared out by rendezvous, see transition.go.
type xor struct{}

func (xor) spread(pl *spread.Plan, st *State) {
	pl.Rule = spread.RuleSlots
	share(pl, st, pl.Distributing)
}
