// SPDX-License-Identifier: MIT

package sim

import (
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes"
	"nicteam/modes/spread"
	"nicteam/team"
)

// The team's data path: internal/relay in virtual time. It reads the same Plan with the same Picker. A frame
// meets, in this order:
//
//	transmit: a new station is reported → ARP and ND of the adapter go to the control loop (PerMember) → Picker →
//	          source MAC → refused without a carrier, and sent by another → bound of the backlog → NIC
//	receive:  frames of slow protocols, and probes, go to the control loop → own frames that come back → copy of what
// answers link watches for the control loop → accepted by this member? → copy of ARP and ND for the control loop, of
//	          what others say of the host's addresses in any mode → destination MAC → adapter

// transmit takes a frame from a host on or behind the adapter.
func (t *Team) transmit(p *Packet) {
	if t.bridged(p) {
		return
	}
	if !t.carrier {
		t.Drops[team.DropNoMember]++
		return
	}
	pl := t.plan
	if p.h.Src != pl.Adapter {
		t.noteLocal(p)
	}
	if pl.PerMember && p.h.Src == pl.Adapter && pl.Distributing != 0 && neighbourhood(&p.h) {
		if t.report(team.Control{Kind: team.ControlFrame, Member: -1, Frame: slices.Clone(p.b)}) {
			return
		}
	}
	t.picker.Now = t.monotonic()
	set := t.picker.Pick(pl, &p.h, p.b, p.size)
	if set == 0 {
		t.Drops[team.DropNoMember]++
		return
	}
	for several := set.Len() > 1; set != 0; set = set.Without(set.First()) {
		own := p
		if several {
			own = p.clone()
			own.copied = true
		}
		t.put(own, set.First(), true)
	}
}

// monotonic is the data path's clock.
func (t *Team) monotonic() int64 { return int64(t.w.now + time.Second) }

// bridged forwards a frame among the hosts of this side, and reports whether it was for one of them.
func (t *Team) bridged(p *Packet) bool {
	if len(t.local) == 1 {
		return false
	}
	for _, s := range t.local {
		if s != p.from && (p.h.Dst == s.MAC || p.h.Dst.Multicast()) {
			s.in(p)
		}
		if p.h.Dst == s.MAC {
			return true
		}
	}
	return false
}

func (t *Team) behind(m frame.MAC) bool {
	_, ok := slices.BinarySearch(t.plan.Behind, m)
	return ok
}

// put sends a frame by a member.
func (t *Team) put(p *Packet, id int, first bool) {
	pl, m := t.plan, t.members[id]
	if !pl.Distributing.Has(id) && (first || id != pl.Next) {
		t.w.breach("%s: member %d is given a frame and may not send: %s", t.Name, id, describe(p))
		return
	}
	if m == nil {
		t.resend(p, id, first)
		return
	}
	if m.denies() && t.config.Mode == modes.LACP {
		t.w.breach("%s: is given to %s, whose partner has said %v ago that it does not collect", describe(p),
			m.nic.Name, t.w.now-m.denied)
		return
	}
	if p.h.Src == pl.Adapter && pl.PerMember || !first && t.renamed(p.h.Src) {
		p.address(0, pl.MACs[id])
	}
	if !m.nic.Up() && (m.nic.Refuse || t.Sees) {
		t.suspect(m)
	}
	if !m.nic.Up() && m.nic.Refuse {
		t.resend(p, id, first)
		return
	}
	// The kernel charges more than a frame's bytes, and in batches.
	if waiting := m.nic.waiting() + p.size; waiting > m.bound/2 && waiting > m.bound-t.w.rng.IntN(m.bound/4) {
		t.Drops[team.DropBacklog]++
		return
	}
	if !p.h.Dst.Multicast() {
		t.counted[id].TX++
	}
	m.nic.send(p)
	m.txBytes += uint64(p.size)
	m.Out += uint64(p.size)
	t.active()
}

// renamed reports whether the data path sets a member's MAC as source.
func (t *Team) renamed(m frame.MAC) bool {
	return t.plan.PerMember && m != t.plan.Adapter && !t.behind(m)
}

// resend sends a refused frame by another member, once.
func (t *Team) resend(p *Packet, id int, first bool) {
	other := -1
	if first && t.plan.Rule != spread.RuleBroadcast {
		other = spread.Other(t.plan, spread.MemberSet(0).With(id))
	}
	if other < 0 {
		t.Drops[team.DropRefused]++
		return
	}
	t.put(p, other, false)
}

// suspect reports that a member refuses frames as without a link, or is seen to have none.
func (t *Team) suspect(m *member) {
	if m.suspected > t.w.now {
		return
	}
	m.suspected = t.w.now + 10*time.Millisecond
	c := team.Control{Kind: team.ControlSuspect, Member: m.id}
	if t.Sees && !t.plan.Patient {
		c.Kind, c.Index = team.ControlLost, m.link.Index
	}
	t.report(c)
}

// report sends an input to the loop, in order, after a delay. It returns false if the queue is full.
func (t *Team) report(c team.Control) bool {
	if t.controlQueue >= controlQueueMax {
		return false
	}
	t.controlQueue++
	t.controlLast = max(t.controlLast, t.w.now+t.w.between(controlDelay/10, controlDelay))
	life := t.life
	t.w.at(t.controlLast, func() {
		t.controlQueue--
		if t.life != life {
			return
		}
		t.handle(team.FromDatapath{Control: c})
	})
	return true
}

