// SPDX-License-Identifier: MIT

package daemon

import (
	"cmp"

	"nicteam/internal/api"
	"nicteam/modes/spread"
)

// excluded returns the members that an explained flow cannot take now, but for the one that carries it. name returns a
// member's name.
func excluded(st *api.Status, x *spread.Explanation, name func(id int) string) (not []api.Excluded) {
	named := func(set spread.MemberSet) map[string]bool {
		names := map[string]bool{}
		for ; set != 0; set = set.Without(set.First()) {
			names[name(set.First())] = true
		}
		return names
	}
	carries, suspect, closed := name(x.Member), named(x.Suspect), named(x.Closed)
	for i := range st.Members {
		m := &st.Members[i]
		if m.Name == carries {
			continue
		}
		doubted := m.Watch != nil && m.Watch.Verdict == "suspect"
		e := api.Excluded{Member: m.Name}
		switch {
		case m.State == "up" && suspect[m.Name], m.State == "standby" && doubted:
			e.State, e.Reason = "suspect", "its frames may not arrive"
			if m.Watch != nil {
				e.Reason = cmp.Or(m.Watch.Reason, e.Reason)
			}
		case closed[m.Name]:
			e.State, e.Reason = "returns", "it has failed and is back, gets more flows step by step, and this one later"
		case m.State == "up", m.State == "standby":
			continue
		case m.State == "down" && m.Watch != nil && m.Watch.Verdict == "waiting":
			e.State, e.Reason = "waits", m.Reason
		case m.State == "down" && m.Damped != nil:
			e.State, e.Reason = "damped", m.Reason
		default:
			e.State, e.Reason = m.State, m.Reason
		}
		not = append(not, e)
	}
	return not
}
