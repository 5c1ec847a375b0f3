// SPDX-License-Identifier: MIT

package modes

import (
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
)

// Each MAC that frames for this host may carry has one owner, the member that accepts it:
//
//   - a member's own MAC: the member while it is usable, else another member adopts it
//   - the adapter's MAC: the member that has it, else it is adopted like that of a dead member
//   - a MAC behind the adapter: the member that it is pinned to (Plan.Pins)
//   - a former MAC of a member (elb_former.go): the member, while it accepts more than its own MAC
//
// A learning frame tells the switch whenever an owner changes. The previous owner goes on accepting the MAC for an
// Overlap.

// updateOwners gives every MAC its owner under the pins of pl. It returns the MACs that have another owner, and whether
// one in use is orphaned: it has none any more, without a drain that told its peers before.
func (e *elb) updateOwners(now time.Time, was *State, pl *spread.Plan) (moved map[frame.MAC]int, orphaned bool) {
	owners, inUse := map[frame.MAC]int{}, map[frame.MAC]bool{e.st.Adapter: true}
	adopt := func(m frame.MAC) {
		if id := e.adopter(pl, m); id >= 0 {
			owners[m] = id
		}
	}
	for _, m := range e.st.Members {
		if m.MAC != 0 && !m.Usable {
			inUse[m.MAC] = inUse[m.MAC] || e.inUse[m.MAC]
			adopt(m.MAC)
		}
	}
	for _, m := range e.st.Members { // last: of two NICs with one MAC the usable one owns it
		if m.MAC != 0 && m.Usable {
			owners[m.MAC], inUse[m.MAC] = m.ID, true
		}
	}
	for _, m := range e.st.Vacant {
		if inUse[m] = e.inUse[m]; inUse[m] {
			adopt(m)
		}
	}
	for m, f := range e.former {
		if inUse[m] = e.inUse[m]; !inUse[m] {
			continue
		}
		if mem := find(&e.st, f.member); mem.Usable && !mem.OwnMAC {
			owners[m] = mem.ID
		} else {
			adopt(m)
		}
	}
	if _, ok := owners[e.st.Adapter]; !ok && e.st.Adapter != 0 {
		adopt(e.st.Adapter)
	}

	for m := range e.macOwner {
		if _, ok := owners[m]; !ok && e.inUse[m] && !isDraining(was, m) {
			orphaned = true
		}
	}
	moved = map[frame.MAC]int{}
	for m, id := range owners {
		old, ok := e.macOwner[m]
		if ok && old == id {
			continue
		}
		moved[m] = id
		// A member that joins is not usable at first: nothing is under way to its adopter.
		if ok && e.inUse[m] {
			e.overlap(now, m, spread.MemberSet(0).With(old))
			if mem := find(&e.st, id); mem != nil && mem.MAC == m {
				e.relearn.add(now, m)
			}
		}
	}
	// The mode before this one accepted the adapter's MAC by members of its own choice.
	if e.st.Before != nil {
		e.overlap(now, e.st.Adapter, acceptors(e.st.Before, e.st.Members, e.st.Adapter))
		e.st.Before = nil
	}
	if e.st.Flooding {
		e.previousOwners = nil
	}
	e.macOwner, e.inUse = owners, inUse
	return moved, orphaned
}

// adopter returns the member that accepts a MAC whose own member cannot, -1 if none may.
func (e *elb) adopter(pl *spread.Plan, m frame.MAC) int {
	id := pl.Pin(m)
	if mem := find(&e.st, id); mem == nil || mem.OwnMAC {
		return -1
	}
	return id
}

// overlap lets members go on accepting a MAC for a moment.
func (e *elb) overlap(now time.Time, m frame.MAC, set spread.MemberSet) {
	if set == 0 {
		return
	}
	if e.previousOwners == nil {
		e.previousOwners = map[frame.MAC]spread.MemberSet{}
	}
	e.previousOwners[m] |= set
	e.overlapUntil = now.Add(Overlap)
}

// ownedBy returns the MACs of members, with their owners.
func (e *elb) ownedBy(members spread.MemberSet) map[frame.MAC]int {
	owned := map[frame.MAC]int{}
	for m, id := range e.macOwner {
		if members.Has(id) {
			owned[m] = id
		}
	}
	return owned
}

// acceptors returns the members that accept frames for m.
func acceptors(pl *spread.Plan, members []Member, m frame.MAC) (set spread.MemberSet) {
	for _, mem := range members {
		if pl.Collecting.Has(mem.ID) && (mem.MAC == m || slices.Contains(pl.Filter[mem.ID], m)) {
			set = set.With(mem.ID)
		}
	}
	return set
}

// isDraining reports whether m is the MAC of a member in a drain.
func isDraining(st *State, m frame.MAC) bool {
	return slices.ContainsFunc(st.Members, func(mem Member) bool { return mem.MAC == m && mem.Draining })
}

// drainBegins reports whether a member has begun a drain.
func drainBegins(was, st *State) bool {
	for _, m := range st.Members {
		if old := find(was, m.ID); m.Draining && old != nil && !old.Draining {
			return true
		}
	}
	return false
}
