// SPDX-License-Identifier: MIT

package lacp

import (
	"slices"
	"testing"
	"time"
)

// speeds sets the speed of each port of a side, in Gbit/s.
func speeds(s *side, gbps ...uint64) {
	for i, g := range gbps {
		s.ports[i].SpeedBps = g * 1e9
	}
}

// bySpeed gives both sides ports of these speeds, which makes an Aggregator each speed.
func bySpeed(policy Select, gbps ...uint64) func(a, b *side) {
	return func(a, b *side) {
		a.config.Select, b.config.Select = policy, policy
		speeds(a, gbps...)
		speeds(b, gbps...)
	}
}

func TestSelectPolicies(t *testing.T) {
	for _, tt := range []struct {
		policy Select
		want   []int
	}{
		{Stable, []int{3}}, // as Bandwidth, while none works yet
		{Bandwidth, []int{3}},
		{Count, []int{0, 1, 2}},
		{PortPriority, []int{4, 5}},
	} {
		w, a, b := linked(t, 6, bySpeed(tt.policy, 1, 1, 1, 25, 5, 5), func(a, b *side) {
			for _, s := range []*side{a, b} {
				s.ports[4].Priority, s.ports[5].Priority = 10, 300
				s.ports[3].Priority = 20
			}
		})
		agree(t, w, a, b, 3200*time.Millisecond, tt.want...)
		w.run(2 * time.Minute)
		if !uses(a.System, tt.want...) || !uses(b.System, tt.want...) {
			t.Errorf("%v: it did not last: %v %v", tt.policy, distributing(a.System), distributing(b.System))
		}
		w.checkPace()
	}
}

func TestStandbyPortShowsNoSync(t *testing.T) {
	w, a, b := linked(t, 2, bySpeed(Stable, 1, 10))
	agree(t, w, a, b, 4*time.Second, 1)
	w.run(10 * time.Second)
	p := status(t, a.System, 0)
	if p.Selected != Standby || p.Mux != MuxAttached || p.Actor.State.Has(Synchronization) ||
		w.last(0, 0).Actor.State.Has(Synchronization) {
		t.Errorf("%v %v %v", p.Selected, p.Mux, p.Actor.State.Names())
	}
	if p.Why != "aggregator 1 with 02:aa:00:00:00:01 (key 9) stands by" {
		t.Errorf("why: %q", p.Why)
	}
}

// TestChangeOverTakesOneExchange counts the time in which nothing can be sent after the active Aggregator has lost
// its last port.
func TestChangeOverTakesOneExchange(t *testing.T) {
	for _, fast := range []bool{true, false} {
		w, a, b := linked(t, 3, bySpeed(Stable, 1, 1, 10), func(a, b *side) {
			a.config.Fast, b.config.Fast = fast, fast
		})
		w.delay = 5 * time.Millisecond
		agree(t, w, a, b, 4*time.Second, 2)
		// At any time, also when PDUs of the last second already count.
		for i := range 7 {
			w.run(11*time.Second + time.Duration(i)*137*time.Millisecond)
			w.carrier(2, false)
			if took := agree(t, w, a, b, time.Second, 0, 1); took > 3*w.delay {
				t.Errorf("fast %v: nothing usable for %v", fast, took)
			}
			w.carrier(2, true)
			w.run(10 * time.Second)
			if !uses(a.System, 0, 1) {
				t.Fatalf("stable left an aggregator that works: %v", distributing(a.System))
			}
			w.carrier(0, false)
			w.carrier(1, false)
			if took := agree(t, w, a, b, time.Second, 2); took > 3*w.delay {
				t.Errorf("fast %v: nothing usable for %v on the way back", fast, took)
			}
			w.carrier(0, true)
			w.carrier(1, true)
		}
		w.checkPace()
	}
}

func TestSilenceOfTheActiveAggregatorIsNoticedAndReplaced(t *testing.T) {
	w, a, b := linked(t, 3, bySpeed(Stable, 1, 1, 10))
	agree(t, w, a, b, 4*time.Second, 2)
	w.run(5500 * time.Millisecond)
	w.drop = func(_, port int, _ []byte) bool { return port == 2 }
	agree(t, w, a, b, 3100*time.Millisecond, 0, 1)
}

func TestSilentOneWayLossTakesThePortOutOnBothSides(t *testing.T) {
	for from := range 2 {
		w, a, b := linked(t, 2)
		agree(t, w, a, b, 4*time.Second, 0, 1)
		w.run(5300 * time.Millisecond)
		w.drop = func(f, port int, _ []byte) bool { return f == from && port == 1 }
		agree(t, w, a, b, 3100*time.Millisecond, 0)
		w.drop = nil
		agree(t, w, a, b, 4*time.Second, 0, 1)
	}
}

