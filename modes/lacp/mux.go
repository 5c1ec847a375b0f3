// SPDX-License-Identifier: MIT

package lacp

import "time"

// runMux advances a port's Mux by one step and reports whether there was one.
//
// Beyond the standard a port is used only after two PDUs of its partner: no single frame brings a port into use. And a
// standby port is attached as well, without showing Synchronization: it need not wait when it is needed.
func (s *System) runMux(now time.Time, p *port) bool {
	was := p.mux
	use := p.selected == InUse && p.partner.State.Has(Synchronization) && p.confirmed
	switch {
	case p.selected == Unselected:
		p.mux = MuxDetached
		p.waitUntil, p.waitLimit = time.Time{}, time.Time{}
	case p.mux == MuxDetached:
		p.mux = MuxWaiting
		p.waitUntil, p.waitLimit = now.Add(aggregateWait), now.Add(2*aggregateWait)
	case p.mux == MuxWaiting:
		if !now.Before(s.ready(p)) {
			p.mux = MuxAttached
		}
	case p.mux == MuxAttached && use:
		p.mux = MuxCollecting
	case p.mux >= MuxCollecting && !use:
		p.mux--
	case p.mux == MuxCollecting && p.partner.State.Has(Collecting):
		p.mux = MuxDistributing
	case p.mux == MuxDistributing && !p.partner.State.Has(Collecting):
		p.mux = MuxCollecting
	}
	return p.mux != was
}

// ready returns when a waiting port is ready: when all ports that wait for the same Aggregator are, so that they come
// up together. waitLimit bounds what a port that comes and goes delays the others.
func (s *System) ready(p *port) time.Time {
	t := p.waitUntil
	for i := range s.ports {
		if q := &s.ports[i]; q.mux == MuxWaiting && q.agg == p.agg {
			t = later(t, q.waitUntil)
		}
	}
	if p.waitLimit.Before(t) {
		return p.waitLimit
	}
	return t
}

// inSync returns Actor_Oper_Port_State.Synchronization.
func (p *port) inSync() bool { return p.selected == InUse && p.mux >= MuxAttached }
