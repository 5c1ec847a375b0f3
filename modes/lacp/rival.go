// SPDX-License-Identifier: MIT

package lacp

import (
	"time"

	"nicteam/internal/frame"
)

// An LACPDU of another actor than a working port's partner may be stray or forged. It may also be true: the cable leads
// elsewhere and no carrier loss was seen, the partner's port got another key, or the partner restarted with other
// numbers. The standard records each as the new partner at once (update_Selected), and the port is out of use until it
// is selected again.
//
// Here that actor is a rival first, and its PDUs change nothing. The partner is asked to answer at once, as after a
// restart (send): a partner that reads wrong information about itself must answer.
//
//	the partner sends a PDU                                   the rival is dropped
//	it is silent for 2 s, or until it expires if that is      the rival is the partner, by its last PDU
//	sooner, and the rival has sent another PDU meanwhile
//	both are silent                                           the rival is dropped, the partner's timeout goes on
//
// A rival with the partner's own MAC is the partner with another key or system identifier, or a forger who knows it
// well: two PDUs in a row decide, for the partner would have answered. That it no longer collects is believed at once,
// else frames sent meanwhile are lost; if it is not true, the partner's answer corrects it.
//
// So no single frame disables a working port, nor do many frames beside a partner's, and a new partner waits for 2 s at
// most. Ports that do not work record any actor, as in the standard.

// contestTime is how long a partner that was asked to answer may be silent. It may have to wait a second, after three
// PDUs in the last one; the rest is for lost PDUs.
const contestTime = 2 * time.Second

// rival is another actor on a port that has a partner.
type rival struct {
	pdu      PDU // the last one
	from     frame.MAC
	repeated bool      // it has sent more than one
	until    time.Time // when the contest is decided; zero: there is none
}

// contested reports whether the port has a rival.
func (p *port) contested() bool { return !p.rival.until.IsZero() }

// inOrder reports whether both ends use the port, or can at once.
func (p *port) inOrder() bool {
	return p.heard() && p.mux >= MuxAttached && p.partner.State.Has(Synchronization)
}

// foreign reports whether a PDU is of another actor than the partner of a working port. On any port with a partner, a
// PDU in the partner's name from another source MAC is foreign, too.
func (p *port) foreign(d *PDU, from frame.MAC) bool {
	if different(&p.partner, &d.Actor) {
		return p.inOrder()
	}
	return p.heard() && p.from != 0 && p.from != from
}

// contest processes a PDU of a rival.
func (s *System) contest(now time.Time, p *port, d *PDU, from frame.MAC, out *Out) {
	r := &p.rival
	until := r.until
	if !p.contested() {
		until = now.Add(contestTime)
		p.changed = now // a PDU a second until it is decided
	}
	repeated := p.contested() && r.from == from && !different(&r.pdu.Actor, &d.Actor)
	*r = rival{pdu: *d, from: from, repeated: repeated, until: until}
	if p.from != 0 && from == p.from {
		if repeated {
			s.decide(now, p, out)
			return
		}
		p.partner.State &= d.Actor.State | ^(Synchronization | Collecting)
	}
	p.ntt = max(p.ntt, soon)
	if p.contestNoted.IsZero() || now.Sub(p.contestNoted) >= time.Minute {
		p.contestNoted = now
		out.Notes = append(out.Notes, Note{Kind: Contested, Port: p.ID,
			Reason: name(&d.Actor) + " from " + from.String() + " speaks besides the partner " + name(&p.partner)})
	}
}

// decided returns when the contest is decided, zero for a port without a rival.
func (p *port) decided() time.Time {
	if p.contested() && p.expires.Before(p.rival.until) {
		return p.expires
	}
	return p.rival.until
}

// decide ends a contest in which the partner was silent.
func (s *System) decide(now time.Time, p *port, out *Out) {
	r := p.rival
	p.rival = rival{}
	if r.repeated {
		s.recordPDU(now, p, &r.pdu, r.from, out)
		p.confirmed = true
	}
}

// wantsAnswer reports whether the port asks its partner for a PDU at once, to learn whether it is there, or still
// there.
func (p *port) wantsAnswer() bool {
	return p.resumed || p.contested() || p.mux == MuxAttached && p.selected == InUse && !p.confirmed
}
