// SPDX-License-Identifier: MIT

package team

import (
	"time"

	"nicteam/monitor"
)

// Where no member is usable, one that is held back is better than none: first what only waits, last what does not
// answer.

// admissionPatience is how long members that wait for their first answer are waited for while no other is usable: which
// of them answers first shows which works.
const admissionPatience = 200 * time.Millisecond

// override finds members to use if no other is usable.
func (l *Loop) override(now time.Time) {
	for _, use := range []func(time.Time) bool{l.skipUpDelay, l.skipDamping, l.useWaiting, l.useDown} {
		if l.anyUsable() {
			return
		}
		if use(now) {
			l.updateFitness()
		}
	}
}

// anyUsable reports whether a member that stays may be used.
func (l *Loop) anyUsable() bool {
	for _, m := range l.members {
		if m.verdict() && !m.draining {
			return true
		}
	}
	return false
}

// skipUpDelay ends the up-delay of the member that has waited longest.
func (l *Loop) skipUpDelay(time.Time) bool {
	var first *member
	for _, m := range l.members {
		d := m.debounce.Deadline()
		if !m.linkKnown || m.absent || m.reopening || m.draining || m.debounce.Up() || d.IsZero() {
			continue
		}
		if first == nil || d.Before(first.debounce.Deadline()) {
			first = m
		}
	}
	return first != nil && first.debounce.SkipUpDelay()
}

// skipDamping ends the wait of the member whose wait ends first. What was noted of it stays.
func (l *Loop) skipDamping(time.Time) bool {
	var first *member
	for _, m := range l.members {
		if m.works() && m.damped() && !m.draining && (first == nil || m.dampedUntil.Before(first.dampedUntil)) {
			first = m
		}
	}
	if first == nil {
		return false
	}
	first.dampingSkipped, first.dampedUntil = first.dampedUntil, time.Time{}
	return true
}

// useWaiting uses the members that wait for their first answer, when the patience with them has ended.
func (l *Loop) useWaiting(now time.Time) (used bool) {
	for _, m := range l.members {
		if !m.hasLink() || m.draining || m.watch.State != monitor.Waiting {
			continue
		}
		if end := m.watch.Since.Add(admissionPatience); now.Before(end) {
			l.verdictDue = earlier(l.verdictDue, end)
			continue
		}
		m.forced, used = true, true
	}
	return used
}

// useDown uses the members that do not answer.
func (l *Loop) useDown(time.Time) (used bool) {
	for _, m := range l.members {
		if m.hasLink() && !m.draining && m.watch.State == monitor.Down {
			m.forced, used = true, true
		}
	}
	return used
}
