// SPDX-License-Identifier: MIT

package modes

import (
	"fmt"
	"slices"

	"nicteam/modes/spread"
)

// Who is active, first match wins:
//
//  1. the member named by Settings.Active, whenever it is usable: it holds until the setting is taken back
//  2. the primary, if no member is active, or if primary_reselect lets it take over
//  3. the member that is active, as long as it is usable
//  4. the first usable member in the order of ids, which is the order in which they joined
//
// A member in a drain counts as not usable here. A suspect one is not chosen while another is usable, and stays active
// if it was: most suspicions prove wrong within some 50 ms, and if this one does not, the member is down then.

// elect returns the member that follows the active one (-1 none), and why; "" if it stays.
func elect(st *State, active int) (int, string) {
	_, staying := sets(st)
	return electOf(st, staying, suspects(st), active)
}

// electOf elects one of the staying members.
func electOf(st *State, staying, suspect spread.MemberSet, active int) (int, string) {
	s := &st.Settings
	if !enough(st, staying) {
		if staying == 0 {
			return -1, "no member is usable"
		}
		return -1, fmt.Sprintf("%d usable, min_members is %d", staying.Len(), s.MinMembers)
	}
	trusted := staying &^ suspect.Without(active)
	if trusted == 0 {
		trusted = staying
	}
	if m := named(st, s.Active); m != nil && trusted.Has(m.ID) {
		return m.ID, fmt.Sprintf("%s was chosen by hand", m.Name)
	}
	current := find(st, active)
	if m := named(st, s.Primary); m != nil && trusted.Has(m.ID) {
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
	m := find(st, trusted.First())
	if trusted.First() != staying.First() {
		return m.ID, fmt.Sprintf("%s is the first usable member that is not suspect", m.Name)
	}
	return m.ID, fmt.Sprintf("%s is the first usable member", m.Name)
}

// elect is the election of a mode of its own: the member that was active under the mode before stays so.
func (st *State) elect(active int) (int, string) {
	_, staying := sets(st)
	if b := st.Before; active >= 0 || b == nil || b.Rule != spread.RuleSingle && b.Rule != spread.RuleShortest ||
		!staying.Has(b.Active) {
		return elect(st, active)
	}
	to, reason := elect(st, st.Before.Active)
	if to >= 0 && reason == "" {
		reason = find(st, to).Name + " was active before"
	}
	return to, reason
}

// successor returns the member that would be elected if these died, -1 if none would.
func successor(st *State, suspect, dead spread.MemberSet) int {
	_, staying := sets(st)
	id, _ := electOf(st, staying&^dead, suspect, -1)
	return id
}

// successors returns the successor of the active member, and those that would follow it if each died.
func successors(st *State, active int) (next int, later []uint8) {
	suspect, dead := suspects(st), spread.MemberSet(0).With(active)
	next = successor(st, suspect, dead)
	for id := next; id >= 0 && len(later) < spread.MaxSuccessors-1; {
		dead = dead.With(id)
		if id = successor(st, suspect, dead); id >= 0 {
			later = append(later, uint8(id))
		}
	}
	return next, later
}

// trusting returns a State without suspicion.
func trusting(st *State) *State {
	calm := *st
	calm.Members = slices.Clone(st.Members)
	for i := range calm.Members {
		calm.Members[i].Suspect = false
	}
	return &calm
}

// suspects returns the members that are suspect.
func suspects(st *State) (set spread.MemberSet) {
	for _, m := range st.Members {
		if m.Suspect {
			set = set.With(m.ID)
		}
	}
	return set
}

// preferred returns the member that would be elected if all were usable and none suspect, -1 if none would.
func preferred(st *State, active int) int {
	var staying spread.MemberSet
	for _, m := range st.Members {
		if !m.Draining {
			staying = staying.With(m.ID)
		}
	}
	id, _ := electOf(st, staying, 0, active)
	return id
}

// lost returns why the member that was active cannot stay so, "" if it could.
func lost(was, st *State, id int) string {
	m := find(was, id)
	if m == nil {
		return ""
	}
	switch n := find(st, id); {
	// its id may be another NIC's by now, or it may have another name
	case n == nil || n.Name != m.Name && n.MAC != m.MAC:
		return fmt.Sprintf("%s has left", m.Name)
	case n.Draining:
		return fmt.Sprintf("%s is leaving", m.Name)
	case !n.Usable:
		return fmt.Sprintf("%s is not usable", m.Name)
	}
	return ""
}

// named returns the member of that name; no member has an empty one.
func named(st *State, name string) *Member {
	for i := range st.Members {
		if name != "" && st.Members[i].Name == name {
			return &st.Members[i]
		}
	}
	return nil
}

// find returns the member with that id, nil if there is none.
func find(st *State, id int) *Member {
	for i := range st.Members {
		if st.Members[i].ID == id {
			return &st.Members[i]
		}
	}
	return nil
}
