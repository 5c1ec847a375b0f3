// SPDX-License-Identifier: MIT

package lacp

import (
	"testing"
	"time"
)

func TestMuxCollectsBeforeItDistributes(t *testing.T) {
	s := alone(1)
	p := newPartner(0)
	at := func(what string, want Mux, flags State) {
		t.Helper()
		got := status(t, s.System, 0)
		if got.Mux != want || got.Actor.State&(Synchronization|Collecting|Distributing) != flags {
			t.Errorf("%s: %v with %v, want %v", what, got.Mux, got.Actor.State.Names(), want)
		}
	}
	base := healthy &^ (Synchronization | Collecting | Distributing)
	at("nobody heard", MuxDetached, 0)
	p.says(s.System, s.w.now, 0, base)
	at("heard", MuxWaiting, 0)
	s.tick(aggregateWait - 1)
	at("before the wait is over", MuxWaiting, 0)
	s.tick(1)
	at("waited", MuxAttached, Synchronization)
	p.says(s.System, s.w.now, 0, base|Collecting|Distributing)
	at("collects without sync", MuxAttached, Synchronization)
	p.says(s.System, s.w.now, 0, base|Synchronization)
	at("in sync", MuxCollecting, Synchronization|Collecting)
	s.tick(time.Second)
	p.says(s.System, s.w.now, 0, base|Synchronization|Collecting)
	at("collects", MuxDistributing, Synchronization|Collecting|Distributing)
	s.tick(time.Second)
	p.says(s.System, s.w.now, 0, base|Synchronization)
	at("does not collect any more", MuxCollecting, Synchronization|Collecting)
	s.tick(time.Second)
	p.says(s.System, s.w.now, 0, healthy)
	at("does again", MuxDistributing, Synchronization|Collecting|Distributing)
	s.tick(time.Second)
	p.says(s.System, s.w.now, 0, base)
	at("out of sync", MuxAttached, Synchronization)
	s.tick(time.Second)
	p.Key++
	p.says(s.System, s.w.now, 0, healthy)
	at("another key", MuxWaiting, 0)
}

func TestPortThatIsToStandBy(t *testing.T) {
	s, p := joined(t, 2, func(s *side) { s.ports[1].Standby = false })
	s.ports[1].Standby = true
	out := s.Configure(s.w.now, s.config, s.ports)
	if got := states(t, out, 1); len(got) != 1 || got[0] != healthy&^(Synchronization|Collecting|Distributing) {
		t.Errorf("it said %v", got)
	}
	if got := status(t, s.System, 1); got.Mux != MuxAttached || got.Selected != Standby || got.Why != "stands by" {
		t.Errorf("%v %v %q", got.Mux, got.Selected, got.Why)
	}
	// The roles change: nothing is waited for.
	s.tick(time.Second)
	p[0].says(s.System, s.w.now, 0, healthy)
	p[1].says(s.System, s.w.now, 1, healthy&^(Collecting|Distributing))
	s.tick(time.Second)
	s.ports[0].Standby, s.ports[1].Standby = true, false
	s.apply()
	if got := status(t, s.System, 1).Mux; got != MuxCollecting {
		t.Errorf("the other one is %v", got)
	}
	p[1].says(s.System, s.w.now, 1, healthy)
	if !uses(s.System, 1) {
		t.Errorf("uses %v", distributing(s.System))
	}
}

func TestPortThatLeavesSaysSoAtOnce(t *testing.T) {
	s, _ := joined(t, 2)
	s.ports[1].Leaving = true
	out := s.Configure(s.w.now, s.config, s.ports)
	if got := states(t, out, 1); len(got) != 1 || got[0]&(Synchronization|Collecting|Distributing) != 0 {
		t.Errorf("it said %v", got)
	}
	if got := status(t, s.System, 1); got.Distributing() || got.Why != "leaves" || !uses(s.System, 0) {
		t.Errorf("%v %q, uses %v", got.Mux, got.Why, distributing(s.System))
	}
}

func TestSpeedUnknownForAMomentDoesNotHurt(t *testing.T) {
	// At link-up: the key changes when it becomes known, and the port is selected anew.
	w, a, b := linked(t, 2, func(a, b *side) { a.ports[1].SpeedBps = 0 })
	if got := status(t, a.System, 1).Actor.Key; got != 1 {
		t.Errorf("key %d", got)
	}
	w.run(300 * time.Millisecond)
	a.ports[1].SpeedBps = 1e9
	a.apply()
	agree(t, w, a, b, 3200*time.Millisecond, 0, 1)
	// Later: it is what it was.
	a.ports[1].SpeedBps = 0
	a.apply()
	if !uses(a.System, 0, 1) || status(t, a.System, 1).Actor.Key != 9 {
		t.Errorf("uses %v, key %d", distributing(a.System), status(t, a.System, 1).Actor.Key)
	}
	// And after the link was down for a while.
	w.carrier(1, false)
	w.run(time.Minute)
	w.carrier(1, true)
	if got := status(t, a.System, 1).Actor.Key; got != 9 {
		t.Errorf("key %d after the link came back", got)
	}
	agree(t, w, a, b, 3200*time.Millisecond, 0, 1)
}

