// SPDX-License-Identifier: MIT

package lacp

import (
	"testing"
	"time"
)

func TestPortSpeaksAtOnceWhenItComesUp(t *testing.T) {
	s := newSide(0, 1)
	out := s.Configure(start, s.config, s.ports)
	if got := states(t, out, 0); len(got) != 1 || got[0] != Activity|ShortTimeout|Aggregation|Defaulted|Expired {
		t.Errorf("sent %v", got)
	}
}

func TestNobodyHeardKeepsTheFastRate(t *testing.T) {
	for _, fast := range []bool{true, false} {
		s := alone(1, func(s *side) { s.config.Fast = fast })
		s.tick(10 * time.Second)
		if got := len(s.tick(time.Minute).Send); got != 60 {
			t.Errorf("fast %v: %d PDUs in a minute without a partner", fast, got)
		}
		// A slow partner comes and falls silent: from then on it is each second again.
		newPartner(0).says(s.System, s.w.now, 0, healthy&^ShortTimeout)
		s.tick(longTimeout)
		if got := status(t, s.System, 0); got.Receive == ReceiveCurrent || got.Periodic != PeriodicFast {
			t.Errorf("fast %v: %v %v", fast, got.Receive, got.Periodic)
		}
		if got := len(s.tick(10 * time.Second).Send); got < 10 {
			t.Errorf("fast %v: %d PDUs in 10 s after the partner fell silent", fast, got)
		}
	}
}

func TestRateIsThePartnersWish(t *testing.T) {
	for _, tt := range []struct {
		state    State
		want     Periodic
		inMinute int
	}{
		{healthy, PeriodicFast, 60},
		{healthy &^ ShortTimeout, PeriodicSlow, 2},
	} {
		s, p := joined(t, 1, func(s *side) { s.config.Fast = false })
		s.tick(10 * time.Second)
		p[0].says(s.System, s.w.now, 0, tt.state)
		s.tick(10 * time.Second)
		p[0].says(s.System, s.w.now, 0, tt.state)
		if got := status(t, s.System, 0).Periodic; got != tt.want {
			t.Errorf("%v: %v", tt.state.Names(), got)
		}
		if got := len(s.tick(time.Minute).Send); got != tt.inMinute {
			t.Errorf("%v: %d PDUs in a minute, want %d", tt.state.Names(), got, tt.inMinute)
		}
	}
}

func TestPartnerThatTurnsShortGetsAPDUAtOnce(t *testing.T) {
	s, p := joined(t, 1, func(s *side) { s.config.Fast = false })
	p[0].says(s.System, s.w.now, 0, healthy&^ShortTimeout)
	s.tick(15 * time.Second)
	p[0].says(s.System, s.w.now, 0, healthy&^ShortTimeout)
	s.tick(5 * time.Second)
	if got := len(p[0].says(s.System, s.w.now, 0, healthy).Send); got != 1 {
		t.Errorf("%d PDUs at once", got)
	}
	if got := len(p[0].says(s.System, s.w.now, 0, healthy).Send); got != 0 {
		t.Errorf("%d PDUs when it says the same again", got)
	}
	if got := len(s.tick(10 * time.Second).Send); got != 10 {
		t.Errorf("%d PDUs in the 10 s after", got)
	}
	// Also when it was told something a moment ago.
	p[0].says(s.System, s.w.now, 0, healthy&^ShortTimeout)
	out := s.tick(30 * time.Second)
	if len(out.Send) == 0 || s.w.now.Sub(s.port(0).sentAt[0]) > 29*time.Second {
		t.Fatalf("%d PDUs", len(out.Send))
	}
	s.w.now = s.port(0).sentAt[0].Add(slowPeriodic)
	s.tick(200 * time.Millisecond)
	if got := len(p[0].says(s.System, s.w.now, 0, healthy).Send); got != 1 {
		t.Errorf("%d PDUs at once, 200 ms after the last one", got)
	}
}

func TestPassiveSpeaksWhenSpokenTo(t *testing.T) {
	s := alone(1, func(s *side) { s.config.Passive = true })
	if got := s.tick(time.Minute); len(got.Send) > 0 || status(t, s.System, 0).Periodic != PeriodicNone {
		t.Errorf("%d PDUs unasked, %v", len(got.Send), status(t, s.System, 0).Periodic)
	}
	p := newPartner(0)
	if got := len(p.says(s.System, s.w.now, 0, healthy&^(Activity|Synchronization)).Send); got != 0 {
		t.Errorf("%d PDUs to a passive partner", got)
	}
	p.echo = false // it does not know us yet
	if got := len(p.says(s.System, s.w.now, 0, healthy&^Synchronization).Send); got != 1 {
		t.Errorf("%d PDUs in answer to an active partner", got)
	}
	// It falls silent: it is asked for 3 s more, then no more.
	if s.tick(2 * shortTimeout); status(t, s.System, 0).Periodic != PeriodicNone {
		t.Errorf("still %v", status(t, s.System, 0).Periodic)
	}
}

