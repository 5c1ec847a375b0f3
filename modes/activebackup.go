// SPDX-License-Identifier: MIT

package modes

import (
	"time"

	"nicteam/modes/spread"
)

// Overlap is how long the member that was active goes on receiving unicast frames after a change: frames under way to
// it are not lost, and switches have learnt the new path by then.
const Overlap = 100 * time.Millisecond

// activeBackup sends and receives everything by one member while the others stand by. Every mode does so with balance
// off. election.go says who is active. A member in a drain that was active receives until it has left.
type activeBackup struct {
	st     State
	plan   *spread.Plan
	active int // -1 none

	overlap spread.MemberSet // received until a moment ago
	until   time.Time        // when the last of overlap ends, but for those in a drain
	before  *spread.Plan     // of another mode, with the filters of overlap
}

func newActiveBackup() *activeBackup { return &activeBackup{plan: emptyPlan(), active: -1} }

func (*activeBackup) isMode() {}

// Handle elects after a State, and ends overlaps after a Tick.
func (a *activeBackup) Handle(now time.Time, ev Event) Effects {
	var eff Effects
	switch ev := ev.(type) {
	case State:
		before, was := a.active, a.st
		a.st = ev
		if ev.Before != nil {
			a.before = ev.Before
			a.beginOverlap(now, ev.Before.Collecting)
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
			a.beginOverlap(now, spread.MemberSet(0).With(before))
		}
	case Tick:
		if a.overlap == 0 {
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

// Deadline returns the end of an overlap, zero for none.
func (a *activeBackup) Deadline() time.Time {
	if a.overlap == 0 {
		return time.Time{}
	}
	return a.until
}

// beginOverlap lets members receive a moment longer.
func (a *activeBackup) beginOverlap(now time.Time, set spread.MemberSet) {
	if set == 0 {
		return
	}
	a.overlap |= set
	a.until = now.Add(Overlap)
}

// replan makes the Plan that follows from the State, the active member and the time.
func (a *activeBackup) replan(now time.Time) {
	pl := draft(&a.st)
	var draining, stopping spread.MemberSet
	for _, m := range a.st.Members {
		switch {
		// Frames from before a link was lost may still wait in the member's socket. If the switch floods, all of them
		// arrive by the active member as well.
		case !a.overlap.Has(m.ID) || m.ID == a.active || a.st.Flooding:
		case m.Draining:
			draining = draining.With(m.ID)
		case now.Before(a.until):
			stopping = stopping.With(m.ID)
		}
	}
	// Members in a drain stay until they are gone; no deadline ends that.
	a.overlap = draining | stopping
	if stopping == 0 {
		a.until, a.before = time.Time{}, nil
	}
	if a.before != nil {
		// Frames that they did not accept then would arrive twice now.
		for left := a.overlap; left != 0; left = left.Without(left.First()) {
			pl.Filter[left.First()] = a.before.Filter[left.First()]
		}
	}
	pl.Collecting = draining | stopping
	if a.active >= 0 {
		pl.Rule = spread.RuleSingle
		pl.Active = a.active
		pl.Distributing = spread.MemberSet(0).With(a.active)
		pl.Collecting = pl.Collecting.With(a.active)
		pl.Next, pl.Later = successors(&a.st, a.active)
		receiveGroupsBy(pl, a.active, &a.st)
	}
	a.plan = publish(a.plan, pl)
}
