// SPDX-License-Identifier: MIT

package modes

import (
	"time"

	"nicteam/modes/spread"
)

// distributing returns the members that the protocol lets send: distributing ports of the active aggregator.
func (a *aggregation) distributing() (set spread.MemberSet) {
	for i := range a.status.Ports {
		p := &a.status.Ports[i]
		if m := find(&a.st, p.ID); m != nil && m.Usable && p.Distributing() && p.Aggregator == a.status.Active {
			set = set.With(p.ID)
		}
	}
	return set
}

// arriving returns the members of set by which frames arrive, as link watches say; all if they say so of none. The
// others stay in the aggregator: a partner that stopped receiving by them would get no ask either.
func (a *aggregation) arriving(set spread.MemberSet) spread.MemberSet {
	left := set
	for _, m := range a.st.Members {
		if m.Lost {
			left = left.Without(m.ID)
		}
	}
	if left&^a.draining() == 0 {
		return set
	}
	return left
}

// draining returns the members that leave.
func (a *aggregation) draining() (set spread.MemberSet) {
	for _, m := range a.st.Members {
		if m.Draining {
			set = set.With(m.ID)
		}
	}
	return set
}

// retarget assigns the slots.
func (a *aggregation) retarget(now time.Time) {
	may, draining := a.arriving(a.distributing()), a.draining()
	if !a.st.Settings.Balance || a.single.alone || !enough(&a.st, may&^draining) {
		a.slots.clear()
		return
	}
	w := shares(&a.st, may&^draining)
	a.slots.retarget(now, &w, may, draining)
}

// senders returns the members that the next Plan sends by.
func (a *aggregation) senders() spread.MemberSet {
	if id := a.single.active; id >= 0 {
		return spread.MemberSet(0).With(id)
	}
	return a.slots.senders
}

// replan makes the Plan that follows from the State and the System's status.
func (a *aggregation) replan(now time.Time) {
	pl := draft(&a.st)
	var collect, groups spread.MemberSet
	for i := range a.status.Ports {
		p := &a.status.Ports[i]
		if m := find(&a.st, p.ID); m == nil || !p.Collecting() {
			continue
		}
		// While another aggregator becomes the active one, partners may send by both. If both lead to one LAN,
		// group-addressed frames would arrive twice.
		collect = collect.With(p.ID)
		if p.Aggregator == a.status.Active {
			groups = groups.With(p.ID)
		}
	}
	may, id, lan := a.distributing(), a.single.active, a.status.Active
	switch {
	case a.single.alone && id >= 0:
		a.sendBy(pl, id)
		collect, groups, lan = collect.With(id)|a.adapterOwner(), groups.With(id), -1-id
	case a.single.alone:
	case !a.st.Settings.Balance && id >= 0 && may.Has(id):
		a.sendBy(pl, id)
	case a.slots.slots != nil:
		a.slots.fill(pl, a.arriving(may)&^a.draining(), a.st.Settings.Skew)
	}
	pl.Collecting, pl.Multicast = a.overlap.follow(now, &a.st, collect, groups, lan)
	a.overlap.setFilters(pl)
	a.plan = publish(a.plan, pl)
}

// sendBy makes one member send everything.
func (a *aggregation) sendBy(pl *spread.Plan, id int) {
	pl.Rule, pl.Active = spread.RuleSingle, id
	if a.single.alone {
		// With partners there is none: another port's collects nothing before it is told.
		pl.Next, pl.Later = successors(&a.st, a.single.active)
	}
	pl.Distributing = spread.MemberSet(0).With(id)
}

// adapterOwner returns the member that has the adapter's MAC. The LACPDUs that it goes on sending teach a switch
// without LACP that the MAC is reached by it.
func (a *aggregation) adapterOwner() (set spread.MemberSet) {
	for _, m := range a.st.Members {
		// A switch that floods learns nothing, and frames that both accept would arrive twice.
		if m.Usable && m.MAC == a.st.Adapter && !a.st.Flooding {
			set = set.With(m.ID)
		}
	}
	return set
}

// rxOverlap lets members collect a moment longer than the protocol says: their partners have not been told yet, and
// earlier frames may still wait in their sockets. Members in a drain collect until they are gone.
type rxOverlap struct {
	set     spread.MemberSet
	until   time.Time        // when those of set end that are in no drain
	timed   bool             // there are such
	collect spread.MemberSet // that collected last by the protocol
	groups  spread.MemberSet // that accepted group-addressed frames last
	// by which group-addressed frames arrive: the active aggregator, or -1-id of a member that works alone
	lan    int
	before *spread.Plan // of another mode, with the filters of set
}

// resume begins with another mode's Plan.
func (o *rxOverlap) resume(before *spread.Plan) {
	if before != nil {
		o.before, o.collect = before, before.Collecting
	}
}

// follow returns the members that collect, and those that accept group-addressed frames, if the protocol says collect
// and groups.
func (o *rxOverlap) follow(now time.Time, st *State, collect, groups spread.MemberSet,
	lan int) (all, allGroups spread.MemberSet) {
	if stopped := o.collect &^ collect; stopped != 0 {
		o.set |= stopped
		o.until = now.Add(Overlap)
	}
	if lan != o.lan {
		// All group-addressed frames arrive by the new one.
		o.groups = 0
	}
	var kept spread.MemberSet
	o.timed = false
	for _, m := range st.Members {
		switch {
		case !o.set.Has(m.ID) || collect.Has(m.ID):
		case m.Draining:
			kept = kept.With(m.ID)
		// If the switch floods, frames to a standby member arrive twice.
		case now.Before(o.until) && (!st.Flooding || o.groups.Has(m.ID)):
			kept, o.timed = kept.With(m.ID), true
		}
	}
	o.set, o.collect, o.lan = kept, collect, lan
	o.groups = groups | kept&o.groups
	return collect | kept, o.groups
}

// setFilters gives the members of the overlap their filters of the mode before.
func (o *rxOverlap) setFilters(pl *spread.Plan) {
	if !o.timed {
		o.before = nil
	}
	if o.before == nil {
		return
	}
	for left := o.set; left != 0; left = left.Without(left.First()) {
		pl.Filter[left.First()] = o.before.Filter[left.First()]
	}
}

// deadline returns when the next member ends, zero for never.
func (o *rxOverlap) deadline() time.Time {
	if !o.timed {
		return time.Time{}
	}
	return o.until
}
