package lacp

import "time"

// runMux takes the Mux of a port one step on and reports whether there was one to take.
//
// Unlike in the standard a port is used only once its partner has spoken twice: one frame, from whomever it is, brings
// nothing into use. And a port that stands by is attached as well, it only does not say so (Synchronization): when it is
// needed nothing has to be waited for.
func (s *System) runMux(now time.Time, p *port) bool {
	was := p.mux
	use := p.selected == InUse && p.partner.State.Has(Synchronization) && p.confirmed
	switch {
	case p.selected == Unselected:
		p.mux = MuxDetached
		p.waited, p.patience = time.Time{}, time.Time{}
	case p.mux == MuxDetached:
		p.mux = MuxWaiting
		p.waited, p.patience = now.Add(aggregateWait), now.Add(2*aggregateWait)
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

// ready is when a port that waits has waited long enough: when all have that wait for the same Aggregator, so that
// they come up together. A port that comes and goes does not keep the others from it for ever.
func (s *System) ready(p *port) time.Time {
	t := p.waited
	for i := range s.ports {
		if q := &s.ports[i]; q.mux == MuxWaiting && q.agg == p.agg {
			t = later(t, q.waited)
		}
	}
	if p.patience.Before(t) {
		return p.patience
	}
	return t
}

// inSync is Actor_Oper_Port_State.Synchronization.
func (p *port) inSync() bool { return p.selected == InUse && p.mux >= MuxAttached }
