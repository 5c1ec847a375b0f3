package modes

import (
	"time"

	"nicteam/modes/spread"
)

// may are the members that the protocol lets send: distributing ports of the active aggregator.
func (a *aggregation) may() (set spread.MemberSet) {
	for i := range a.status.Ports {
		p := &a.status.Ports[i]
		if m := find(&a.st, p.ID); m != nil && m.Usable && p.Distributing() && p.Aggregator == a.status.Active {
			set = set.With(p.ID)
		}
	}
	return set
}

// draining are the members that leave.
func (a *aggregation) draining() (set spread.MemberSet) {
	for _, m := range a.st.Members {
		if m.Draining {
			set = set.With(m.ID)
		}
	}
	return set
}

// aim has slots go to where they belong.
func (a *aggregation) aim(now time.Time) {
	may, draining := a.may(), a.draining()
	if !a.st.Settings.Balance || a.choice.alone || !enough(&a.st, may&^draining) {
		a.over.stop()
		return
	}
	w := shares(&a.st, may&^draining)
	a.over.aim(now, &w, may, draining)
}

// sending are the members that the next Plan sends by.
func (a *aggregation) sending() spread.MemberSet {
	if id := a.choice.active; id >= 0 {
		return spread.MemberSet(0).With(id)
	}
	return a.over.holders
}

// replan makes the Plan that follows from the State and the System's.
func (a *aggregation) replan(now time.Time) {
	pl := draft(&a.st)
	var collect, group spread.MemberSet
	for i := range a.status.Ports {
		p := &a.status.Ports[i]
		if m := find(&a.st, p.ID); m == nil || !p.Collecting() {
			continue
		}
		// Where another aggregator is about to become the active one, the partner may send by both for a moment. What goes to
		// groups would come twice if both ended in one LAN.
		collect = collect.With(p.ID)
		if p.Aggregator == a.status.Active {
			group = group.With(p.ID)
		}
	}
	may, id, lan := a.may(), a.choice.active, a.status.Active
	switch {
	case a.choice.alone && id >= 0:
		a.single(pl, id)
		collect, group, lan = collect.With(id)|a.home(), group.With(id), -1-id
	case a.choice.alone:
	case !a.st.Settings.Balance && id >= 0 && may.Has(id):
		a.single(pl, id)
	case a.over.slots != nil:
		a.over.put(pl, may&^a.draining(), a.st.Settings.Skew)
	}
	pl.Collecting, pl.Multicast = a.lingering.follow(now, &a.st, collect, group, lan)
	a.lingering.filter(pl)
	a.plan = publish(a.plan, pl)
}

// single has one member send everything.
func (a *aggregation) single(pl *spread.Plan, id int) {
	pl.Rule, pl.Active = spread.RuleSingle, id
	if a.choice.alone {
		pl.Next = successor(&a.st, a.choice.active) // any other port's partner takes in nothing before it is told
	}
	pl.Distributing = spread.MemberSet(0).With(id)
}

// home is the member that has the adapter's address. The LACPDUs that it goes on sending teach a switch without LACP
// that this address is to be found there.
func (a *aggregation) home() (set spread.MemberSet) {
	for _, m := range a.st.Members {
		// Where the switch floods, it teaches nothing, and what both take in comes twice.
		if m.Usable && m.MAC == a.st.Adapter && !a.st.Flooding {
			set = set.With(m.ID)
		}
	}
	return set
}

// lingering are members that receive for a moment more: their partners do not know yet that they are not to be sent to,
// and what came before may still wait. Those in a drain receive until they are gone.
type lingering struct {
	set     spread.MemberSet
	until   time.Time        // when those of set stop that are in no drain
	timed   bool             // there are such
	collect spread.MemberSet // who received last because the protocol said so
	group   spread.MemberSet // who took in what is for groups last
	lan     int              // by what what is for groups comes: the active aggregator, or -1-id of one that works alone
	before  *spread.Plan     // of another mode, by which those of set take frames in
}

// resume begins with what another mode's Plan had.
func (l *lingering) resume(before *spread.Plan) {
	if before != nil {
		l.before, l.collect = before, before.Collecting
	}
}

// follow returns who is to receive, and who of them what is for groups, if the protocol says collect and group.
func (l *lingering) follow(now time.Time, st *State, collect, group spread.MemberSet, lan int) (all, groups spread.MemberSet) {
	if stopped := l.collect &^ collect; stopped != 0 {
		l.set |= stopped
		l.until = now.Add(Overlap)
	}
	if lan != l.lan {
		// All of that comes by others.
		l.group = 0
	}
	var kept spread.MemberSet
	l.timed = false
	for _, m := range st.Members {
		switch {
		case !l.set.Has(m.ID) || collect.Has(m.ID):
		case m.Draining:
			kept = kept.With(m.ID)
		// Where the switch floods, what one takes in that stands by comes twice.
		case now.Before(l.until) && (!st.Flooding || l.group.Has(m.ID)):
			kept, l.timed = kept.With(m.ID), true
		}
	}
	l.set, l.collect, l.lan = kept, collect, lan
	l.group = group | kept&l.group
	return collect | kept, l.group
}

// filter has those that linger take in what they did in the mode before.
func (l *lingering) filter(pl *spread.Plan) {
	if !l.timed {
		l.before = nil
	}
	if l.before == nil {
		return
	}
	for left := l.set; left != 0; left = left.Without(left.First()) {
		pl.Filter[left.First()] = l.before.Filter[left.First()]
	}
}

// deadline is when the next one stops, zero for never.
func (l *lingering) deadline() time.Time {
	if !l.timed {
		return time.Time{}
	}
	return l.until
}
