// SPDX-License-Identifier: MIT

package team

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/settings"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// The control loop owns the link watches that ask ([monitor.Watches]): it gives them the members, the frames and the
// counters, and sends what they ask. A member is used if its link is up and its watches allow it, both for the length
// of up_delay (debounce), and it is not damped (damping.go). Where that leaves none, override.go uses what is left.
//
//	LinkChanged ──carrier──┐
//	FromDatapath ┐         ├─∧─→ Debounce ──→ Damping ──→ fitness ──→ usable
//	Traffic ─────┼→ Watches┘                          ↑ override
//	Tick ────────┘     └──────── suspect ──────────────────────────→ modes.Member.Suspect

// WatchTargets are the addresses that the link watches may ask: the adapter's gateways, and hosts heard from lately.
// The last ones hold until the next.
type WatchTargets struct{ monitor.Targets }

// Traffic is a sample of the counters of members; it is borrowed until Handle returns.
type Traffic struct{ monitor.Traffic }

// Undamp lets a member be used again that waits because it failed too often.
type Undamp struct{ Name string }

func (WatchTargets) isInput() {}
func (Traffic) isInput()      {}
func (Undamp) isInput()       {}

const (
	// suspectLasts is how long a suspicion lasts before it is an event: most are cleared within a few milliseconds.
	suspectLasts = 100 * time.Millisecond
	// suspectGap is the least time between two events about suspicions of one member.
	suspectGap = 30 * time.Second
)

// watchConfig returns what the settings say about link watches.
func (l *Loop) watchConfig() monitor.WatchConfig {
	c := monitor.WatchConfig{Any: l.cfg.WatchPolicy == settings.WatchAny, Interval: l.cfg.ProbeInterval,
		Misses: l.cfg.ProbeMisses, AdmissionWait: l.cfg.AdmissionWait, Team: probeID(l.salt), Adapter: l.adapter,
		Aggregated: l.cfg.Mode.HasPartner(), Group: l.cfg.Mode.StaticLAG(l.cfg.Balance)}
	for _, text := range l.cfg.LinkWatch {
		if s, err := monitor.ParseSpec(text); err == nil { // settings were checked
			c.Specs = append(c.Specs, s)
		}
	}
	return c
}

// probeID names a team in its probe frames. It does not reveal the salt, by which a host on the LAN could make all
// flows take one member.
func probeID(salt uint64) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "nicteam probe %d", salt))
	return binary.BigEndian.Uint64(sum[:])
}

// startWatches makes the link watches, with the verdicts of earlier ones if there are any.
func (l *Loop) startWatches(now time.Time) {
	l.watchesConfig = l.watchConfig()
	l.watches = monitor.NewWatches(now, l.watchesConfig)
	if l.earlierWatches != nil {
		l.watches.Resume(now, l.earlierWatches)
		l.earlierWatches = nil
	}
	l.watches.SetTargets(now, l.targets)
}

// configureWatches adopts changed settings.
func (l *Loop) configureWatches(now time.Time) {
	if c := l.watchConfig(); !reflect.DeepEqual(c, l.watchesConfig) {
		l.watchesConfig = c
		l.watches.Configure(now, c)
		l.planPending = l.plan != nil // who asks, asks by MACs that its NIC must accept
	}
	if !l.cfg.Damping {
		for _, m := range l.members {
			m.damping.Undamp()
		}
	}
}

// replaceWatches has new link watches begin with the present verdicts at the next input.
func (l *Loop) replaceWatches() {
	c := &monitor.WatchesCheckpoint{}
	for _, m := range l.members {
		c.Members = append(c.Members, monitor.WatchedCheckpoint{ID: m.id, Name: m.link.Name, State: m.watch.State,
			Reason: m.watch.Reason,
			Since:  m.watch.Since})
	}
	l.watches, l.earlierWatches = nil, c
}

// runWatches tells the link watches of the members, and lets them do what is due.
func (l *Loop) runWatches(now time.Time) {
	if l.ended {
		return
	}
	l.syncWatchedMembers(now)
	if d := l.watches.Deadline(); !d.IsZero() && !now.Before(d) {
		l.watches.Tick(now)
	}
}

// syncWatchedMembers tells the link watches of the members.
func (l *Loop) syncWatchedMembers(now time.Time) {
	l.watched = l.watched[:0]
	for _, m := range l.members {
		m.askedBy = l.askMAC(m, l.plan)
		w := monitor.WatchedMember{ID: m.id, Name: m.link.Name, MAC: m.askedBy, Link: m.hasLink(),
			Quiet: m.info.OwnMAC && !m.ownAsk.next.IsZero() && m.ownAsk.until.IsZero(),
			Since: m.linkSince,
			Sends: l.plan != nil && l.plan.Distributing.Has(m.id)}
		if l.watchesConfig.Aggregated && !l.agreed(m) {
			w.MAC = 0 // the partner takes in nothing by it
		}
		l.watched = append(l.watched, w)
	}
	l.watches.SetMembers(now, l.watched)
}

// addWatchSends adds what the link watches send to out.
func (l *Loop) addWatchSends(out *Output) {
	if l.ended {
		return
	}
	for _, s := range l.watches.Sends() {
		out.Send = append(out.Send, spread.Send{Member: s.Member, Frame: s.Frame})
	}
}

