// SPDX-License-Identifier: MIT

package team

import (
	"errors"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// While another member receives for a member's own MAC, it asks by one made for that ([monitor.AskMAC]). A Wi-Fi
// station or a virtual function takes in nothing for such a MAC, and the latter does not even refuse it. Without an
// answer it would never be used again. So a member that is down, and has never been answered by such a MAC, asks by its
// own one for a moment, now and then: frames of hosts that still send to it take that way meanwhile, and a learning
// frame of the member that received them ends that.
const (
	ownAskFirst = 50 * time.Millisecond // after it went down or its link came
	ownAskMost  = 10 * time.Second      // twice as long each time, up to this
	ownAskTime  = 25 * time.Millisecond // how long it asks so
)

// ownAsk is when a member asks by its own MAC.
type ownAsk struct {
	wait  time.Duration
	next  time.Time // when it begins, zero: a member does not need it
	until time.Time // when it ends, zero: it does not ask so now

	only int // how often it was answered by its own MAC alone
}

// askOnlyOwn is how often a member must be answered by its own MAC alone, until its NIC counts as one that accepts
// nothing else. Once may be chance: the path was mended between two asks.
const askOnlyOwn = 2

// needsOwnAsk reports whether m can be told alive by an ask by its own MAC only.
func (l *Loop) needsOwnAsk(m *member) bool {
	v := l.watches.State(m.id)
	return (v == monitor.Down || v == monitor.Waiting) && !m.answeredByAskMAC && m.hasLink() && !l.ended &&
		l.plan != nil && l.plan.PerMember && l.receivedByOther(m, l.plan)
}

// runOwnAsks lets members ask by their own MAC when that is due.
func (l *Loop) runOwnAsks(now time.Time, out *Output) {
	for _, m := range l.members {
		a := &m.ownAsk
		if !l.needsOwnAsk(m) {
			*a = ownAsk{only: a.only}
			continue
		}
		switch {
		case a.next.IsZero():
			a.wait, a.next = ownAskFirst, now.Add(ownAskFirst)
		case !a.until.IsZero() && !now.Before(a.until):
			if l.answeredSince(m, a.until.Add(-ownAskTime)) {
				a.until = now.Add(ownAskTime) // the next answer makes it usable
				break
			}
			a.wait = min(2*a.wait, ownAskMost)
			a.until, a.next = time.Time{}, now.Add(a.wait)
			l.relearn(m, out)
		case a.until.IsZero() && !now.Before(a.next):
			a.until = now.Add(ownAskTime)
		}
		due := a.next
		if !a.until.IsZero() {
			due = a.until
		}
		l.verdictDue = earlier(l.verdictDue, due)
	}
}

// relearn teaches switches again by which member frames for m's own MAC arrive.
func (l *Loop) relearn(m *member, out *Output) {
	for _, o := range l.members {
		if o != m && accepts(l.plan, o, m.link.MAC) {
			out.Send = append(out.Send, spread.Send{Member: o.id, Frame: frame.RARP(m.link.MAC, 0)})
			return
		}
	}
}

// answeredSince reports whether m has had an answer since then.
func (l *Loop) answeredSince(m *member, t time.Time) bool {
	for _, a := range l.watches.Verdict(m.id).Asked {
		if a.Last.After(t) {
			return true
		}
	}
	return false
}

// noteAskMAC notes what it says about m's NIC that its watches are satisfied.
func (l *Loop) noteAskMAC(now time.Time, m *member, out *Output) {
	switch {
	case m.askedBy == monitor.AskMAC(m.link.MAC):
		m.answeredByAskMAC, m.ownAsk.only = true, 0
	case m.askedBy == m.link.MAC && !m.ownAsk.until.IsZero() && !m.info.OwnMAC:
		if m.ownAsk.only++; m.ownAsk.only >= askOnlyOwn {
			l.filterRefused(now, Control{Kind: ControlRefused, Member: m.id,
				Err: errors.New("frames for another one do not arrive")}, out)
		}
	}
}
