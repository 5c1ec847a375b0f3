package modes

import (
	"fmt"
	"time"
)

// Overlap is how long the member that was active goes on receiving unicast frames after a
// change: what was under way to it is not lost, and switches have learnt the new way by then.
const Overlap = 100 * time.Millisecond

// activeBackup has one member send and receive everything while the others stand by. It is
// also what every mode does with balance off.
//
// Who is active, first match wins:
//
//  1. the member named by Settings.Active, whenever it is usable: a wish by hand holds until it
//     is taken back
//  2. the primary, if nobody is active, or primary_reselect lets it take over
//  3. the member that is active, as long as it is usable
//  4. the first usable member in the order of ids, which is the order in which they joined
//
// A member in a drain counts as not usable here, but if it was active it receives until it
// has left.
type activeBackup struct {
	st     State
	plan   *Plan
	active int // -1 none

	leaving MemberSet // took frames in a moment ago
	until   time.Time // when the last of leaving stops, but for those in a drain
}

func newActiveBackup() *activeBackup { return &activeBackup{plan: emptyPlan(), active: -1} }

func (*activeBackup) isMode() {}

// Handle chooses the active member anew after a State, and ends overlaps after a Tick.
func (a *activeBackup) Handle(now time.Time, ev Event) Effects {
	var eff Effects
	switch ev := ev.(type) {
	case State:
		before, was := a.active, a.st
		a.st = ev
		a.leave(now, ev.Collected)
		why := lost(&was, &a.st, before)
		if why != "" {
			a.active = -1
		}
		a.active, eff.Reason = a.choose()
		if a.active == before && why == "" {
			eff.Reason = ""
			break
		}
		eff.Active = true
		eff.Announce = a.active >= 0
		if why != "" {
			eff.Reason = why + ", " + eff.Reason
		}
		if before >= 0 {
			a.leave(now, MemberSet(0).With(before))
		}
	case Tick:
		if a.leaving == 0 {
			return eff
		}
	default:
		return eff
	}
	a.replan(now)
	return eff
}

// Plan returns the Plan in force.
func (a *activeBackup) Plan() *Plan { return a.plan }

// Deadline is the end of an overlap.
func (a *activeBackup) Deadline() time.Time {
	if a.leaving == 0 {
		return time.Time{}
	}
	return a.until
}

// choose returns the member that is to be active, and why that one.
func (a *activeBackup) choose() (int, string) {
	s := &a.st.Settings
	_, staying := sets(&a.st)
	if !enough(&a.st, staying) {
		if staying == 0 {
			return -1, "no member is usable"
		}
		return -1, fmt.Sprintf("%d usable, min_members is %d", staying.Len(), s.MinMembers)
	}
	if m := a.named(s.Active); m != nil && staying.Has(m.ID) {
		return m.ID, fmt.Sprintf("%s was chosen by hand", m.Name)
	}
	current := a.member(a.active)
	if m := a.named(s.Primary); m != nil && staying.Has(m.ID) {
		switch {
		case current == nil:
			return m.ID, fmt.Sprintf("%s is the primary", m.Name)
		case m.ID == current.ID:
			return m.ID, ""
		case s.PrimaryReselect == ReselectAlways:
			return m.ID, fmt.Sprintf("the primary %s is usable", m.Name)
		case s.PrimaryReselect == ReselectBetter && m.SpeedBps > current.SpeedBps:
			return m.ID, fmt.Sprintf("the primary %s is usable and faster than %s", m.Name, current.Name)
		}
	}
	if current != nil {
		return current.ID, ""
	}
	m := a.member(staying.First())
	return m.ID, fmt.Sprintf("%s is the first usable member", m.Name)
}

// lost says what became of the member that was active, "" if it could have stayed so.
func lost(was, st *State, id int) string {
	m := find(was, id)
	if m == nil {
		return ""
	}
	switch n := find(st, id); {
	case n == nil || n.Name != m.Name:
		return fmt.Sprintf("%s has left", m.Name)
	case n.Draining:
		return fmt.Sprintf("%s is leaving", m.Name)
	case !n.Usable:
		return fmt.Sprintf("%s is not usable", m.Name)
	}
	return ""
}

// leave begins the overlap of members that are active no more.
func (a *activeBackup) leave(now time.Time, set MemberSet) {
	if set == 0 {
		return
	}
	a.leaving |= set
	a.until = now.Add(Overlap)
}

// replan makes the Plan that follows from the state, who is active and the time.
func (a *activeBackup) replan(now time.Time) {
	pl := draft(&a.st)
	var lingering, stopping MemberSet
	for _, m := range a.st.Members {
		switch {
		// What came before a link was lost may still wait in the member's socket. Where the
		// switch floods all of it comes by the active member as well.
		case !a.leaving.Has(m.ID) || m.ID == a.active || a.st.Flooding:
		case m.Draining:
			lingering = lingering.With(m.ID)
		case now.Before(a.until):
			stopping = stopping.With(m.ID)
		}
	}
	// Members in a drain stay until they are gone, which no deadline ends.
	a.leaving = lingering | stopping
	if stopping == 0 {
		a.until = time.Time{}
	}
	pl.Collecting = lingering | stopping
	if a.active >= 0 {
		pl.Spread = SpreadSingle
		pl.Single = a.active
		pl.Distributing = MemberSet(0).With(a.active)
		pl.Collecting = pl.Collecting.With(a.active)
		pl.Multicast = MemberSet(0).With(a.active)
		pl.Next = a.next()
	}
	a.plan = publish(a.plan, pl)
}

// next returns the member that would be chosen if the active one died.
func (a *activeBackup) next() int {
	after := activeBackup{st: a.st, active: -1}
	after.st.Members = make([]Member, 0, len(a.st.Members))
	for _, m := range a.st.Members {
		if m.ID != a.active {
			after.st.Members = append(after.st.Members, m)
		}
	}
	id, _ := after.choose()
	return id
}

func (a *activeBackup) member(id int) *Member { return find(&a.st, id) }

// named returns the member of that name; no member has an empty one.
func (a *activeBackup) named(name string) *Member {
	for i := range a.st.Members {
		if name != "" && a.st.Members[i].Name == name {
			return &a.st.Members[i]
		}
	}
	return nil
}

// find returns the member with that id, nil when there is none.
func find(st *State, id int) *Member {
	for i := range st.Members {
		if st.Members[i].ID == id {
			return &st.Members[i]
		}
	}
	return nil
}
