// SPDX-License-Identifier: MIT

package modes

import (
	"math"
	"reflect"
	"slices"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
)

// emptyPlan returns the Plan before the first State: no member sends or receives.
func emptyPlan() *spread.Plan { return &spread.Plan{Active: -1, Next: -1} }

// draft returns a Plan with what all modes have in common. No member sends or receives yet.
func draft(st *State) *spread.Plan {
	pl := emptyPlan()
	pl.Hash = spread.Hash{Policy: st.Settings.Hash, Salt: st.Settings.Salt}
	pl.PacketsPerMember = max(st.Settings.PacketsPerMember, 0)
	pl.Least, pl.Patient = max(st.Settings.MinMembers, 1), st.Settings.Patient
	pl.Adapter = st.Adapter
	pl.Stations, pl.Ageing = slices.Clone(st.Behind), slices.Clone(st.Ageing)
	pl.Behind = macsOf(st.Behind)
	receive(pl, st)
	pl.TeamMACs = make([]frame.MAC, 0, 1+len(st.Members)+len(pl.Behind))
	if st.Adapter != 0 {
		pl.TeamMACs = append(pl.TeamMACs, st.Adapter)
	}
	for _, m := range st.Members {
		pl.MACs[m.ID] = m.MAC
		if m.MAC != 0 {
			pl.TeamMACs = append(pl.TeamMACs, m.MAC)
		}
		if st.Adapter != 0 && m.MAC != st.Adapter {
			pl.Filter[m.ID] = []frame.MAC{st.Adapter}
		}
	}
	pl.TeamMACs = append(append(pl.TeamMACs, st.Vacant...), pl.Behind...)
	slices.Sort(pl.TeamMACs)
	pl.TeamMACs = slices.Compact(pl.TeamMACs)
	return pl
}

// receive sets the filters of the members' NICs to what the adapter's stack wants. All members accept its groups; modes
// in which few receive them narrow GroupMembers.
func receive(pl *spread.Plan, st *State) {
	for _, m := range st.Members {
		pl.GroupMembers = pl.GroupMembers.With(m.ID)
		pl.Promiscuous = pl.Promiscuous || st.RxMode.VLANs && m.VLANFilter
	}
	// Frames for a MAC behind the adapter carry none of the team's own.
	pl.Promiscuous = pl.Promiscuous || st.RxMode.Promiscuous || len(st.Behind) > 0
	if pl.AllMulti = st.RxMode.AllMulti || len(st.RxMode.Groups) > spread.MaxGroups; !pl.AllMulti {
		pl.Groups = slices.Clone(st.RxMode.Groups)
	}
}

// receiveGroupsBy lets the active member alone receive groups. The NICs of the next one, and of the one that would be
// active if all were usable, accept them as well: a primary takes over at once when its link comes up. Filters do not
// change for a moment's doubt.
func receiveGroupsBy(pl *spread.Plan, active int, st *State) {
	pl.Multicast = spread.MemberSet(0).With(active)
	pl.GroupMembers = pl.Multicast
	for _, id := range []int{successor(st, 0, pl.Multicast), preferred(st, active)} {
		if id >= 0 {
			pl.GroupMembers = pl.GroupMembers.With(id)
		}
	}
}

// macsOf returns the MACs of sorted stations, each once.
func macsOf(stations []frame.Station) (macs []frame.MAC) {
	for _, s := range stations {
		macs = append(macs, s.MAC())
	}
	return slices.Compact(macs)
}

// sets returns the usable members, and those of them in no drain.
func sets(st *State) (usable, staying spread.MemberSet) {
	for _, m := range st.Members {
		if !m.Usable {
			continue
		}
		usable = usable.With(m.ID)
		if !m.Draining {
			staying = staying.With(m.ID)
		}
	}
	return usable, staying
}

// enough reports whether the staying members are at least min_members; fewer must not send.
func enough(st *State, staying spread.MemberSet) bool {
	return staying.Len() >= max(st.Settings.MinMembers, 1)
}

// share sets the Weights of the members of the set.
func share(pl *spread.Plan, st *State, set spread.MemberSet) { pl.Weights = shares(st, set) }

// shares returns the shares of the members of the set, in proportion to their weights.
func shares(st *State, set spread.MemberSet) (w [spread.MaxMembers]uint32) {
	var most float64
	for _, m := range st.Members {
		if set.Has(m.ID) {
			most = max(most, weight(m))
		}
	}
	for _, m := range st.Members {
		if set.Has(m.ID) {
			w[m.ID] = uint32(max(math.Round(weight(m)/most*spread.MaxShare), 1))
		}
	}
	return w
}

// weight returns a member's weight, 1 if it is not a positive number.
func weight(m Member) float64 {
	if !(m.Weight > 0) || math.IsInf(m.Weight, 0) {
		return 1
	}
	return m.Weight
}

// publish returns the Plan in force from now on: the old one if nothing changed, so that data paths may compare
// pointers.
func publish(old, pl *spread.Plan) *spread.Plan {
	if reflect.DeepEqual(old, pl) {
		return old
	}
	return pl
}