func TestPassiveAndActiveAgree(t *testing.T) {
	for _, fast := range []bool{true, false} {
		w, a, b := linked(t, 2, func(a, b *side) {
			a.config.Passive = true
			a.config.Fast, b.config.Fast = fast, fast
		})
		agree(t, w, a, b, 3200*time.Millisecond, 0, 1)
		w.run(5 * time.Minute)
		if !uses(a.System, 0, 1) || !uses(b.System, 0, 1) {
			t.Errorf("fast %v: it did not last", fast)
		}
	}
	w, a, b := linked(t, 1, func(a, b *side) { a.config.Passive, b.config.Passive = true, true })
	w.run(time.Minute)
	if len(w.sent) > 0 || a.Status().Active+b.Status().Active != 0 {
		t.Errorf("two passive systems sent %d PDUs", len(w.sent))
	}
}

func TestSlowSystemsSayLittle(t *testing.T) {
	w, a, b := linked(t, 2, func(a, b *side) { a.config.Fast, b.config.Fast = false, false })
	agree(t, w, a, b, 4*time.Second, 0, 1)
	w.run(12 * time.Second)
	since := w.now
	w.run(5 * time.Minute)
	for end := range 2 {
		if got := w.count(end, 0, since); got != 10 {
			t.Errorf("end %d sent %d PDUs in 5 minutes", end, got)
		}
	}
}

// TestNoChangeWaitsForTheSlowTimer has any one or two PDUs of a negotiation at the slow rate get lost.
func TestNoChangeWaitsForTheSlowTimer(t *testing.T) {
	for i := range 24 {
		for j := i; j < 24; j++ {
			w, a, b := linked(t, 1, func(a, b *side) { a.config.Fast, b.config.Fast = false, false })
			n := 0
			w.drop = func(int, int, []byte) bool { n++; return n-1 == i || n-1 == j }
			agree(t, w, a, b, 6*time.Second, 0)
			w.run(40 * time.Second)
			if sa, sb := status(t, a.System, 0), status(t, b.System, 0); sa.Partner != sb.Actor ||
				sb.Partner != sa.Actor {
				t.Errorf("without PDUs %d and %d: they know each other as %+v and %+v", i, j, sa, sb)
			}
		}
	}
}

func TestLostFarewellIsRepeatedWhileThePortIsThere(t *testing.T) {
	w, a, b := linked(t, 2, func(a, b *side) { a.config.Fast, b.config.Fast = false, false })
	agree(t, w, a, b, 4*time.Second, 0, 1)
	w.run(20 * time.Second)
	lost := 0
	w.drop = func(from, port int, _ []byte) bool { lost++; return lost == 1 }
	a.ports[1].Leaving = true
	a.apply()
	if took := w.until(time.Minute, func() bool { return uses(b.System, 0) }); took > 1100*time.Millisecond {
		t.Errorf("the partner sends by the port for %v", took)
	}
}

func TestEveryPortSaysFarewell(t *testing.T) {
	w, a, b := linked(t, 3)
	agree(t, w, a, b, 4*time.Second, 0, 1, 2)
	w.run(5 * time.Second)

	a.ports = a.ports[:2]
	a.apply()
	if got := w.last(0, 2).Actor.State; got&(Synchronization|Collecting|Distributing) != 0 {
		t.Errorf("the port that went said %v", got.Names())
	}
	w.run(10 * time.Millisecond)
	if !uses(b.System, 0, 1) {
		t.Errorf("the partner still sends by it: %v", distributing(b.System))
	}
	w.take(0, a.Leave(w.now))
	w.run(10 * time.Millisecond)
	if !uses(b.System) {
		t.Errorf("the partner still sends by ports of a system that left: %v", distributing(b.System))
	}
	if got := a.Deadline(); !got.IsZero() {
		t.Errorf("a system that left wants to be called at %v", got)
	}
}

func TestSinglePortIsAggregatable(t *testing.T) {
	s := alone(1)
	if got := status(t, s.System, 0).Actor.State; !got.Has(Aggregation) {
		t.Errorf("state %v", got.Names())
	}
}

// Who falls silent because both sides are passive does not leave a partner that goes on sending to it.
func TestTurningPassive(t *testing.T) {
	w, a, b := linked(t, 2, func(a, b *side) { b.config.Passive, a.config.Fast, b.config.Fast = true, false, false })
	agree(t, w, a, b, 5*time.Second, 0, 1)
	w.run(20 * time.Second)
	a.config.Passive = true
	a.apply()
	w.run(2 * time.Second)
	if len(distributing(a.System)) != 0 || len(distributing(b.System)) != 0 {
		t.Errorf("%v and %v are used", distributing(a.System), distributing(b.System))
	}
	w.run(200 * time.Second)
	a.config.Passive = false
	a.apply()
	agree(t, w, a, b, 5*time.Second, 0, 1)
}
