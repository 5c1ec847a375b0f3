package modes

// xor sends a flow by the member that its hash names. The kernel calls its mode so because its
// hash is an exclusive or; here Hash mixes and the slots are shared out by rendezvous, see transition.go.
type xor struct{}

func (xor) spread(pl *Plan, st *State) {
	pl.Spread = SpreadSlots
	share(pl, st, pl.Distributing)
}