// slow passes a frame of a slow protocol to the control loop, at most slowMost a second.
func (m *member) slow(p *Packet) {
	t := m.t
	if t.w.now-m.slowSince > time.Second {
		m.slowSince, m.slowN = t.w.now, 0
	}
	if m.slowN++; m.slowN > slowMost {
		return
	}
	if !t.report(team.Control{Kind: team.ControlFrame, Member: m.id, Frame: slices.Clone(p.b)}) {
		return
	}
	if t.dead {
		t.held = append(t.held, func() { m.hears(p) })
	} else {
		m.hears(p)
	}
}

// slowMost is how many frames of slow protocols a member passes on in a second.
const slowMost = 100

func neighbourhood(h *frame.Headers) bool { return h.Protocol == frame.ARP || h.Protocol == frame.ND }

// receive takes a frame from a member's NIC.
func (m *member) receive(p *Packet) {
	t := m.t
	pl := t.plan
	t.active()
	if slow(p) {
		m.slow(p)
		return
	}
	if t.isOurProbe(p) {
		m.passes(p)
		return
	}
	if t.own(p.h.Src) && (!t.behind(p.h.Src) || !t.hasMoved(p)) {
		return
	}
	answer := t.isAnswer(p)
	if answer {
		m.passes(p)
	}
	ours, others := t.accept(m, p.h.Dst)
	if !pl.Collecting.Has(m.id) && p.h.Dst == pl.Adapter {
		m.refused(p)
	}
	if !ours && !others {
		if astray := p.h.Dst == pl.Adapter && !pl.Collecting.Has(m.id); astray && !pl.PerMember ||
			pl.PerMember && p.h.Dst != pl.MACs[m.id] && t.own(p.h.Dst) && !t.behind(p.h.Dst) {
			m.flooded++
		}
		return
	}
	m.arrived++
	if !answer && !p.h.Dst.Multicast() {
		t.counted[m.id].RX++
	}
	m.lastArrived = t.w.now
	m.In += uint64(p.size)
	if ours && pl.PerMember {
		t.rxBytes[spread.RxClass(&p.h, p.b)] += uint64(p.size)
	}
	if neighbourhood(&p.h) && !answer && (ours && pl.PerMember || slices.Contains(pl.Held, p.h.Claimed(p.b))) {
		t.report(team.Control{Kind: team.ControlFrame, Member: m.id, Frame: slices.Clone(p.b)})
	}
	if ours && p.h.Dst != pl.Adapter {
		p = p.clone()
		p.address(pl.Adapter, 0)
	}
	t.deliver(p)
}

// accept reports whether the member accepts frames for dst, and whether dst is one of the team's own.
func (t *Team) accept(m *member, dst frame.MAC) (ours, others bool) {
	pl, id := t.plan, m.id
	switch {
	case !pl.Collecting.Has(id):
	case dst.Multicast():
		return false, pl.Multicast.Has(id)
	case t.behind(dst):
		return false, !pl.PerMember || pl.Pin(dst) == id
	case dst == pl.MACs[id] || slices.Contains(pl.Filter[id], dst):
		return true, false
	case t.own(dst):
	default:
		return false, pl.Promiscuous && (!pl.PerMember || pl.Multicast.Has(id))
	}
	return false, false
}

// noteLocal records a station behind the adapter, and reports one that the Plan lacks or requests.
func (t *Team) noteLocal(p *Packet) {
	s, pl := p.h.Station(p.h.Src, p.b), t.plan
	t.recentLocal[s] = t.w.now
	_, known := slices.BinarySearch(pl.Stations, s)
	_, ageing := slices.BinarySearch(pl.Ageing, s)
	if (ageing || !known) && !t.reported[s] {
		t.reported[s] = t.report(team.Control{Kind: team.ControlStation, Member: -1, Station: s})
	}
}

// hasMoved reports whether a received frame with a local station's source shows that the station has moved, rather than
// being its own frame reflected; then it reports the station to the loop.
func (t *Team) hasMoved(p *Packet) bool {
	s := p.h.Station(p.h.Src, p.b)
	if at, sent := t.recentLocal[s]; sent && t.w.now-at < localTime+t.w.jam {
		return false
	}
	if _, known := slices.BinarySearch(t.plan.Stations, s); known && !t.reported[s] {
		t.reported[s] = t.report(team.Control{Kind: team.ControlStationMoved, Member: -1, Station: s})
	}
	return true
}

// localTime is how long received frames of a local station count as its own, reflected.
const localTime = time.Second

func (t *Team) own(m frame.MAC) bool {
	_, ok := slices.BinarySearch(t.plan.TeamMACs, m)
	return ok
}

// deliver passes a frame to the adapter. A full queue may hold frames of a removed member for longer than the Plan
// knows its MAC.
func (t *Team) deliver(p *Packet) {
	if t.own(p.h.Src) && !t.behind(p.h.Src) || p.from != nil && p.from.team == t && t.w.now >= t.left+t.w.jam {
		t.w.breach("%s: its own frame has come back into the adapter: %s", t.Name, describe(p))
		return
	}
	for _, s := range t.local {
		s.in(p)
	}
}
