// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"time"

	"nicteam/internal/tick"
	"nicteam/modes"
	"nicteam/modes/spread"
)

const (
	// measureMax is the longest time between two measurements.
	measureMax = time.Second
	// measureQuietRounds is the number of measurements after the last frame, until averages have settled.
	measureQuietRounds = 8
)

// rate is the measured capacity of a member; zero: not measured yet.
type rate struct {
	bps    uint64
	source spread.RateSource
}

// measured keeps rates and forced moves for the Status, and passes the measurement to the mode once a Rebalance.
func (l *Loop) measured(now time.Time, in Measured, out *Output) {
	if in.Flows != nil {
		for _, m := range l.members {
			q := &in.Flows.Members[m.id]
			m.measuredRate = rate{q.Rate, q.Source}
		}
		l.forcedMoves = in.Flows.Forced
	}
	// Timers are late by varying amounts.
	if late := measureInterval(l.cfg.Rebalance) / 2; now.Sub(l.lastMeasured) < l.cfg.Rebalance-late {
		return
	}
	l.lastMeasured = now
	l.addEffects(now, l.mode.Handle(now, modes.Measured{Flows: in.Flows, RxBytes: in.RxBytes}), out)
}

// resetMeasurements forgets what was measured under another mode.
func (l *Loop) resetMeasurements() {
	for _, m := range l.members {
		m.measuredRate = rate{}
	}
	l.forcedMoves, l.lastMeasured = 0, time.Time{}
}

// rateOf returns the rate of a member and its source; 0 and "" when the mode has no rates, or the member does not
// distribute.
func (l *Loop) rateOf(m *member) (bps uint64, source string) {
	if !shortest(l.plan) || !l.plan.Distributing.Has(m.id) {
		return 0, ""
	}
	if m.measuredRate.bps > 0 {
		return m.measuredRate.bps, m.measuredRate.source.String()
	}
	source = spread.RateAssumed.String()
	if l.plan.Shortest.SpeedKnown.Has(m.id) {
		source = spread.RateLink.String()
	}
	return l.plan.Shortest.Rates[m.id] * uint64(l.plan.Weights[m.id]) / spread.MaxShare, source
}

// shortest reports whether p has a flow table.
func shortest(p *spread.Plan) bool { return p != nil && p.Rule == spread.RuleShortest }

// measureInterval divides a Rebalance into equal intervals of at most measureMax.
func measureInterval(rebalance time.Duration) time.Duration {
	if rebalance <= 0 {
		return measureMax
	}
	return rebalance / ((rebalance + measureMax - 1) / measureMax)
}

// runMeasuring measures flows and peers while frames move. It has its own goroutine because the data path copies the
// flow table between two batches.
func (t *Team) runMeasuring(ctx context.Context) {
	timer := time.NewTimer(measureMax)
	defer timer.Stop()
	var s *measurement // allocated when needed: most modes have none
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		v := t.snapshot.Load()
		if v.plan == nil || !v.plan.PerMember {
			timer.Reset(tick.UntilBeat(measureMax))
			continue
		}
		timer.Reset(measureInterval(v.config.Rebalance))
		if s == nil {
			s = new(measurement)
		}
		t.o.Panics.Do(panicMeasuring, func() { t.measureOnce(ctx, s) })
	}
}

// measurement is the last measurement.
type measurement struct {
	flows       spread.FlowTable
	rxBytes     spread.RxBytes
	frames      Moved // without those of link watches, which never rest
	moved       uint64
	quietRounds int // how many times nothing had moved
}

// measureOnce shows the control loop what the data path has seen since it last did.
func (t *Team) measureOnce(ctx context.Context, s *measurement) {
	t.o.Datapath.Moved(&s.frames)
	s.quietRounds++
	if now := s.frames.total(); now != s.moved {
		s.moved, s.quietRounds = now, 0
	}
	if s.quietRounds > measureQuietRounds {
		return
	}
	in := Measured{RxBytes: &s.rxBytes}
	if t.o.Datapath.Flows(&s.flows) {
		in.Flows = &s.flows
	}
	t.o.Datapath.RxBytes(&s.rxBytes)
	_, _ = t.post(ctx, request{in: in})
}
