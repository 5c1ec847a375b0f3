// SPDX-License-Identifier: MIT

package lacp

import (
	"fmt"
	"time"

	"nicteam/internal/frame"
)

// The times of clause 6.4.4.
const (
	fastPeriodic  = time.Second
	slowPeriodic  = 30 * time.Second
	shortTimeout  = 3 * time.Second
	longTimeout   = 90 * time.Second
	churnTime     = 60 * time.Second
	aggregateWait = 2 * time.Second
)

// defaultPartner is the assumed partner (Partner_Admin). It asks for a PDU a second: two systems that both fell back to
// the slow rate would need half a minute to find each other again.
var defaultPartner = Info{State: ShortTimeout}

// reset drops the partner: INITIALIZE.
func (p *port) reset() {
	p.receive = ReceiveInitialize
	p.partner, p.seen, p.defaulted, p.resumed = defaultPartner, Info{}, true, false
	p.from, p.confirmed, p.rival = 0, false, rival{}
	p.expires = time.Time{}
	p.answersMarkers, p.markerSent = false, 0
	p.detach()
}

// enable follows port_enabled and LACP_Enabled.
func (p *port) enable(now time.Time) {
	switch {
	case !p.Up:
		if p.receive != ReceivePortDisabled {
			p.receive = ReceivePortDisabled
			p.expirePartner(time.Time{})
			p.detach()
		}
	case p.HalfDuplex:
		if p.receive != ReceiveLACPDisabled {
			p.reset()
			p.expirePartner(time.Time{})
			p.partner.State &^= Aggregation
			p.receive = ReceiveLACPDisabled
		}
	case p.receive == ReceiveInitialize || p.receive == ReceivePortDisabled || p.receive == ReceiveLACPDisabled:
		p.receive = ReceiveExpired
		p.partner.State |= ShortTimeout
		p.expirePartner(now.Add(shortTimeout))
		p.sent = Info{} // it sends a PDU at once, whatever it sent before the link came up
	}
}

// expirePartner clears the partner's Synchronization and restarts current_while_timer (zero: stops it).
func (p *port) expirePartner(until time.Time) {
	p.partner.State &^= Synchronization
	p.expires = until
	p.resumed = false
	p.rival = rival{}
	p.looped = time.Time{}
	p.markerSent = 0
}

// expireCurrentWhile runs the Receive machine when current_while_timer has expired.
func (s *System) expireCurrentWhile(now time.Time, p *port, out *Out) {
	switch p.receive {
	case ReceiveCurrent:
		p.silence = p.timeout(&s.config)
		p.receive = ReceiveExpired
		looped := p.looped
		p.expirePartner(now.Add(shortTimeout))
		p.looped = looped
		p.partner.State |= ShortTimeout
		s.note(now, p, out, PartnerChanged, "partner "+p.partner.System.MAC.String()+" silent for "+seconds(p.silence))
	case ReceiveExpired:
		p.receive = ReceiveDefaulted
		p.expires = time.Time{}
		p.partner, p.from, p.confirmed, p.seen, p.defaulted = defaultPartner, 0, false, Info{}, true
		p.answersMarkers = false
		p.detach()
	default:
		p.expires = time.Time{}
	}
}

// timeout returns how long the partner may be silent.
func (p *port) timeout(c *Config) time.Duration {
	if c.Fast || p.resumed {
		return shortTimeout
	}
	return longTimeout
}

// checkLoop reports whether a PDU is our own. It does not count as a partner's: however many of them circulate, the
// partner's are processed. The second one within a minute is noted, for a loop brings more of them.
func (s *System) checkLoop(now time.Time, p *port, d *PDU, out *Out) bool {
	if d.Actor.System.MAC != s.config.System.MAC {
		return false
	}
	last := p.ownHeard
	if p.ownHeard = now; last.IsZero() || now.Sub(last) >= time.Minute {
		return true
	}
	p.looped = now
	if p.warned.IsZero() || now.Sub(p.warned) >= time.Minute {
		p.warned = now
		out.Notes = append(out.Notes, Note{Kind: Looped, Port: p.ID,
			Reason: "it hears its own system: its link is a loop, or leads to another port of this team"})
	}
	return true
}

