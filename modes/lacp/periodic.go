// SPDX-License-Identifier: MIT

package lacp

import "time"

// fastRetryTime is how long a PDU a second goes to a partner that has not confirmed our state. So a lost PDU is made
// good within a second, even if both sides use the slow rate.
const fastRetryTime = 10 * time.Second

// updatePeriodic follows the partner's rate. PERIODIC_TX is transmit with periodicAt in the past.
func (s *System) updatePeriodic(now time.Time, p *port, me *Info) {
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
	if p.sentAt[0].IsZero() {
		p.periodicAt = now
		return
	}
	p.periodicAt = p.sentAt[0].Add(p.period())
}

// period returns the time between two PDUs.
func (p *port) period() time.Duration {
	if p.periodic == PeriodicFast {
		return fastPeriodic
	}
	return slowPeriodic
}

// unsettled reports whether the fast rate is due beyond what the partner asks for: it may have missed a PDU.
func (s *System) unsettled(now time.Time, p *port, me *Info) bool {
	since := now.Sub(p.changed)
	switch {
	case !p.heard() || since >= fastRetryTime:
		return false
	case (p.seen.State^me.State)&Distributing != 0 && since < shortTimeout:
		return true // no partner confirms that, so it is sent a few times only
	}
	return p.wantsAnswer() || stale(&p.seen, me) ||
		p.selected == InUse && p.mux >= MuxAttached && p.mux < MuxDistributing
}
