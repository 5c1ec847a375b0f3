// SPDX-License-Identifier: MIT

package team

import (
	"fmt"
	"slices"
	"time"

	"nicteam/internal/api"
	"nicteam/modes"
	"nicteam/modes/spread"
)

// How NICs join a team and leave it.

func (l *Loop) reserve(in Reserve, out *Output) *api.Problem {
	what := fmt.Sprintf("add %s to %s", in.Link.Name, l.cfg.Team)
	fix := "nicteam status " + l.cfg.Team + " shows the members"
	taken := func(o Link) bool { return o.Name == in.Link.Name || o.Index == in.Link.Index }
	for _, m := range l.members {
		if taken(m.link) {
			return &api.Problem{Kind: api.Conflict, What: what, Why: "it is a member already", Fix: fix}
		}
	}
	for _, j := range l.joining {
		if taken(j) {
			return &api.Problem{Kind: api.Conflict, What: what, Why: "it is being added already", Fix: fix}
		}
	}
	// Take the id that was free longest, so that counters of a member that left are not taken for those of a new one.
	for i := 1; i <= spread.MaxMembers; i++ {
		id := (l.lastID + i) % spread.MaxMembers
		if !l.takenIDs.Has(id) {
			l.takenIDs, l.lastID = l.takenIDs.With(id), id
			l.joining[id] = in.Link
			out.ID, out.Link = id, in.Link
			return nil
		}
	}
	return &api.Problem{Kind: api.Conflict, What: what,
		Why: fmt.Sprintf("a team has at most %d members", spread.MaxMembers), Fix: "remove one first"}
}

func (l *Loop) joined(now time.Time, in Joined, out *Output) {
	if _, ok := l.joining[in.ID]; !ok {
		return // never reserved: another member may have the id
	}
	delete(l.joining, in.ID)
	out.ID, out.Link = in.ID, in.Link
	m := &member{id: in.ID, link: in.Link, weight: in.Weight, priority: modes.DefaultPortPriority, info: in.Info,
		justJoined: true}
	for _, c := range l.cfg.Members {
		if c.Name != in.Link.Name {
			continue
		}
		m.priority = c.PortPriority
		if m.weight <= 0 {
			m.weight = c.Weight
		}
	}
	if m.weight <= 0 {
		m.weight = 1
	}
	m.debounce.UpDelay, m.debounce.DownDelay = l.cfg.UpDelay, l.cfg.DownDelay
	m.resetLink(now)
	i, _ := slices.BinarySearchFunc(l.members, m.id, func(m *member, id int) int { return m.id - id })
	l.members = slices.Insert(l.members, i, m)
	l.dirty = true
	l.addEvent(out, now, "member-added", in.Link.Name, "")
}

// leaving returns the member that is to leave. The last one stays unless forced: its removal by mistake would cut the
// host off.
func (l *Loop) leaving(name string, force bool) (*member, *api.Problem) {
	m := l.byName(name)
	if m == nil {
		return nil, noMember(name, l.memberNames())
	}
	for _, o := range l.members {
		if o != m && !o.draining {
			return m, nil
		}
	}
	if !force {
		return nil, &api.Problem{Kind: api.Conflict, What: fmt.Sprintf("remove %s from %s", name, l.cfg.Team),
			Why: "it is the last member: the team would be without network",
			Fix: "nicteam delete " + l.cfg.Team + ", or remove with --force"}
	}
	return m, nil
}

func (l *Loop) drain(in Drain, out *Output) *api.Problem {
	m, p := l.leaving(in.Name, in.Force)
	if p != nil {
		return p
	}
	out.ID, out.Link = m.id, m.link
	m.draining, l.dirty = true, true
	return nil
}

func (l *Loop) leave(now time.Time, in Leave, out *Output) *api.Problem {
	m, p := l.leaving(in.Name, in.Force)
	if p != nil {
		return p
	}
	out.ID, out.Link = m.id, m.link
	l.members = slices.DeleteFunc(l.members, func(o *member) bool { return o == m })
	l.dirty = true
	if l.cfg.Active == m.link.Name {
		l.cfg.Active = ""
	}
	delete(l.floods, m.id)
	l.forgetInherited(m.link.Name)
	delete(l.warnings, "filter "+m.link.Name)
	delete(l.warnings, "groups "+m.link.Name)
	delete(l.warnings, "mtu "+m.link.Name)
	l.addEvent(out, now, "member-removed", m.link.Name, "")
	return nil
}
