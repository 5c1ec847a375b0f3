// SPDX-License-Identifier: MIT

package modes

import (
	"reflect"
	"slices"
	"time"

	"nicteam/modes/spread"
)

// A member that is back after a failure gets its part of the flows and of the peers in steps, not at once: if it fails
// again soon after, as a loose plug does, it takes few with it. The MACs behind the adapter that are pinned to it come
// last, for switches have to learn each of them anew.
//
//	usable → fails → usable again → a tenth of its slots and peers → a tenth more each step → all, and its pins
const (
	returnSteps = 10
	returnStep  = 500 * time.Millisecond
)

// returns are the members that have failed, and those of them that return. The zero value is ready.
type returns struct {
	failed map[string]bool      // by name: it is not back
	since  map[string]time.Time // by name: it is back since then, and returns
	closed map[string]uint8     // by name: see spread.Shortest
	at     time.Time            // of the next step, zero for none
}

// follow compares two States. A member that joins has not failed, and one in a drain leaves: neither returns. If no
// member but such as return is usable, they get everything at once.
func (r *returns) follow(now time.Time, was, st *State) {
	settled := false
	for _, m := range st.Members {
		old := find(was, m.ID)
		switch {
		case !m.Usable:
			delete(r.since, m.Name)
			if old != nil && old.Name == m.Name && old.Usable && !old.Draining {
				r.fails(m.Name)
			}
		case m.Draining:
			r.forget(m.Name)
		case r.failed[m.Name]:
			r.comesBack(now, m.Name)
		}
		_, back := r.since[m.Name]
		settled = settled || m.Usable && !m.Draining && !back
	}
	if len(st.Vacant) == 0 { // else it may be one of these
		for _, name := range r.names() {
			if named(st, name) == nil {
				r.forget(name)
			}
		}
	}
	if !settled {
		r.since = nil
	}
	r.step(now)
}

func (r *returns) fails(name string) {
	if r.failed == nil {
		r.failed = map[string]bool{}
	}
	r.failed[name] = true
}

// comesBack lets a member return from now on, or in step with one that came back just before.
func (r *returns) comesBack(now time.Time, name string) {
	delete(r.failed, name)
	if r.since == nil {
		r.since = map[string]time.Time{}
	}
	since := now
	for _, other := range r.since {
		if d := now.Sub(other); d >= 0 && d < returnStep {
			since = earlier(since, other)
		}
	}
	r.since[name] = since
}

func (r *returns) forget(name string) {
	delete(r.failed, name)
	delete(r.since, name)
}

// names returns the names of all members in r.
func (r *returns) names() (names []string) {
	for name := range r.failed {
		names = append(names, name)
	}
	for name := range r.since {
		names = append(names, name)
	}
	return names
}

// step gives each member that returns its part at a time.
func (r *returns) step(now time.Time) {
	r.closed, r.at = nil, time.Time{}
	for name, since := range r.since {
		steps := 1 + int(max(now.Sub(since), 0)/returnStep)
		if steps >= returnSteps {
			delete(r.since, name)
			continue
		}
		if r.closed == nil {
			r.closed = map[string]uint8{}
		}
		r.closed[name] = uint8(256 - 256*steps/returnSteps)
		r.at = earlier(r.at, since.Add(time.Duration(steps)*returnStep))
	}
}

// due reports whether a step is due.
func (r *returns) due(now time.Time) bool { return !r.at.IsZero() && !now.Before(r.at) }

// differInSuspicion reports whether two States are equal but for which members are suspect.
func differInSuspicion(a, b *State) bool {
	if slices.Equal(a.Members, b.Members) {
		return false
	}
	return reflect.DeepEqual(trusting(a), trusting(b))
}

// doubting returns a Plan with these suspect members. It shares all else, so data paths find nothing else to do.
func doubting(pl *spread.Plan, suspect spread.MemberSet) *spread.Plan {
	if pl.Suspect == suspect {
		return pl
	}
	next := *pl
	next.Suspect = suspect
	return &next
}
