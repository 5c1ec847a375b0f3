// SPDX-License-Identifier: MIT

package sim

import (
	"time"

	"nicteam/team"
)

// seenLost is what a member's carrier watch notes of reports by the data path: monitor.Carrier.Lost in virtual time.
type seenLost struct {
	unconfirmed  bool
	doubtedUntil time.Duration
}

const (
	lossSettle = 100 * time.Millisecond
	lossDoubt  = 10 * time.Second
)

// confirm is what a reading says of a report that was believed.
func (m *member) confirm(up bool) {
	now := m.t.w.now
	switch {
	case up && m.unconfirmed:
		m.doubtedUntil = max(m.doubtedUntil, now+lossDoubt)
	case up && !(m.told && m.toldUp):
		m.doubtedUntil = max(m.doubtedUntil, now+lossSettle)
	}
	m.unconfirmed = false
}

// believe returns what an input is for the loop: a report of a lost link, if the carrier watch believes it, is one of
// that watch (team.Team.fromDatapath).
func (t *Team) believe(in team.Input) team.Input {
	c, is := in.(team.FromDatapath)
	if !is || c.Kind != team.ControlLost {
		return in
	}
	m := t.members[c.Member]
	if m == nil || m.link.Index != c.Index || !m.told || !m.toldUp || t.w.now < m.doubtedUntil {
		return in
	}
	m.unconfirmed = true
	for _, id := range t.ids {
		t.members[id].read(readDelay)
	}
	return m.linkChanged(false)
}
