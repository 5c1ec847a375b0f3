package lacp

import "time"

// insist is for how long a PDU a second goes to a partner that does not show that it knows how things stand. What got
// lost is so made good in a second, also where both sides are content with a PDU each 30 s.
const insist = 10 * time.Second

// pace follows the partner's wish: PERIODIC_TX is transmit with speaks in the past.
func (s *System) pace(now time.Time, p *port, me *Info) {
	was := p.periodic
	switch {
	case !p.enabled() || !me.State.Has(Activity) && !p.partner.State.Has(Activity):
		p.periodic = PeriodicNone
	case p.partner.State.Has(ShortTimeout) || s.unsettled(now, p, me):
		p.periodic = PeriodicFast
	default:
		p.periodic = PeriodicSlow
	}
	if p.periodic == was {
		return
	}
	if p.said[0].IsZero() {
		p.speaks = now
		return
	}
	p.speaks = p.said[0].Add(p.period())
}

// period is the time between PDUs.
func (p *port) period() time.Duration {
	if p.periodic == PeriodicFast {
		return fastPeriodic
	}
	return slowPeriodic
}

// unsettled reports whether more PDUs are due than the partner asks for: it may have missed one.
func (s *System) unsettled(now time.Time, p *port, me *Info) bool {
	since := now.Sub(p.changed)
	switch {
	case !p.heard() || since >= insist:
		return false
	case (p.seen.State^me.State)&Distributing != 0 && since < shortTimeout:
		return true // no partner answers to that, so it is only said a few times
	}
	return p.asks() || stale(&p.seen, me) || p.selected == InUse && p.mux >= MuxAttached && p.mux < MuxDistributing
}
