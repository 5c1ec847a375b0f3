package lacp

import (
	"time"

	"nicteam/internal/frame"
)

// A LACPDU that comes by a port in order and is of another actor than its partner may be a stray one, or forged. It may
// also be true: the cable leads elsewhere now and nobody saw the carrier go, the partner's port got another key, the
// partner began anew under another number. The standard takes each for the new partner at once (update_Selected), and
// the port is out for as long as a new selection takes.
//
// Here that actor is a rival first, and what it says counts for nothing. The partner is asked to speak at once, by the
// same means as after a restart (send): who reads something wrong of itself has to answer.
//
//	the partner speaks                                      the rival is forgotten
//	it is silent for 2 s, or until it expires if that is    the rival is the partner, with the last that it said
//	sooner, and the rival has spoken again meanwhile
//	both are silent                                         the rival is forgotten, the partner has the time that it had
//
// A rival that has the partner's own port and address is the partner, which has another key now, or somebody who knows it
// well: the second time that it speaks in a row is enough, for the partner would have answered. That it takes nothing in
// any more is believed at once, or what is sent meanwhile is lost; where it is not true the answer puts it right.
//
// So no single frame costs a port that works, nor do many from one who speaks beside a partner; and a new partner waits
// for 2 s at most. Ports that are not in order take whoever speaks, as in the standard.

// contestTime is how long a partner may be silent that was asked to speak at once. It may have sent three PDUs in this
// second and has to wait for the next one; the rest is for what gets lost.
const contestTime = 2 * time.Second

// rival is an actor that spoke on a port beside its partner.
type rival struct {
	pdu      PDU // the last
	from     frame.MAC
	repeated bool      // it has spoken more than once
	until    time.Time // when it is decided; zero: there is none
}

// contested reports whether the port has a rival.
func (p *port) contested() bool { return !p.rival.until.IsZero() }

// inOrder reports whether both ends agree that the port is to be used, or can be at once.
func (p *port) inOrder() bool {
	return p.heard() && p.mux >= MuxAttached && p.partner.State.Has(Synchronization)
}

// foreign reports whether a PDU is of another actor than the partner of a port in order. On any port that has a partner
// one that says it is that and comes from another address is as well.
func (p *port) foreign(d *PDU, from frame.MAC) bool {
	if different(&p.partner, &d.Actor) {
		return p.inOrder()
	}
	return p.heard() && p.from != 0 && p.from != from
}

// contest takes in a PDU of a rival.
func (s *System) contest(now time.Time, p *port, d *PDU, from frame.MAC, out *Out) {
	r := &p.rival
	until := r.until
	if !p.contested() {
		until = now.Add(contestTime)
		p.changed = now // PDUs go out each second until it is decided
	}
	repeated := p.contested() && r.from == from && !different(&r.pdu.Actor, &d.Actor)
	*r = rival{pdu: *d, from: from, repeated: repeated, until: until}
	if from == p.from && d.Actor.System == p.partner.System && d.Actor.Port == p.partner.Port {
		if repeated {
			s.decide(now, p, out)
			return
		}
		p.partner.State &= d.Actor.State | ^(Synchronization | Collecting)
	}
	p.ntt = max(p.ntt, soon)
	if p.contestNoted.IsZero() || now.Sub(p.contestNoted) >= time.Minute {
		p.contestNoted = now
		out.Notes = append(out.Notes, Note{Kind: Contested, Port: p.ID, Reason: name(&d.Actor) + " from " + from.String() + " speaks besides the partner " + name(&p.partner)})
	}
}

// decided is when it is decided who the partner is, zero for a port without a rival.
func (p *port) decided() time.Time {
	if p.contested() && p.expires.Before(p.rival.until) {
		return p.expires
	}
	return p.rival.until
}

// decide ends the contest, in which the partner has said nothing.
func (s *System) decide(now time.Time, p *port, out *Out) {
	r := p.rival
	p.rival = rival{}
	if r.repeated {
		s.hear(now, p, &r.pdu, r.from, out)
		p.confirmed = true
	}
}

// asks reports whether the port has its partner speak at once: it is not known whether that is there, or still there.
func (p *port) asks() bool {
	return p.resumed || p.contested() || p.mux == MuxAttached && p.selected == InUse && !p.confirmed
}
