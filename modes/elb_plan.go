// SPDX-License-Identifier: MIT

package modes

import (
	"slices"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
)

// assumedRate is that of a NIC of unknown speed until it shows what it carries, bit/s.
const assumedRate = 1_000_000_000

// draft returns the Plan that follows from the State, the active member and the moves, without the owners of MACs.
func (e *elb) draft() *spread.Plan {
	pl := draft(&e.st)
	pl.PerMember = true
	pl.Filter = [spread.MaxMembers][]frame.MAC{}
	if e.active < 0 {
		return pl
	}
	usable, staying := sets(&e.st)
	pl.Rule = spread.RuleShortest
	pl.Active = e.active
	pl.Distributing = staying
	pl.Suspect = doubted(&e.st, staying)
	pl.Collecting = usable
	receiveGroupsBy(pl, e.active, &e.st)
	watchEachOther(pl, &e.st, e.active, successor(&e.st, 0, spread.MemberSet(0).With(e.active)))
	share(pl, &e.st, staying)
	pl.Shortest = &spread.Shortest{Gain: e.st.Settings.Gain, Skew: e.st.Settings.Skew, Moves: e.moves,
		Generation: e.generation}
	setRates(pl, &e.st)
	for _, m := range e.st.Members {
		if staying.Has(m.ID) {
			pl.Shortest.Closed[m.ID] = e.returns.closed[m.Name]
		}
	}
	pl.Pins = spread.AssignSlots(pinShares(pl, &e.st))
	return pl
}

// publish adds who accepts which MAC, and puts the Plan in force.
func (e *elb) publish(pl *spread.Plan) {
	if e.active >= 0 {
		for m, id := range e.macOwner {
			addFilter(&e.st, pl, m, id)
		}
		for m, set := range e.previousOwners {
			for _, old := range e.st.Members {
				if set.Has(old.ID) {
					pl.Collecting = pl.Collecting.With(old.ID)
					addFilter(&e.st, pl, m, old.ID)
				}
			}
		}
		for id := range pl.Filter {
			slices.Sort(pl.Filter[id])
		}
	}
	e.plan = publish(e.plan, pl)
}

// addFilter lets member id accept frames for m.
func addFilter(st *State, pl *spread.Plan, m frame.MAC, id int) {
	if mem := find(st, id); mem != nil && !mem.OwnMAC && mem.MAC != m && !slices.Contains(pl.Filter[id], m) {
		pl.Filter[id] = append(pl.Filter[id], m)
	}
}

// watchEachOther lets the NICs of two members accept each other's MAC. That reveals a switch that floods: most hosts
// send to one of the two sooner or later.
func watchEachOther(pl *spread.Plan, st *State, a, b int) {
	m, n := find(st, a), find(st, b)
	if m == nil || n == nil || m.OwnMAC || n.OwnMAC || m.MAC == n.MAC {
		return
	}
	pl.Watched[a], pl.Watched[b] = n.MAC, m.MAC
}

// doubted returns those of a set of members that are suspect; none if all are, for they have to do.
func doubted(st *State, set spread.MemberSet) spread.MemberSet {
	if d := suspects(st) & set; d != set {
		return d
	}
	return 0
}

// setRates sets what links say they carry.
func setRates(pl *spread.Plan, st *State) {
	for _, m := range st.Members {
		switch {
		case !pl.Distributing.Has(m.ID):
		case m.SpeedBps > 0:
			pl.Shortest.Rates[m.ID] = m.SpeedBps
			pl.Shortest.SpeedKnown = pl.Shortest.SpeedKnown.With(m.ID)
		default:
			pl.Shortest.Rates[m.ID] = assumedRate
		}
	}
}

// pinShares returns the members' shares of the MACs that are not their own: of those that accept such, if there are
// any. A member that returns gets its share last.
func pinShares(pl *spread.Plan, st *State) *[spread.MaxMembers]uint32 {
	w := pl.Weights
	none := true
	for _, m := range st.Members {
		if m.OwnMAC {
			w[m.ID] = 0
		}
		none = none && w[m.ID] == 0
	}
	if none {
		w = pl.Weights
	}
	settled := w
	for id, closed := range pl.Shortest.Closed {
		if closed > 0 {
			settled[id] = 0
		}
	}
	if settled != [spread.MaxMembers]uint32{} {
		return &settled
	}
	return &w
}