// TestBetterAggregatorIsJoinedBeforeTheOldOneIsLeft has something usable at each moment.
func TestBetterAggregatorIsJoinedBeforeTheOldOneIsLeft(t *testing.T) {
	for _, policy := range []Select{Bandwidth, Count, PortPriority} {
		w, a, b := linked(t, 4, bySpeed(policy, 1, 5, 5, 5), func(a, b *side) {
			for _, s := range []*side{a, b} {
				for i := 1; i < 4; i++ {
					s.ports[i].Up = false
					s.ports[i].Priority = 10
				}
			}
		})
		agree(t, w, a, b, 4*time.Second, 0)
		w.after = func() {
			if len(distributing(a.System)) == 0 || len(distributing(b.System)) == 0 {
				t.Fatalf("%v: nothing usable at %v", policy, w.now.Sub(start))
			}
		}
		for i := 1; i < 4; i++ {
			w.carrier(i, true)
		}
		agree(t, w, a, b, 3200*time.Millisecond, 1, 2, 3)
		w.run(time.Minute)
		if notes := kinds(w.notes[0], AggregatorChanged); notes != 2 {
			t.Errorf("%v: %d notes of aggregators: %v", policy, notes, w.notes[0])
		}
	}
}

func kinds(notes []Note, k NoteKind) int {
	n := 0
	for _, x := range notes {
		if x.Kind == k {
			n++
		}
	}
	return n
}

// TestSidesThatChooseDifferentlyComeTogether has one side prefer the first ports, the other one the last.
func TestSidesThatChooseDifferentlyComeTogether(t *testing.T) {
	many := func(s *side) { s.config.Select = Count; speeds(s, 1, 1, 1, 10) }
	fast := func(s *side) { s.config.Select = Bandwidth; speeds(s, 1, 1, 1, 10) }
	stable := func(s *side) { speeds(s, 1, 1, 1, 10) }
	other := func(s *side) { speeds(s, 10, 10, 10, 1) }
	for _, tt := range []struct {
		name   string
		change [2]func(*side)
		want   []int
	}{
		{"count, bandwidth", [2]func(*side){many, fast}, []int{0, 1, 2}},
		{"bandwidth, count", [2]func(*side){fast, many}, []int{3}},
		{"both stable", [2]func(*side){stable, other}, []int{3}},
		{"both stable, the other way round", [2]func(*side){other, stable}, []int{0, 1, 2}},
		{"count, stable", [2]func(*side){many, stable}, []int{0, 1, 2}},
		{"bandwidth, stable", [2]func(*side){fast, other}, []int{3}},
	} {
		w, a, b := linked(t, 4, func(a, b *side) {
			tt.change[0](a)
			tt.change[1](b)
		})
		agree(t, w, a, b, 5*time.Second, tt.want...)
		w.after = func() {
			if !uses(a.System, tt.want...) || !uses(b.System, tt.want...) {
				t.Fatalf("%s: %v and %v at %v", tt.name, distributing(a.System), distributing(b.System),
					w.now.Sub(start))
			}
		}
		w.run(5 * time.Minute)
		w.checkPace()
	}
}

func TestPortsThatComeUpWithinTheWaitComeUpTogether(t *testing.T) {
	w, a, _ := linked(t, 4, func(a, b *side) {
		for i := 1; i < 4; i++ {
			a.ports[i].Up, b.ports[i].Up = false, false
		}
	})
	for i := 1; i < 4; i++ {
		w.run(600 * time.Millisecond)
		w.carrier(i, true)
	}
	w.until(5*time.Second, func() bool { return len(distributing(a.System)) > 0 })
	w.run(10 * w.delay)
	if !uses(a.System, 0, 1, 2, 3) {
		t.Errorf("the first to come up were %v", distributing(a.System))
	}
	if at := w.now.Sub(start); at > 4*time.Second {
		t.Errorf("they came up after %v", at)
	}
}

func TestPortThatComesAndGoesKeepsNobodyWaiting(t *testing.T) {
	w, a, _ := linked(t, 2)
	up := true
	for range 20 {
		if uses(a.System, 0) {
			break
		}
		w.run(500 * time.Millisecond)
		up = !up
		w.carrier(1, up)
	}
	if at := w.now.Sub(start); !uses(a.System, 0) || at > 5*time.Second {
		t.Errorf("after %v it uses %v", at, distributing(a.System))
	}
}

func TestExpiredPortIsNotSelected(t *testing.T) {
	s, p := joined(t, 2)
	// Port 1 is silent from the beginning of the 3 s, port 0 speaks.
	s.tick(2 * time.Second)
	p[0].says(s.System, s.w.now, 0, healthy)
	s.tick(time.Second)
	got := status(t, s.System, 1)
	if got.Receive != ReceiveExpired || got.Selected != Standby || got.Mux != MuxAttached ||
		got.Actor.State.Has(Synchronization) {
		t.Errorf("%v %v %v", got.Receive, got.Selected, got.Mux)
	}
	if !uses(s.System, 0) {
		t.Errorf("uses %v", distributing(s.System))
	}
	// Back within the 3 s of EXPIRED it waits for nothing.
	p[1].says(s.System, s.w.now, 1, healthy)
	if !uses(s.System, 0, 1) {
		t.Errorf("after its return: %v", distributing(s.System))
	}
	// If all expire none is active.
	s.tick(2 * shortTimeout)
	if st := s.Status(); st.Active != 0 {
		t.Errorf("aggregator %d of silent partners is active", st.Active)
	}
}

