// SPDX-License-Identifier: MIT

package sim

import (
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

// RunForged runs a random world of teams in 802.3ad with forged LACPDUs, and returns the violated invariant. Forgeries
// must not cost a member, nor lose, duplicate or reorder a frame.
func RunForged(seed uint64) error {
	l := buildAggregated(seed)
	if err := l.agree(); err != nil {
		return err
	}
	l.traffic()
	if err := l.settle(); err != nil {
		return err
	}
	for range 1 + l.rng.IntN(3) {
		if err := l.forged(); err != nil {
			return err
		}
		if err := l.settle(); err != nil {
			return err
		}
	}
	return l.end()
}

// forged sends forged PDUs now and then, without other faults.
func (l *life) forged() error {
	before := make([]spread.MemberSet, len(l.teams))
	for i, t := range l.teams {
		before[i] = t.plan.Distributing
	}
	gap := pick(l.World, time.Millisecond, 30*time.Millisecond, 300*time.Millisecond, time.Second, 5*time.Second)
	end := l.now + l.between(2*time.Second, 8*time.Second)
	var next func()
	next = func() {
		if l.now >= end {
			return
		}
		l.forgePDU(pick(l.World, l.teams...))
		l.After(l.between(0, 2*gap), next)
	}
	l.After(l.between(0, gap), next)
	err := l.Calmly(end-l.now, 500*time.Millisecond, l.udp...)
	for i, t := range l.teams {
		if t.plan.Distributing != before[i] {
			l.breach("%s: distributes by %b, by %b before PDUs were forged", t.Name, t.plan.Distributing, before[i])
		}
	}
	if err == nil && l.fail != nil {
		return l.fail
	}
	return err
}

// forgePDU delivers a forged PDU to one end of a team's cable: to a team, or to a partner that runs lacp.System.
func (l *life) forgePDU(t *lived) {
	w := l.World
	m := t.members[pick(w, t.ids...)]
	a := t.Agreed()
	for i := range a.Ports {
		p := &a.Ports[i]
		if p.ID != m.id {
			continue
		}
		at, far, own, theirs := m.nic.End, m.nic.far, p.Actor, p.Partner
		if port := l.port(far); port != nil && port.partner != nil && !port.partner.Habits.Coupled && w.chance(2) {
			at, far, own, theirs = far, at, theirs, own
		}
		b, what := w.forgery(own, theirs)
		f := newPacket(b)
		f.forged = true
		w.Tell("forged, %s, to %s: %s", what, at.name, describe(f))
		far.send(f)
	}
}

// forgery draws a PDU of another actor than the port's partner.
func (w *World) forgery(own, theirs lacp.Info) (b []byte, what string) {
	d := lacp.PDU{Version: 1, Actor: theirs, Partner: own}
	src := frame.MAC(0x02_00_00_ff_00_00 | w.rng.Uint64N(1000))
	switch w.rng.IntN(7) {
	case 0:
		d.Actor.System.MAC, what = src, "another system"
	case 1:
		d.Actor.System.Priority, what = uint16(w.rng.IntN(2)), "another priority"
	case 2:
		d.Actor.Key, what = d.Actor.Key+1, "another key"
	case 3:
		d.Actor.Port, what = d.Actor.Port+1, "another port"
	case 4:
		d.Actor, what = own, "ourselves"
	case 5:
		what = "from elsewhere"
	default:
		d.Actor = lacp.Info{System: lacp.SystemID{Priority: 1, MAC: src}, Key: 1, Port: 1}
		d.Partner, what = lacp.Info{}, "knows nobody"
	}
	d.Actor.State = lacp.State(w.rng.Uint32())
	if w.chance(2) {
		d.Actor.State = theirs.State
	}
	return d.Frame(src), what
}