// handledByWatches handles an input that changes nothing but what link watches know, which is most of their inputs, or
// nothing at all, and reports whether that was all.
func (l *Loop) handledByWatches(now time.Time, in Input, out *Output) bool {
	switch in.(type) {
	case Traffic, Heard:
	case Tick:
		if d := l.watches.Deadline(); d.IsZero() || now.Before(d) {
			return false
		}
	case Idle:
		out.sameFigures = true
	case FromDatapath:
		if !l.frameForWatches {
			return false
		}
	default:
		return false
	}
	if d := l.deadlineButWatches(); l.dirty || l.planPending || l.plan == nil || l.ended ||
		!d.IsZero() && !now.Before(d) {
		return false
	}
	l.runWatches(now)
	for _, m := range l.members {
		if l.watches.State(m.id) != m.watch.State {
			return false
		}
	}
	if l.wayBackDue(now) || !slices.Equal(l.watches.Warnings(), l.watchWarnings) || !slices.Equal(l.plan.Asked,
		l.watches.Addresses()) {
		return false
	}
	l.addWatchSends(out)
	out.Carrier, out.Speed, out.unchanged = l.carrier, l.speed(), true
	return true
}

// updateWatchVerdicts adopts what the link watches say about each member.
func (l *Loop) updateWatchVerdicts(now time.Time, out *Output) {
	for _, m := range l.members {
		v := l.watches.Verdict(m.id)
		v.Asked = nil // borrowed
		was := m.watch.State
		m.watch = v
		if v.State == monitor.Up && was != monitor.Up {
			l.noteAskMAC(now, m, out)
		}
		if v.State != was {
			l.dirty = l.dirty || v.State == monitor.Suspect || was == monitor.Suspect
			l.watchVerdictChanged(now, m, was, out)
		}
		if m.linkKnown {
			m.debounce.Handle(now, m.linkState.Up && (v.State.Usable() || l.watchesConfig.Aggregated))
		}
		m.debounce.Tick(now)
	}
}

// watchVerdictChanged notes when the watches began to doubt a member: that is when a loss was noticed.
func (l *Loop) watchVerdictChanged(now time.Time, m *member, was monitor.State, out *Output) {
	switch m.watch.State {
	case monitor.Suspect:
		m.suspectSince, m.suspectTold = now, false
		out.ReadLinks = true
	case monitor.Down:
		m.linkLostAt = now
		if was == monitor.Suspect {
			m.linkLostAt = m.suspectSince
		}
	}
}

// updateLost decides, where members agree with a partner, by which of them frames do not arrive, as the link watches
// say. These stay in use for the partner, which would not take in an ask by another one: only nothing else is sent by
// them.
func (l *Loop) updateLost(now time.Time, out *Output) {
	for _, m := range l.members {
		was := m.lost
		if m.lost = l.watchesConfig.Aggregated && m.usable && m.watch.State == monitor.Down; m.lost == was {
			continue
		}
		l.dirty = true
		switch {
		case m.lost:
			m.failures++
			l.addEvent(out, now, "member-down", m.link.Name, m.watchReason())
			if m.linkLostAt.After(out.Cause) {
				out.Cause = m.linkLostAt
			}
		case m.usable:
			l.addEvent(out, now, "member-up", m.link.Name, m.usableNote())
		}
	}
}

// tellSuspicions adds events about suspicions that last.
func (l *Loop) tellSuspicions(now time.Time, out *Output) {
	for _, m := range l.members {
		if !m.suspect() || m.suspectTold {
			continue
		}
		if now.Before(m.suspectSince.Add(suspectLasts)) {
			l.verdictDue = earlier(l.verdictDue, m.suspectSince.Add(suspectLasts))
			continue
		}
		m.suspectTold = true
		if m.suspectEventAt.IsZero() || now.Sub(m.suspectEventAt) >= suspectGap {
			m.suspectEventAt = now
			l.addEvent(out, now, "member-suspect", m.link.Name, m.watch.Reason)
		}
	}
}

// updateWatchWarnings shows what the link watches warn of. It is advice: members are judged by it no worse, and a
// gateway that does not answer is no fault of the team.
func (l *Loop) updateWatchWarnings() {
	if l.ended {
		return
	}
	now := l.watches.Warnings()
	if slices.Equal(now, l.watchWarnings) {
		return
	}
	for key := range l.advice {
		if strings.HasPrefix(key, warnWatch) {
			delete(l.advice, key)
		}
	}
	l.watchWarnings = slices.Clone(now)
	for i, text := range now {
		l.advice[fmt.Sprintf("%s%02d", warnWatch, i)] = text
	}
}

// warnWatch begins the keys of warnings of the link watches.
const warnWatch = "watch "

// hasLink reports whether m can send and receive as far as its NIC knows.
func (m *member) hasLink() bool { return m.linkKnown && m.linkState.Up && !m.absent && !m.reopening }

// works reports whether the link and its watches allow m, after its delays.
func (m *member) works() bool { return m.linkKnown && !m.absent && !m.reopening && m.debounce.Up() }

// suspect reports whether m is used although its watches doubt it.
func (m *member) suspect() bool { return m.usable && m.watch.State == monitor.Suspect }

// watchStatus returns what the link watches say about m; nil where only the carrier is watched.
func (l *Loop) watchStatus(m *member) *api.LinkWatch {
	if l.watches == nil {
		return nil
	}
	v := l.watches.Verdict(m.id)
	if v.State == monitor.Unknown && v.Reason == "" && len(v.Asked) == 0 {
		return nil
	}
	w := &api.LinkWatch{Verdict: v.State.String(), Reason: v.Reason, Since: v.Since, RTT: v.RTT.Nanoseconds(),
		Loss: v.Loss, Asked: []api.Asked{}}
	for _, a := range v.Asked {
		asked := api.Asked{Watch: a.Spec.Kind, Role: a.Noun, VLAN: a.VLAN, Answers: a.Answers, RTT: a.RTT.Nanoseconds(),
			Loss: a.Loss, Last: a.Last}
		if a.IP.IsValid() {
			asked.IP = a.IP.String()
		}
		w.Asked = append(w.Asked, asked)
	}
	return w
}