// extendTimeouts gives partners the long timeout when they are about to be asked for the slow rate.
func (s *System) extendTimeouts() {
	for i := range s.ports {
		if p := &s.ports[i]; p.heard() && !p.resumed {
			p.expires = p.expires.Add(longTimeout - shortTimeout)
		}
	}
}

// recordPDU processes a PDU of the partner: CURRENT.
func (s *System) recordPDU(now time.Time, p *port, d *PDU, from frame.MAC, out *Out) {
	p.looped, p.rival, p.from = time.Time{}, rival{}, from
	was, known := p.partner, !p.defaulted
	other := different(&was, &d.Actor) // update_Selected
	if other {
		p.detach()
		p.answersMarkers = false
	}
	switch {
	case !known:
		s.note(now, p, out, PartnerChanged, "partner "+name(&d.Actor)+" answers")
	case other:
		s.note(now, p, out, PartnerChanged, "partner is "+name(&d.Actor)+", was "+name(&was))
	case !p.heard():
		s.note(now, p, out, PartnerChanged, "partner "+name(&d.Actor)+" answers again")
	}

	me := s.actorOf(p)
	p.seen = d.Partner
	if stale(&p.seen, &me) { // update_NTT
		p.ntt = max(p.ntt, calm)
	}
	if d.Actor.State.Has(ShortTimeout) && !was.State.Has(ShortTimeout) {
		p.ntt = soon
	}

	// recordPDU
	p.confirmed = known && !other
	p.partner, p.defaulted, p.resumed = d.Actor, false, false
	if !maintained(&me, d) || !matched(&me, d) {
		p.partner.State &^= Synchronization
	}
	if d.Actor.State.Has(Expired) {
		// It receives no PDUs of ours. A partner with coupled control shows both flags until it gives up.
		p.partner.State &^= Collecting
	}
	if p.mux >= MuxCollecting && p.heard() {
		switch {
		case !p.partner.State.Has(Synchronization):
			s.note(now, p, out, PartnerChanged, "partner "+name(&p.partner)+" is not in sync any more")
		case p.mux == MuxDistributing && !p.partner.State.Has(Collecting):
			s.note(now, p, out, PartnerChanged, "partner "+name(&p.partner)+" does not collect any more")
		}
	}
	p.receive = ReceiveCurrent
	p.expires = now.Add(p.timeout(&s.config))
}

// different reports whether two ports differ, or belong to different Aggregators.
func different(a, b *Info) bool {
	return a.System != b.System || a.Key != b.Key || a.Port != b.Port ||
		a.PortPriority != b.PortPriority || (a.State^b.State)&Aggregation != 0
}

// matched reports whether the partner's information about us is right. It need not be if it cannot aggregate.
func matched(me *Info, d *PDU) bool {
	return !different(me, &d.Partner) || !d.Actor.State.Has(Aggregation)
}

// maintained reports whether one side is active.
func maintained(me *Info, d *PDU) bool {
	return d.Actor.State.Has(Activity) || me.State.Has(Activity) && d.Partner.State.Has(Activity)
}

// stale reports whether the partner needs our information again. The standard leaves Collecting out: after a lost PDU
// the partner would wait for up to 30 s.
func stale(seen, me *Info) bool {
	return different(seen, me) || (seen.State^me.State)&(Activity|ShortTimeout|Synchronization|Collecting) != 0
}

func name(i *Info) string { return fmt.Sprintf("%v (key %d, port %d)", i.System.MAC, i.Key, i.Port) }

func seconds(d time.Duration) string { return fmt.Sprintf("%d s", int(d.Seconds())) }
