package modes

import (
	"time"

	"nicteam/modes/spread"
)

// Overlap is how long the member that was active goes on receiving unicast frames after a
// change: what was under way to it is not lost, and switches have learnt the new way by then.
const Overlap = 100 * time.Millisecond

// activeBackup has one member send and receive everything while the others stand by. It is
// also what every mode does with balance off.
//
// Who is active is told at the head of election.go. A member in a drain that was active receives
// until it has left.
type activeBackup struct {
	st     State
	plan   *spread.Plan
	active int // -1 none

	leaving spread.MemberSet // took frames in a moment ago
	until   time.Time        // when the last of leaving stops, but for those in a drain
	before  *spread.Plan     // of another mode, by which leaving take frames in
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
		if ev.Before != nil {
			a.before = ev.Before
			a.leave(now, ev.Before.Collecting)
		}
		why := lost(&was, &a.st, before)
		if why != "" {
			a.active = -1
		}
		a.active, eff.Reason = a.st.elect(a.active)
		if a.active == before && why == "" {
			eff.Reason = ""
			break
		}
		eff.Active = true
		if a.active >= 0 {
			eff.Tell = TellAll
		}
		if why != "" {
			eff.Reason = why + ", " + eff.Reason
		}
		if before >= 0 {
			a.leave(now, spread.MemberSet(0).With(before))
		}
	case Tick:
		if a.leaving == 0 {
			return eff
		}
	case Flooded:
		return Effects{Tell: TellAll}
	default:
		return eff
	}
	a.replan(now)
	return eff
}

// Plan returns the Plan in force.
func (a *activeBackup) Plan() *spread.Plan { return a.plan }

// Deadline is the end of an overlap.
func (a *activeBackup) Deadline() time.Time {
	if a.leaving == 0 {
		return time.Time{}
	}
	return a.until
}

// leave begins the overlap of members that are active no more.
func (a *activeBackup) leave(now time.Time, set spread.MemberSet) {
	if set == 0 {
		return
	}
	a.leaving |= set
	a.until = now.Add(Overlap)
}

// replan makes the Plan that follows from the state, who is active and the time.
func (a *activeBackup) replan(now time.Time) {
	pl := draft(&a.st)
	var lingering, stopping spread.MemberSet
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
		a.until, a.before = time.Time{}, nil
	}
	if a.before != nil {
		// What they did not take in then they would only double now.
		for left := a.leaving; left != 0; left = left.Without(left.First()) {
			pl.Filter[left.First()] = a.before.Filter[left.First()]
		}
	}
	pl.Collecting = lingering | stopping
	if a.active >= 0 {
		pl.Rule = spread.RuleSingle
		pl.Active = a.active
		pl.Distributing = spread.MemberSet(0).With(a.active)
		pl.Collecting = pl.Collecting.With(a.active)
		pl.Next = successor(&a.st, a.active)
		receiveGroupsBy(pl, a.active, &a.st)
	}
	a.plan = publish(a.plan, pl)
}
