// SPDX-License-Identifier: MIT

package sim

import (
	"time"

	"nicteam/internal/api"
	"nicteam/modes"
	"nicteam/monitor"
)

// roundMost is how long after a fault was undone a round that it began may end.
const roundMost = time.Second

// idleMost is how long a member that loses everything may stay in use where little is sent: until it is asked, and a
// round.
const idleMost = 3500 * time.Millisecond

// ownAskMost is how seldom a member asks that is down, another one receives for its MAC, and its NIC takes in no other
// (team/ask_own.go): its watches cannot know earlier that it works again.
const ownAskMost = 10 * time.Second

// blames checks that a member that is down is one that loses frames, or did a moment ago.
func (t *Team) blames(e *api.Event) {
	for _, id := range t.ids {
		m := t.members[id]
		if m.nic.Name != e.Member || !m.nic.Up() || m.nic.wire == nil {
			continue
		}
		if m.works(roundMost) && m.toldUp && t.judges() {
			t.w.breach("%s: %s is down though it works both ways: %s", t.Name, e.Member, e.Reason)
		}
	}
}

// judges reports whether the link watches can tell whose fault it is that an answer stays away: not where queues are
// full, nor where a switch that takes the members for one link returns answers by any of them.
func (t *Team) judges() bool {
	k := t.config.Mode
	return t.w.jam == 0 && len(t.w.partners) == 0 && !t.Lied &&
		(k == modes.ELB || k == modes.ActiveBackup || !t.config.Balance)
}

// works reports whether a member has lost nothing for some time.
func (m *member) works(since time.Duration) bool {
	e := m.nic.End
	if e.wire == nil {
		return false
	}
	a, b := e.whole(), e.far.whole()
	return a != never && b != never && m.t.w.now-max(a, b) > since
}

// judged checks that no link watch holds a member down that works both ways, while nothing disturbs.
func (l *life) judged() error {
	for _, h := range l.heldDown() {
		if h.nic.OwnMAC {
			if err := l.World.Run(ownAskMost + roundMost); err != nil {
				return err
			}
			break
		}
	}
	for _, h := range l.heldDown() {
		_, reason := h.t.watchOf(h.nic)
		l.breach("%s: %s is still down though it works both ways: %s", h.t.Name, h.nic.Name, reason)
	}
	if l.fail != nil {
		return l.fail
	}
	return nil
}

// heldDown returns the members that link watches hold down though they work both ways.
func (l *life) heldDown() (held []*member) {
	for _, t := range l.teams {
		if t.dead || !t.judges() {
			continue
		}
		for _, id := range t.ids {
			m := t.members[id]
			if verdict, _ := t.watchOf(m.nic); verdict == monitor.Down.String() && m.works(2*roundMost) {
				held = append(held, m)
			}
		}
	}
	return held
}
