package modes

import (
	"slices"

	"nicteam/internal/frame"
)

// RxMode is what the adapter's stack wants to receive besides frames to the adapter's own address, as the kernel would
// program it into a NIC (ndo_set_rx_mode): the multicast list, IFF_ALLMULTI and IFF_PROMISC.
type RxMode struct {
	Groups      []frame.MAC // sorted
	AllMulti    bool
	Promiscuous bool
	VLANs       bool // there are VLANs on the adapter
}

// MaxGroups is how many groups a NIC is asked for one by one; of more it is asked for all. NICs have filters for some
// tens and use a hash or take all beyond that, and each entry takes the kernel's configuration lock.
const MaxGroups = 256

// receive has the members' NICs receive what the adapter's stack wants. Every member takes in the groups: modes in which
// few may receive them narrow GroupMembers.
func (pl *Plan) receive(st *State) {
	for _, m := range st.Members {
		pl.GroupMembers = pl.GroupMembers.With(m.ID)
		pl.Promiscuous = pl.Promiscuous || st.RxMode.VLANs && m.VLANFilter
	}
	// Frames to a MAC behind the adapter are addressed to none of ours.
	pl.Promiscuous = pl.Promiscuous || st.RxMode.Promiscuous || len(st.Behind) > 0
	if pl.AllMulti = st.RxMode.AllMulti || len(st.RxMode.Groups) > MaxGroups; !pl.AllMulti {
		pl.Groups = slices.Clone(st.RxMode.Groups)
	}
}

// receiveGroupsBy has the active member receive groups. Ready to are the one that would be next, and the one that would be
// active if it were usable: a primary takes over at once when its link comes.
func (pl *Plan) receiveGroupsBy(active int, st *State) {
	pl.Multicast = MemberSet(0).With(active)
	pl.GroupMembers = pl.Multicast
	for _, id := range []int{successor(st, active), preferred(st, active)} {
		if id >= 0 {
			pl.GroupMembers = pl.GroupMembers.With(id)
		}
	}
}
