// SPDX-License-Identifier: MIT

package lacp

import "time"

// churn is one of the two churn detection machines.
type churn struct {
	state Churn
	until time.Time // churn_timer
}

// run follows whether a side is in sync, if that is expected, and reports whether it began or stopped to churn.
func (c *churn) run(now time.Time, expected, sync bool) bool {
	was := c.state
	switch {
	case !expected:
		c.state, c.until = ChurnMonitor, time.Time{}
	case sync:
		c.state, c.until = NoChurn, time.Time{}
	case c.state == NoChurn || c.until.IsZero() && c.state == ChurnMonitor:
		c.state, c.until = ChurnMonitor, now.Add(churnTime)
	case c.state == ChurnMonitor && !now.Before(c.until):
		c.state, c.until = Churning, time.Time{}
	}
	return (c.state == Churning) != (was == Churning)
}

// monitor runs both machines of a port. They are idle without a partner and on standby.
func (s *System) monitor(now time.Time, p *port, out *Out) {
	expected := p.heard() && p.selected == InUse
	if p.actor.run(now, expected, p.inSync()) && expected {
		s.note(now, p, out, Churned, churnReason("this side", p.actor.state))
	}
	if p.other.run(now, expected, p.partner.State.Has(Synchronization)) && expected {
		s.note(now, p, out, Churned, churnReason("partner "+name(&p.partner), p.other.state))
	}
}

func churnReason(who string, c Churn) string {
	if c == Churning {
		return who + " has not come into sync for " + seconds(churnTime)
	}
	return who + " is in sync again"
}
