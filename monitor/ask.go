// SPDX-License-Identifier: MIT

package monitor

import (
	"slices"
	"time"

	"nicteam/internal/frame"
)

// ask sends an ask by p at now: a unicast to the MAC that answered last, if there is one and broadcast is not wanted.
func (w *Watches) ask(now time.Time, p *path, broadcast bool) {
	t, m := p.t, p.m
	t.followStack(now)
	peer := t.mac
	if broadcast || !t.round.on && p.missed%2 == 1 {
		peer = 0
	}
	if peer == 0 {
		p.toAll = now
	}
	var f []byte
	switch {
	case t.foreign:
		f = w.prober.askForeign(now, w, p, peer)
	case t.IP.Is4():
		f = frame.ARPProbe(m.MAC, t.IP, peer, t.VLAN)
	default:
		f = frame.Solicitation(m.MAC, t.IP, peer, t.VLAN)
	}
	if f != nil {
		w.send(m, f)
	}
	p.noteAsk(now)
	p.nextAsk = now.Add(w.cfg.Interval)
	w.stale = true
}

// send queues a frame.
func (w *Watches) send(m *watched, f []byte) { w.sends = append(w.sends, Send{Member: m.ID, Frame: f}) }

// receiveNeighbour handles ARP and ND. It returns true for an answer to an ARP probe and a request to all hosts: these
// copies are for nobody else.
func (w *Watches) receiveNeighbour(now time.Time, member int, f []byte) bool {
	n := &w.neighbour
	if !frame.ParseNeighbour(f, n) || !n.Plain && n.VLAN != 0 {
		return false
	}
	switch {
	case n.Op == frame.ARPReply && n.To.IsUnspecified():
		if m := w.byMAC(n.Target, member); m != nil {
			w.answer(now, m, member, Target{n.From, n.VLAN}, n.Sender)
			return true
		}
	case n.Op == frame.ARPRequest:
		if t := find(w.targets, Target{n.From, n.VLAN}); t != nil && slices.Contains(w.known.Own, n.To) {
			w.wantsUs(now, t, member, n.Sender)
		}
		return n.Dst.Multicast()
	case n.Op == frame.NeighbourAdvertisement && n.Solicited:
		m := w.byMAC(n.Dst, member)
		if m == nil || n.To != frame.AskingAddress(m.MAC) || !n.ChecksumValid(f) {
			return false
		}
		mac := n.Target
		if mac == 0 {
			mac = n.Src // an answer to a unicast may lack the option (RFC 4861 clause 7.2.4)
		}
		w.answer(now, m, member, Target{n.About, n.VLAN}, mac)
	}
	return false
}

// byMAC returns the member that asks by mac; of several the one that received the answer. nil: none.
func (w *Watches) byMAC(mac frame.MAC, received int) (m *watched) {
	if mac == 0 {
		return nil
	}
	for _, o := range w.members {
		if o.MAC == mac && (m == nil || o.ID == received) {
			m = o
		}
	}
	return m
}

// answer handles an answer for m, received by the member via, that at from mac is at.
func (w *Watches) answer(now time.Time, m *watched, via int, at Target, mac frame.MAC) {
	t := find(w.targets, at)
	if t == nil || mac == 0 || mac.Multicast() || mac == w.cfg.Adapter || w.byMAC(mac, -1) != nil {
		return
	}
	w.answered(now, m.path(t), via, mac)
}

// answered handles an answer by p from mac, received by the member via.
func (w *Watches) answered(now time.Time, p *path, via int, mac frame.MAC) {
	if o := w.member(via); o != nil {
		o.hearsAnswer(now)
		if w.cfg.Group && (p == nil || !p.t.round.on) && !w.someDeaf() {
			w.returned.add(via) // while all is well
		}
	}
	if p != nil && via == p.m.ID && !w.cfg.Group {
		p.via = via // although a copy that a switch flooded was here before
	}
	if p == nil || !p.m.asks() || w.isOther(now, p, mac) || !p.noteAnswer(now, w.overdue(now)) {
		return
	}
	t, m := p.t, p.m
	if t.mac == 0 || t.foreign {
		t.adopt(now, mac)
	}
	t.confirmed, p.other = true, 0
	p.noteVia(via)
	w.setSilent(now, t, false)
	switch {
	case p.state == pathDown || m.held != "":
		if p.hits++; p.hits >= needHits {
			if p.state == pathDown {
				w.recovered(m)
			}
			p.state, p.why = pathUp, ""
		} else {
			p.nextAsk = now.Add(fastStep)
		}
	default:
		p.state = pathUp
	}
	if t.round.on {
		if p.roundAnswers < p.roundAsks {
			p.roundAnswers++
			if via == m.ID {
				p.roundOwn++
			}
		}
		w.clearRound(now, t)
	}
	w.update(now)
}

// beat returns until when asks that nothing urges are sent at now already: if one of them is due, all that are due
// within half an interval go with it. So the members and targets of a team soon ask at the same times, and this process
// and those that it asks wake once for all.
func (w *Watches) beat(now time.Time) time.Time {
	for _, m := range w.members {
		for _, p := range m.paths {
			if p.unhurried() && w.askable(p.t) && !now.Before(p.nextAsk) {
				return now.Add(w.cfg.Interval / 2)
			}
		}
	}
	return now
}

// unhurried reports whether p is asked once an interval at present.
func (p *path) unhurried() bool {
	return p.m.asks() && p.m.admitted && p.state == pathUp && !p.t.silent && !p.t.round.on
}

// runPath does what is due by p; beat is that of asks that nothing urges.
func (w *Watches) runPath(now time.Time, p *path, beat time.Time) {
	t, m := p.t, p.m
	if t.round.on {
		return
	}
	if p.pending {
		over := p.lastAsk.Add(p.timeout(w.cfg.Interval))
		if now.Before(over) {
			return
		}
		p.pending, p.missed, p.hits = false, p.missed+1, 0
		if p.state != pathDown && m.admitted && !t.silent && !now.Before(t.quiet) && w.askable(t) {
			w.startRound(now, t, m, false, t.String()+" missed an ask")
			return
		}
	}
	due := now
	if p.unhurried() {
		due = beat
	}
	if t.silent && m.admitted || due.Before(p.nextAsk) {
		return
	}
	w.ask(now, p, false)
	if w.cfg.Group && !p.isSettled() && !p.takesTurns() {
		for range 1 + w.oddAsk(m) {
			w.ask(now, p, false)
		}
	}
	switch {
	case !m.admitted:
		p.gap = min(max(2*p.gap, firstGap), mostGap)
		p.nextAsk = now.Add(min(p.gap, w.cfg.Interval))
	case p.state == pathDown:
		p.nextAsk = now.Add(w.downInterval())
	}
}

// runSilent lets all members ask a target again that answered nobody.
func (w *Watches) runSilent(now time.Time, t *target) {
	if !t.silent || t.round.on || now.Before(t.retry) {
		return
	}
	if !w.askable(t) {
		t.silent, t.postponed = false, 0
		return
	}
	t.postponed = min(max(2*t.postponed, leastBackoff), mostBackoff)
	t.retry = now.Add(t.postponed)
	for _, m := range w.members {
		if p := m.path(t); p != nil && m.asks() {
			w.ask(now, p, true)
		}
	}
}

// askable reports whether t is asked now.
func (w *Watches) askable(t *target) bool { return !t.foreign || w.prober.wantsForeign(w) }
