// SPDX-License-Identifier: MIT

package lacp

import "time"

// urgency is how soon a PDU is due. At most three are sent in any second, the third one only for what the partner must
// not miss, so nearly always one is left for that.
type urgency uint8

const (
	never urgency = iota
	calm          // when fewer than two were sent in the last second
	soon          // when fewer than three were
)

// allowed returns when a PDU of an urgency may be sent.
func (p *port) allowed(u urgency) time.Time {
	last := p.sentAt[1]
	if u == soon {
		last = p.sentAt[2]
	}
	if last.IsZero() {
		return time.Time{}
	}
	return last.Add(time.Second)
}

// urgencyOf returns how soon a PDU with me is due.
func (p *port) urgencyOf(me *Info) urgency {
	u := p.ntt
	switch {
	case stale(&p.sent, me):
		return soon
	case p.sent != *me:
		u = max(u, calm)
	}
	return u
}

// transmit sends a PDU if one is due and allowed. Passive ports send none to passive partners.
func (s *System) transmit(now time.Time, p *port, out *Out) {
	me := s.actorOf(p)
	s.updatePeriodic(now, p, &me)
	if p.mute() {
		p.ntt = never
		return
	}
	u := p.urgencyOf(&me)
	if u == never && !now.Before(p.periodicAt) {
		u = calm
	}
	if u == never || now.Before(p.allowed(u)) {
		return
	}
	if p.sent != me {
		p.changed = now
		s.updatePeriodic(now, p, &me)
	}
	p.send(now, me, out)
}

// mute reports whether the port sends nothing. A port that becomes passive says so first.
func (p *port) mute() bool {
	return p.periodic == PeriodicNone && !(p.enabled() && p.sent.State.Has(Activity))
}

// nextTransmit returns when the port has a PDU to send, zero for never.
func (s *System) nextTransmit(p *port) time.Time {
	if p.mute() {
		return time.Time{}
	}
	me := s.actorOf(p)
	if u := p.urgencyOf(&me); u != never {
		return p.allowed(u)
	}
	return later(p.periodicAt, p.allowed(calm))
}

// send sends a PDU.
func (p *port) send(now time.Time, me Info, out *Out) {
	d := PDU{Version: Version, Actor: me, Partner: p.partner}
	if p.wantsAnswer() {
		// A partner that reads wrong information about itself must answer at once (update_NTT). Being asked for the
		// short timeout is not enough: some partners let their 30 s expire first. Nothing else depends on this flag.
		d.Partner.State ^= ShortTimeout
	}
	out.Send = append(out.Send, Send{Port: p.ID, Frame: d.Frame(p.MAC)})
	p.counters.PDUsOut++
	p.sent, p.ntt = me, never
	p.sentAt[0], p.sentAt[1], p.sentAt[2] = now, p.sentAt[0], p.sentAt[1]
	p.periodicAt = now.Add(p.period())
}

// farewell tells the partner that the port is used no more. It ignores the limit of PDUs a second: the port cannot send
// it later.
func (s *System) farewell(now time.Time, p *port, out *Out) {
	const use = Synchronization | Collecting | Distributing
	if p.periodic == PeriodicNone || !p.enabled() {
		return
	}
	if p.sent.State&use == 0 && now.Before(p.allowed(soon)) {
		return
	}
	me := s.actorOf(p)
	me.State &^= use
	p.send(now, me, out)
}

// actorOf returns a port's Actor information.
func (s *System) actorOf(p *port) Info {
	i := Info{System: s.config.System, Key: p.key, PortPriority: p.Priority, Port: p.Number}
	set := func(is bool, f State) {
		if is {
			i.State |= f
		}
	}
	set(!s.config.Passive, Activity)
	set(s.config.Fast || p.wantsAnswer(), ShortTimeout)
	set(!p.HalfDuplex, Aggregation)
	set(p.inSync(), Synchronization)
	set(p.mux >= MuxCollecting, Collecting)
	set(p.mux == MuxDistributing, Distributing)
	set(p.defaulted, Defaulted)
	set(p.receive == ReceiveExpired, Expired)
	return i
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
