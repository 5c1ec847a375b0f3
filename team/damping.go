// SPDX-License-Identifier: MIT

package team

import (
	"fmt"
	"time"

	"nicteam/internal/api"
	"nicteam/monitor"
)

// updateDamping notes which members have failed, and which must wait because they failed too often. A link that the
// administrator takes down has not failed.
func (l *Loop) updateDamping(now time.Time) {
	for _, m := range l.members {
		failed := m.worked && !m.works() && !m.reopening && !m.draining && m.linkState.Reason != monitor.ReasonAdmin
		if failed && l.cfg.Damping {
			m.damping.Failed(now)
		}
		m.dampedUntil = time.Time{}
		if until := m.damping.Until(now); l.cfg.Damping && now.Before(until) && !until.Equal(m.dampingSkipped) {
			m.dampedUntil = until
		}
	}
}

// tellDamping adds an event for each member that would be used, and begins to wait.
func (l *Loop) tellDamping(now time.Time, out *Output) {
	for _, m := range l.members {
		if m.damped() {
			l.verdictDue = earlier(l.verdictDue, m.dampedUntil)
		}
		if m.damped() && m.works() && !m.dampedTold {
			m.dampedTold = true
			l.addEvent(out, now, "member-damped", m.link.Name, fmt.Sprintf("flapped %d times in 60 s, back in %v",
				m.damping.Failures(now), m.dampedUntil.Sub(now).Round(time.Second)))
		}
		m.dampedTold = m.dampedTold && m.damped()
	}
}

// damped reports whether m waits because it failed too often.
func (m *member) damped() bool { return !m.dampedUntil.IsZero() }

// undamp lets a member be used again.
func (l *Loop) undamp(name string) *api.Problem {
	m := l.byName(name)
	if m == nil {
		return noMember(name, l.memberNames())
	}
	m.damping.Undamp()
	return nil
}

// dampedStatus returns how long m waits, nil if it does not. l.now is when the last input was handled.
func (l *Loop) dampedStatus(m *member) *api.Damped {
	if !m.damped() {
		return nil
	}
	return &api.Damped{Failures: m.damping.Failures(l.now), Until: m.dampedUntil}
}

// whyDamped says why m waits.
func (m *member) whyDamped() string {
	return "flapped too often, waits until " + m.dampedUntil.Format(time.TimeOnly)
}