func TestOtherSpeedIsAnotherKey(t *testing.T) {
	w, a, b := linked(t, 2)
	agree(t, w, a, b, 4*time.Second, 0, 1)
	speeds(a, 1, 10)
	a.apply()
	w.run(5 * time.Second)
	st := a.Status()
	if st.Ports[0].Actor.Key != 9 || st.Ports[1].Actor.Key != 15 || st.Ports[0].Aggregator == st.Ports[1].Aggregator {
		t.Errorf("%+v", st.Ports)
	}
	if want := "eth0 and eth1 differ in speed (1 Gbit/s and 10 Gbit/s): LACP uses only ports of the same " +
		"speed together"; len(st.Hints) != 1 || st.Hints[0] != want {
		t.Errorf("hints %q", st.Hints)
	}
	if len(distributing(a.System)) != 1 {
		t.Errorf("uses %v", distributing(a.System))
	}
}

func TestUserKeyChangesLive(t *testing.T) {
	w, a, b := linked(t, 2)
	agree(t, w, a, b, 4*time.Second, 0, 1)
	a.config.UserKey = 1023
	a.apply()
	if got := status(t, a.System, 0).Actor.Key; got != 1023<<6|9 {
		t.Errorf("key %d", got)
	}
	agree(t, w, a, b, 4*time.Second, 0, 1)
	a.config.System.MAC++
	a.apply()
	if uses(a.System, 0, 1) {
		t.Error("it goes on under another name as if the partner knew")
	}
	agree(t, w, a, b, contestTime+4*time.Second, 0, 1)
}

func TestKeys(t *testing.T) {
	for _, tt := range []struct {
		user uint16
		bps  uint64
		half bool
		want uint16
	}{
		{0, 0, false, 1}, {0, 1e9, false, 9}, {0, 1e9, true, 8}, {1, 1e9, false, 73},
		{1023, 800e9, false, 1023<<6 | 17<<1 | 1},
		{0, 10e6, false, 5}, {0, 100e6, false, 7}, {0, 2_500e6, false, 11}, {0, 10e9, false, 15}, {0, 25e9, false, 21},
		{0, 40e9, false, 23}, {0, 100e9, false, 29}, {0, 1600e9, false, 35}, {0, 1, false, 3}, {0, 3e9, false, 11},
	} {
		if got := keyOf(tt.user, classOf(tt.bps), tt.half); got != tt.want {
			t.Errorf("user key %d, %d bit/s, half duplex %v: key %d, want %d", tt.user, tt.bps, tt.half, got, tt.want)
		}
		if got := classIn(tt.want); got != classOf(tt.bps) {
			t.Errorf("key %d: class %d, want %d", tt.want, got, classOf(tt.bps))
		}
	}
}

func TestHalfDuplexPortsAreNotUsed(t *testing.T) {
	w, a, b := linked(t, 2, func(a, b *side) { a.ports[1].HalfDuplex = true })
	agree(t, w, a, b, 4*time.Second, 0)
	if got := status(t, a.System, 1); got.Receive != ReceiveLACPDisabled ||
		got.Why != "half duplex: LACP cannot use it" {
		t.Errorf("%v %q", got.Receive, got.Why)
	}
	a.ports[1].HalfDuplex = false
	a.apply()
	agree(t, w, a, b, 4*time.Second, 0, 1)
}

func TestSpeedUnknownForAMomentChangesNoChoice(t *testing.T) {
	w, a, b := linked(t, 3, func(a, b *side) {
		a.config.Select = Bandwidth
		b.ports[2].SpeedBps = 1e8 // another aggregator than that of the first two
	})
	agree(t, w, a, b, 5*time.Second, 0, 1)
	w.run(5 * time.Second)
	a.ports[0].SpeedBps, a.ports[1].SpeedBps = 0, 0
	a.apply()
	if s := status(t, a.System, 2); s.Selected != Standby || !uses(a.System, 0, 1) {
		t.Errorf("port 2 is %v, %v are used", s.Selected, distributing(a.System))
	}
}
