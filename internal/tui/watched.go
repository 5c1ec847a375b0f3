// SPDX-License-Identifier: MIT

package tui

import (
	"fmt"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/units"
	"nicteam/monitor/chart"
)

// chartMember is a member as the chart shows it.
func chartMember(m *api.Member, s chart.Series) chart.Member {
	c := chart.Member{Series: s, State: stateOf(m), Up: m.State == "up" || m.State == "standby",
		Link: float64(m.SpeedBps)}
	if w := m.Watch; w != nil {
		c.Doubtful = w.Verdict == "suspect" || w.Verdict == "waiting" || w.Verdict == "down"
		c.Watched, c.RTT, c.Loss = len(w.Asked) > 0, time.Duration(w.RTT), w.Loss
	}
	return c
}

// stateOf is the state of a member in a word or two. A light that is on says nothing about why a member is down.
func stateOf(m *api.Member) string {
	verdict := ""
	if m.Watch != nil {
		verdict = m.Watch.Verdict
	}
	switch used := m.State == "up" || m.State == "standby"; {
	case m.State == "down" && !m.Link:
		return "link down"
	case m.State == "down" && verdict == "down":
		return "no answer"
	case m.State == "down" && verdict == "waiting":
		return "waiting"
	case m.State == "down" && m.Damped != nil:
		return "damped"
	case used && verdict == "suspect":
		return "suspect"
	case used && (verdict == "down" || verdict == "waiting"):
		return "last resort" // no other member is usable
	}
	return m.State
}

// notes are the lines below the members: of the team, why members whose light is on are not well; of one NIC, why, and
// whom it asks.
func notes(st *api.Status, nic string, now time.Time) (list []string) {
	for i := range st.Members {
		m := &st.Members[i]
		why := m.Why(now)
		switch {
		case nic == "" && why != "" && (m.Link || m.Damped != nil):
			list = append(list, m.Name+": "+why)
		case nic != m.Name:
		default:
			if why != "" {
				list = append(list, why)
			}
			list = append(list, askedNotes(st, m, now)...)
		}
	}
	return list
}

// askedNotes tell how what a member's link watches ask answers.
func askedNotes(st *api.Status, m *api.Member, now time.Time) (list []string) {
	if m.Watch == nil || len(m.Watch.Asked) == 0 {
		if st.Settings.LinkWatch == "" || m.LACP != nil {
			return nil
		}
		return []string{"nothing is asked, carrier alone decides"}
	}
	for i := range m.Watch.Asked {
		t := &m.Watch.Asked[i]
		text := t.Target()
		switch {
		case t.Answers && t.IP == "":
			text += " hear it"
		case t.Answers:
			text += " answers"
		case t.IP == "":
			text += " do not hear it"
		default:
			text += " does not answer"
		}
		if t.RTT > 0 {
			text += " · " + units.Delay(time.Duration(t.RTT))
		}
		text += " · loss " + units.Percent(t.Loss)
		if !t.Answers && !t.Last.IsZero() {
			text += fmt.Sprintf(" · last answer %d s ago", max(now.Sub(t.Last), 0)/time.Second)
		}
		list = append(list, text)
	}
	return list
}

// waits is what the screen says of times that pass by themselves.
func (m *Model) waits() string {
	var text strings.Builder
	for i := range m.status.Members {
		if one := &m.status.Members[i]; one.Damped != nil {
			text.WriteString(one.Damped.Text(m.now) + "\n")
		}
	}
	return text.String() + m.pendingText()
}
