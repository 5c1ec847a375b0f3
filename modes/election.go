package modes

import (
	"fmt"
	"slices"

	"nicteam/modes/spread"
)

// Who is active, first match wins:
//
//  1. the member named by Settings.Active, whenever it is usable: a wish by hand holds until it
//     is taken back
//  2. the primary, if nobody is active, or primary_reselect lets it take over
//  3. the member that is active, as long as it is usable
//  4. the first usable member in the order of ids, which is the order in which they joined
//
// A member in a drain counts as not usable here.

// choose returns the member that is to be active after the one that is (-1: none), and why that one: "" when it stays.
func choose(st *State, active int) (int, string) {
	s := &st.Settings
	_, staying := sets(st)
	if !enough(st, staying) {
		if staying == 0 {
			return -1, "no member is usable"
		}
		return -1, fmt.Sprintf("%d usable, min_members is %d", staying.Len(), s.MinMembers)
	}
	if m := named(st, s.Active); m != nil && staying.Has(m.ID) {
		return m.ID, fmt.Sprintf("%s was chosen by hand", m.Name)
	}
	current := find(st, active)
	if m := named(st, s.Primary); m != nil && staying.Has(m.ID) {
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
	m := find(st, staying.First())
	return m.ID, fmt.Sprintf("%s is the first usable member", m.Name)
}

// elect is choose for a mode by itself: who was active under the mode before it stays so.
func (st *State) elect(active int) (int, string) {
	_, staying := sets(st)
	if b := st.Before; active >= 0 || b == nil || b.Rule != spread.RuleSingle && b.Rule != spread.RuleShortest || !staying.Has(b.Active) {
		return choose(st, active)
	}
	to, reason := choose(st, st.Before.Active)
	if to >= 0 && reason == "" {
		reason = find(st, to).Name + " was active before"
	}
	return to, reason
}

// successor returns the member that would be chosen if the active one died, -1 when none would.
func successor(st *State, active int) int {
	after := *st
	after.Members = slices.DeleteFunc(slices.Clone(st.Members), func(m Member) bool { return m.ID == active })
	id, _ := choose(&after, -1)
	return id
}

// preferred returns the member that would be chosen if all were usable, -1 when none would.
func preferred(st *State, active int) int {
	all := *st
	all.Members = slices.Clone(st.Members)
	for i := range all.Members {
		all.Members[i].Usable = true
	}
	id, _ := choose(&all, active)
	return id
}

// lost says what became of the member that was active, "" if it could have stayed so.
func lost(was, st *State, id int) string {
	m := find(was, id)
	if m == nil {
		return ""
	}
	switch n := find(st, id); {
	case n == nil || n.Name != m.Name && n.MAC != m.MAC: // its id may be another's by now; its name may be another, too
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

// find returns the member with that id, nil when there is none.
func find(st *State, id int) *Member {
	for i := range st.Members {
		if st.Members[i].ID == id {
			return &st.Members[i]
		}
	}
	return nil
}
