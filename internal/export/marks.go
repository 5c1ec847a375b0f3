// SPDX-License-Identifier: MIT

package export

import (
	"slices"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/monitor/chart"
)

// moment is how far apart events with one cause may be.
const moment = time.Second / 2

// mark is an event, or several of one moment, as a picture shows it.
type mark struct {
	api.Event
	members []string
	again   bool // a member that was lost is back
}

// marks returns the events for a picture. Events that follow from a member's event of the same moment are left out, and
// the same event of several members is one mark.
func (t *Traffic) marks() []chart.Event {
	var all []mark
	lost := map[string]bool{}
next:
	for _, e := range t.History.Events {
		again := e.Event == "member-up" && lost[e.Member]
		lost[e.Member] = e.Event == "member-down" || lost[e.Member] && !again
		for i := len(all) - 1; i >= 0 && e.Time.Sub(all[i].Time) < moment; i-- {
			m := &all[i]
			switch {
			case m.causes(&e):
				continue next
			case m.joins(&e, again):
				m.members = append(m.members, e.Member)
				continue next
			}
		}
		m := mark{Event: e, again: again}
		if e.Member != "" {
			m.members = []string{e.Member}
		}
		all = append(all, m)
	}
	list := make([]chart.Event, len(all))
	for i := range all {
		m := &all[i]
		m.Member = strings.Join(m.members, ", ")
		list[i] = chart.Event{At: m.Time, Text: m.Text(), Label: m.Label()}
		if m.again {
			list[i].Label += " again"
		}
	}
	return list
}

// causes reports whether e, later in the same moment, follows from m: a member's event decides the state of the team
// and which member is active, and a member that is added comes up.
func (m *mark) causes(e *api.Event) bool {
	if e.Event == "member-up" {
		return m.Event.Event == "member-added" && slices.Contains(m.members, e.Member)
	}
	ofMember := strings.HasPrefix(m.Event.Event, "member-")
	return ofMember && (e.Event == "active-changed" || strings.HasPrefix(e.Event, "team-"))
}

// joins reports whether e is the event of m for another member.
func (m *mark) joins(e *api.Event, again bool) bool {
	return e.Member != "" && m.members != nil && !slices.Contains(m.members, e.Member) &&
		m.Event.Event == e.Event && m.Reason == e.Reason && m.again == again
}