func TestPartnerThatShowsAnotherSystemDoesNotDisturbOthers(t *testing.T) {
	for _, policy := range Selects() {
		s, p := joined(t, 3, func(s *side) { s.config.Select = policy })
		before := s.Status()
		for range 4 {
			p[0].System.MAC ^= 0xff00
			p[0].says(s.System, s.w.now, 0, healthy)
			s.tick(time.Second)
			p[1].says(s.System, s.w.now, 1, healthy)
			p[2].says(s.System, s.w.now, 2, healthy)
			if u := distributing(s.System); !slices.Contains(u, 1) || !slices.Contains(u, 2) {
				t.Fatalf("%v: uses %v", policy, distributing(s.System))
			}
		}
		after := s.Status()
		if after.Active != before.Active || after.Partner != before.Partner {
			t.Errorf("%v: active %d with %v, was %d with %v", policy, after.Active, after.Partner, before.Active,
				before.Partner)
		}
		if s.tick(2 * time.Second); status(t, s.System, 0).Mux < MuxAttached {
			t.Errorf("%v: %+v", policy, status(t, s.System, 0))
		}
		for i := range p {
			p[i].says(s.System, s.w.now, i, healthy)
		}
		if !uses(s.System, 0, 1, 2) {
			t.Errorf("%v: in the end it uses %v", policy, distributing(s.System))
		}
	}
}

func TestTwoPartnersAreTwoAggregators(t *testing.T) {
	s := alone(3)
	p := []*partner{newPartner(0), newPartner(1), newPartner(2)}
	p[0].System.MAC++
	for i := range p {
		p[i].says(s.System, s.w.now, i, healthy&^(Collecting|Distributing))
	}
	s.tick(aggregateWait)
	for i := range p {
		p[i].says(s.System, s.w.now, i, healthy)
	}
	if st := s.Status(); !uses(s.System, 1, 2) || st.Ports[0].Aggregator == st.Ports[1].Aggregator ||
		st.Partner.System != p[1].System {
		t.Errorf("%+v", st)
	}
	if got, want := s.Status().Hints,
		"eth0 and eth1 are connected to two different systems, 02:cc:00:00:00:02 and 02:cc:00:00:00:01: only "+
			"one of them is used. Connect both to the same switch, or make the two switches one to LACP (stack, "+
			"MLAG)"; len(got) != 1 || got[0] != want {
		t.Errorf("hints %q", got)
	}
}

func TestPartnersThatCannotAggregateAreAloneEach(t *testing.T) {
	s := alone(2)
	p := []*partner{newPartner(0), newPartner(1)}
	for i := range p {
		p[i].says(s.System, s.w.now, i, healthy&^Aggregation)
		p[i].says(s.System, s.w.now, i, healthy&^Aggregation)
	}
	s.tick(aggregateWait)
	if st := s.Status(); st.Ports[0].Aggregator == st.Ports[1].Aggregator || !uses(s.System, 0) {
		t.Errorf("uses %v: %+v", distributing(s.System), st.Ports)
	}
}

func TestAggregatorNumbersAreSmallAndStay(t *testing.T) {
	w, a, b := linked(t, 3, bySpeed(Stable, 1, 5, 10))
	agree(t, w, a, b, 4*time.Second, 2)
	numbers := func() []int {
		var n []int
		for _, p := range a.Status().Ports {
			n = append(n, p.Aggregator)
		}
		return n
	}
	if got := numbers(); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("%v", got)
	}
	w.carrier(0, false)
	w.run(5 * time.Second)
	if got := numbers(); !slices.Equal(got, []int{0, 2, 3}) {
		t.Errorf("after the first went: %v", got)
	}
	w.carrier(0, true)
	w.run(5 * time.Second)
	if got := numbers(); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("after it came back: %v", got)
	}
}

func TestNoPartnerNoActiveAggregator(t *testing.T) {
	s := alone(2)
	s.tick(time.Minute)
	if st := s.Status(); st.Active != 0 || st.Ports[0].Selected != Unselected || st.Ports[0].Mux != MuxDetached ||
		st.Ports[0].Why != "nobody answers" || st.Key != 9 {
		t.Errorf("%+v", st)
	}
}

// An aggregator whose only ready port is lost does not keep one that stands by from taking over.
func TestAggregatorThatHasToWaitIsReplaced(t *testing.T) {
	w, a, b := linked(t, 3, func(a, b *side) {
		b.ports[2].SpeedBps = 1e8
		a.ports[1].Up, b.ports[1].Up = false, false
	})
	agree(t, w, a, b, 5*time.Second, 0)
	w.run(5 * time.Second)
	w.carrier(1, true)
	w.run(500 * time.Millisecond)
	w.carrier(0, false)
	if took := agree(t, w, a, b, 5*time.Second, 2); took > 10*time.Millisecond {
		t.Errorf("took over after %v", took)
	}
}
