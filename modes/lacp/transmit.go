package lacp

import "time"

// urgency says how soon a PDU has to be sent. No more than three go out in any second, and the third only for what
// the partner must not miss: so there is nearly always one left for it.
type urgency uint8

const (
	never urgency = iota
	calm          // as soon as one of two a second is left
	soon          // as soon as one of three is left
)

// allowed is when a PDU of an urgency may go out.
func (p *port) allowed(u urgency) time.Time {
	last := p.said[1]
	if u == soon {
		last = p.said[2]
	}
	if last.IsZero() {
		return time.Time{}
	}
	return last.Add(time.Second)
}

// need says how soon what the port is has to be told.
func (p *port) need(me *Info) urgency {
	u := p.ntt
	switch {
	case stale(&p.sent, me):
		return soon
	case p.sent != *me:
		u = max(u, calm)
	}
	return u
}

// transmit sends a PDU if one is due and allowed. Passive ports say nothing to passive partners.
func (s *System) transmit(now time.Time, p *port, out *Out) {
	me := s.actorOf(p)
	s.pace(now, p, &me)
	if p.mute() {
		p.ntt = never
		return
	}
	u := p.need(&me)
	if u == never && !now.Before(p.speaks) {
		u = calm
	}
	if u == never || now.Before(p.allowed(u)) {
		return
	}
	if p.sent != me {
		p.changed = now
		s.pace(now, p, &me)
	}
	p.send(now, me, out)
}

// mute reports whether the port says nothing. One that turns passive says that first.
func (p *port) mute() bool {
	return p.periodic == PeriodicNone && !(p.enabled() && p.sent.State.Has(Activity))
}

// next is when the port has something to send, zero never.
func (s *System) next(p *port) time.Time {
	if p.mute() {
		return time.Time{}
	}
	me := s.actorOf(p)
	if u := p.need(&me); u != never {
		return p.allowed(u)
	}
	return later(p.speaks, p.allowed(calm))
}

// send sends a PDU.
func (p *port) send(now time.Time, me Info, out *Out) {
	d := PDU{Version: Version, Actor: me, Partner: p.partner}
	if p.asks() {
		// Who reads something wrong of itself has to answer at once (update_NTT), and not each partner does when it is asked
		// for the short timeout: some let the 30 s run out first. Nothing else goes by this flag.
		d.Partner.State ^= ShortTimeout
	}
	out.Send = append(out.Send, Send{Port: p.ID, Frame: d.Frame(p.MAC)})
	p.counters.PDUsOut++
	p.sent, p.ntt = me, never
	p.said[0], p.said[1], p.said[2] = now, p.said[0], p.said[1]
	p.speaks = now.Add(p.period())
}

// farewell tells the partner that the port is not to be used any more. This one goes out whatever was sent before:
// nobody is left to send it a second later.
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

// actorOf is what a port says of itself.
func (s *System) actorOf(p *port) Info {
	i := Info{System: s.config.System, Key: p.key, PortPriority: p.Priority, Port: p.Number}
	set := func(is bool, f State) {
		if is {
			i.State |= f
		}
	}
	set(!s.config.Passive, Activity)
	set(s.config.Fast || p.asks(), ShortTimeout)
	set(!p.HalfDuplex, Aggregation)
	set(p.inSync(), Synchronization)
	set(p.mux >= MuxCollecting, Collecting)
	set(p.mux == MuxDistributing, Distributing)
	set(p.defaulted, Defaulted)
	set(p.receive == ReceiveExpired, Expired)
	return i
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
