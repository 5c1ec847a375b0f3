// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/units"
)

// whyCell is the reason of a member; of one that is well, how many asks its targets leave unanswered, if any.
func whyCell(m *api.Member, now time.Time) string {
	why := m.Why(now)
	if why == "" && m.Watch != nil && m.Watch.Loss > 0 {
		return units.Percent(m.Watch.Loss) + " of asks unanswered"
	}
	return why
}

// showWatches prints whom the link watches ask and who answers, for status -v.
func (a *app) showWatches(s *api.Status, now time.Time) {
	if s.Settings.LinkWatch == "" { // a process of a version without
		return
	}
	head := "  link watch " + s.Settings.LinkWatch
	rows := [][]string{{"  NIC", "VERDICT", "FOR", "ASKS", "ANSWERS", "RTT", "LOSS", "LAST"}}
	for i := range s.Members {
		m := &s.Members[i]
		if m.Watch == nil {
			continue
		}
		name, verdict, since := "  "+m.Name, m.Watch.Verdict, "-"
		if !m.Watch.Since.IsZero() {
			since = ago(now.Sub(m.Watch.Since))
		}
		if len(m.Watch.Asked) == 0 {
			rows = append(rows, []string{name, verdict, since, "-", "-", "-", "-", "-"})
		}
		for j := range m.Watch.Asked {
			rows = append(rows, append([]string{name, verdict, since}, askedCells(&m.Watch.Asked[j], now)...))
			name, verdict, since = "", "", ""
		}
	}
	switch {
	case len(rows) > 1:
		a.say("%s", head)
		a.table(rows)
	case s.LACP != nil:
		a.say("%s: LACP watches the links", head)
	default:
		a.say("%s: nothing is asked, carrier alone decides", head)
	}
}

// askedCells are what is known of a target: its name, whether it answers, round trip time, loss and last answer.
func askedCells(t *api.Asked, now time.Time) []string {
	answers, rtt, last := "no", "-", "never"
	if t.Answers {
		answers = "yes"
	}
	if t.RTT > 0 {
		rtt = units.Delay(time.Duration(t.RTT))
	}
	if !t.Last.IsZero() {
		last = fmt.Sprintf("%s ago", ago(now.Sub(t.Last)))
	}
	return []string{t.Target(), answers, rtt, units.Percent(t.Loss), last}
}
