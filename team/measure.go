package team

import (
	"context"
	"time"

	"nicteam/modes"
	"nicteam/modes/spread"
)

const (
	// measureEvery is how often, at least, rates are looked at.
	measureEvery = time.Second
	// measureAfter is how many more times that happens after the last frame, so that averages come to rest.
	measureAfter = 8
)

// rate is what a member was measured to carry; the zero value is not measured yet.
type rate struct {
	bps    uint64
	source spread.RateSource
}

// measured keeps what a Status shows of what the data path has seen, and hands it to the mode once a Rebalance.
func (l *Loop) measured(now time.Time, in Measured, out *Output) {
	if in.Flows != nil {
		for _, m := range l.members {
			q := &in.Flows.Members[m.id]
			m.rate = rate{q.Rate, q.Source}
		}
		l.forced = in.Flows.Forced
	}
	// Timers are late by a little, and not by the same each time.
	if late := measureInterval(l.cfg.Rebalance) / 2; now.Sub(l.evened) < l.cfg.Rebalance-late {
		return
	}
	l.evened = now
	l.effects(now, l.mode.Handle(now, modes.Measured{Flows: in.Flows, RxBytes: in.Heard}), out)
}

// unmeasured forgets all that was measured under a mode.
func (l *Loop) unmeasured() {
	for _, m := range l.members {
		m.rate = rate{}
	}
	l.forced, l.evened = 0, time.Time{}
}

// rateOf is what a member is taken to carry, and how that is known; 0 and "" where no mode asks or the member does not
// send.
func (l *Loop) rateOf(m *member) (bps uint64, source string) {
	if !shortest(l.plan) || !l.plan.Distributing.Has(m.id) {
		return 0, ""
	}
	if m.rate.bps > 0 {
		return m.rate.bps, m.rate.source.String()
	}
	source = spread.RateAssumed.String()
	if l.plan.Shortest.SpeedKnown.Has(m.id) {
		source = spread.RateLink.String()
	}
	return l.plan.Shortest.Rates[m.id] * uint64(l.plan.Weights[m.id]) / spread.MaxShare, source
}

// shortest reports whether p has a flow table.
func shortest(p *spread.Plan) bool { return p != nil && p.Rule == spread.RuleShortest }

// measureInterval is how often to measure: a whole number of times in a Rebalance.
func measureInterval(rebalance time.Duration) time.Duration {
	if rebalance <= 0 {
		return measureEvery
	}
	return rebalance / ((rebalance + measureEvery - 1) / measureEvery)
}

// measure shows the control loop, while frames move, what the data path has seen of flows and peers. It has its own
// goroutine because the data path copies the table between two batches, which may take a moment.
func (t *Team) measure(ctx context.Context) {
	timer := time.NewTimer(measureEvery)
	defer timer.Stop()
	var s *seen // made when first wanted: most modes need none of it
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		v := t.view.Load()
		timer.Reset(measureInterval(v.config.Rebalance))
		if v.plan == nil || !v.plan.PerMember {
			continue
		}
		if s == nil {
			s = new(seen)
		}
		t.o.Panics.Do(whereMeasuring, func() { t.show(ctx, s) })
	}
}

// seen is what the data path has seen, as last shown.
type seen struct {
	flows    spread.FlowTable
	heard    spread.RxBytes
	counters Counters
	moved    uint64
	quiet    int // how many times nothing had moved
}

// show shows the control loop what the data path has seen since it last did.
func (t *Team) show(ctx context.Context, s *seen) {
	t.o.Datapath.Counters(&s.counters)
	s.quiet++
	if now := s.counters.moved(); now != s.moved {
		s.moved, s.quiet = now, 0
	}
	if s.quiet > measureAfter {
		return
	}
	in := Measured{Heard: &s.heard}
	if t.o.Datapath.Flows(&s.flows) {
		in.Flows = &s.flows
	}
	t.o.Datapath.Heard(&s.heard)
	_, _ = t.post(ctx, request{in: in})
}
