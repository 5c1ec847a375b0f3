// SPDX-License-Identifier: MIT

package lacp

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// kept is a Memory as the next process reads it.
func kept(t *testing.T, s *System) *Memory {
	t.Helper()
	b, err := json.Marshal(s.Memory())
	if err != nil {
		t.Fatal(err)
	}
	m := new(Memory)
	if err := json.Unmarshal(b, m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRestartIsNotNoticedByThePartner(t *testing.T) {
	for _, fast := range []bool{true, false} {
		w, a, b := linked(t, 3, bySpeed(Stable, 1, 1, 1), func(a, b *side) {
			a.config.Fast, b.config.Fast = fast, fast
		})
		agree(t, w, a, b, 4*time.Second, 0, 1, 2)
		w.run(time.Minute)
		notes := len(w.notes[1])
		w.after = func() {
			if !uses(b.System, 0, 1, 2) || !uses(a.System, 0, 1, 2) {
				t.Fatalf("fast %v: at %v: %v %v", fast, w.now.Sub(start), distributing(a.System),
					distributing(b.System))
			}
		}
		for i := range 12 {
			m := kept(t, a.System)
			w.run(time.Duration(i) * 170 * time.Millisecond) // nobody is there
			since := w.now
			before := a.Status()
			if i%2 == 1 {
				speeds(a, 0, 0, 0) // not read yet
			}
			a.restart(m)
			for p := range 3 {
				if w.count(0, p, since) != 1 || !w.last(0, p).Actor.State.Has(ShortTimeout) {
					t.Errorf("fast %v: port %d does not ask for a quick answer: %+v", fast, p, w.last(0, p))
				}
			}
			after := a.Status()
			for p := range before.Ports {
				x, y := &before.Ports[p], &after.Ports[p]
				if x.Actor.State|ShortTimeout != y.Actor.State || x.Partner != y.Partner ||
					x.Aggregator != y.Aggregator || x.Mux != y.Mux || x.Actor.Key != y.Actor.Key {
					t.Errorf("fast %v: port %d was %+v\nand is %+v", fast, p, x, y)
				}
			}
			w.run(5 * time.Second)
			speeds(a, 1, 1, 1)
			a.apply()
		}
		w.run(3 * time.Minute)
		if got := w.notes[1][notes:]; len(got) > 0 {
			t.Errorf("fast %v: the partner noticed: %v", fast, got)
		}
		if got := a.Memory(); !cmp.Equal(got, *kept(t, a.System)) {
			t.Errorf("memory %+v", got)
		}
	}
}

func TestRestartWithAStandbyAggregator(t *testing.T) {
	w, a, b := linked(t, 3, bySpeed(Stable, 1, 1, 10))
	agree(t, w, a, b, 4*time.Second, 2)
	w.run(5 * time.Second)
	m := kept(t, a.System)
	before := a.Status()
	a.restart(m)
	if after := a.Status(); after.Active != before.Active || after.Ports[0].Mux != MuxAttached ||
		after.Ports[0].Aggregator != before.Ports[0].Aggregator {
		t.Errorf("was %+v\nis %+v", before, after)
	}
	w.run(5 * time.Second)
	w.carrier(2, false)
	agree(t, w, a, b, time.Second, 0, 1)
}

// TestPortsComeBackOneByOne: carriers are known one after the other, and that of a port that stood by first. What is in
// use stays in use.
func TestPortsComeBackOneByOne(t *testing.T) {
	for _, policy := range []Select{Stable, Bandwidth, Count, PortPriority} {
		w, a, b := linked(t, 4, bySpeed(policy, 1, 10, 10, 10))
		agree(t, w, a, b, 4*time.Second, 1, 2, 3)
		w.run(5 * time.Second)
		m := kept(t, a.System)
		was := a.Status().Active
		for i := range a.ports {
			a.ports[i].Up = false
		}
		a.restart(m)
		w.after = func() {
			if !uses(b.System, 1, 2, 3) {
				t.Fatalf("%v: the partner uses %v", policy, distributing(b.System))
			}
		}
		for i := range a.ports {
			a.ports[i].Up = true
			a.apply()
			w.run(time.Millisecond)
		}
		if got := a.Status().Active; got != was || !uses(a.System, 1, 2, 3) {
			t.Errorf("%v: aggregator %d was active, %d is with %v", policy, was, got, distributing(a.System))
		}
		w.run(5 * time.Second)
	}
}

// TestOtherPortsServeWhereNoneComesBack: what is awaited is not for ever.
func TestOtherPortsServeWhereNoneComesBack(t *testing.T) {
	w, a, b := linked(t, 2, bySpeed(Stable, 1, 10))
	agree(t, w, a, b, 4*time.Second, 1)
	w.run(5 * time.Second)
	m := kept(t, a.System)
	w.carrier(1, false)
	a.restart(m)
	if took := w.until(4*time.Second, func() bool { return uses(a.System, 0) }); took > 1100*time.Millisecond {
		t.Errorf("after %v", took)
	}
}

func TestPartnerThatIsGoneIsNoticedAfterARestart(t *testing.T) {
	w, a, b := linked(t, 2, func(a, b *side) { a.config.Fast, b.config.Fast = false, false })
	agree(t, w, a, b, 4*time.Second, 0, 1)
	w.run(time.Minute)
	w.drop = func(from, port int, _ []byte) bool { return port == 1 }
	a.restart(kept(t, a.System))
	if took := w.until(4*time.Second, func() bool { return uses(a.System, 0) }); took > 3100*time.Millisecond {
		t.Errorf("noticed after %v", took)
	}
}

func TestWhatIsNotRememberedStartsAnew(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(s *side, m *Memory)
	}{
		{"another name", func(s *side, _ *Memory) { s.ports[0].Name = "other" }},
		{"another number", func(s *side, _ *Memory) { s.ports[0].Number = 9 }},
		{"another user key", func(s *side, _ *Memory) { s.config.UserKey = 3 }},
		{"another speed", func(s *side, _ *Memory) { s.ports[0].SpeedBps = 10e9 }},
		{"a number that another one has", func(s *side, m *Memory) {
			m.Ports = append([]PortMemory{m.Ports[0]}, m.Ports...)
			m.Ports[0].Name, m.Ports[0].Partner.Key = "eth1", 77
			s.ports = append([]PortConfig{s.ports[0]}, s.ports...)
			s.ports[0].ID, s.ports[0].Name = 1, "eth1"
		}},
		{"another system", func(s *side, _ *Memory) { s.config.System.MAC++ }},
		{"half duplex", func(s *side, _ *Memory) { s.ports[0].HalfDuplex = true }},
		{"no carrier", func(s *side, _ *Memory) { s.ports[0].Up = false }},
		{"nobody was heard", func(_ *side, m *Memory) { m.Ports[0].Heard = false }},
		{"no aggregator", func(_ *side, m *Memory) { m.Ports[0].Aggregator = 0 }},
		{"nonsense", func(_ *side, m *Memory) { m.Ports[0].Mux = 77 }},
		{"its own system", func(_ *side, m *Memory) { m.Ports[0].Partner.System = m.System }},
	} {
		w, a, b := linked(t, 1)
		agree(t, w, a, b, 4*time.Second, 0)
		m := kept(t, a.System)
		tt.change(a, m)
		a.restart(m)
		if got := status(t, a.System, 0); got.Mux != MuxDetached || got.Aggregator != 0 {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

func TestRestartInTheMiddleOfAChangeOver(t *testing.T) {
	m := &Memory{System: newSide(0, 2).config.System}
	for i, mux := range []Mux{MuxCollecting, MuxDistributing} {
		p := newPartner(i)
		p.Key, p.State = uint16(i), healthy
		m.Ports = append(m.Ports, PortMemory{Name: []string{"eth0", "eth1"}[i], Number: uint16(i + 1), Key: 9,
			Aggregator: 7 + i, Mux: mux, Selected: true, Heard: true, Partner: p.Info})
	}
	s := alone(2, func(s *side) { s.System = New(s.config, m) })
	if st := s.Status(); st.Active != 8 || !uses(s.System, 1) {
		t.Errorf("%+v", st)
	}
}

func TestCarrierMayBeSeenALittleLater(t *testing.T) {
	w, a, b := linked(t, 1)
	agree(t, w, a, b, 4*time.Second, 0)
	m := kept(t, a.System)
	a.ports[0].Up = false
	a.restart(m)
	w.run(500 * time.Millisecond)
	a.ports[0].Up = true
	a.apply()
	if !uses(a.System, 0) {
		t.Errorf("%+v", status(t, a.System, 0))
	}
	// It went down: what was remembered is not true any more.
	a.ports[0].Up = false
	a.apply()
	a.ports[0].Up = true
	a.apply()
	if uses(a.System, 0) {
		t.Error("a port that was down goes on as if it had not been")
	}
}

func TestIdentityNeverChanges(t *testing.T) {
	w, a, b := linked(t, 3)
	agree(t, w, a, b, 4*time.Second, 0, 1, 2)
	before := a.Status()
	// The first member leaves, another one's MAC changes.
	a.ports[2].MAC = 0x020000009999
	a.ports = a.ports[1:]
	a.apply()
	w.run(10 * time.Second)
	after := a.Status()
	if after.System != before.System {
		t.Errorf("system %v, was %v", after.System, before.System)
	}
	for i := range after.Ports {
		x, y := before.Ports[i+1].Actor, after.Ports[i].Actor
		if x.Key != y.Key || x.Port != y.Port || x.System != y.System {
			t.Errorf("port %+v, was %+v", y, x)
		}
	}
	if !uses(a.System, 1, 2) || !uses(b.System, 1, 2) {
		t.Errorf("uses %v and %v", distributing(a.System), distributing(b.System))
	}
}

func TestPartnerThatWasResetHealsWithinTwoTimeouts(t *testing.T) {
	for _, fast := range []bool{true, false} {
		w, a, b := linked(t, 2, func(a, b *side) { a.config.Fast, b.config.Fast = fast, fast })
		for i := range 10 {
			agree(t, w, a, b, 2*shortTimeout, 0, 1)
			w.run(20*time.Second + time.Duration(i)*311*time.Millisecond)
			b.restart(nil)
		}
		w.checkPace()
	}
}

func TestMemoryKnowsNumbersAndMAC(t *testing.T) {
	var none *Memory
	m := &Memory{System: SystemID{MAC: 5}, Ports: []PortMemory{{Name: "eth1", Number: 7}}}
	if none.Own("eth1") != 0 || none.MAC() != 0 || m.Own("eth1") != 7 || m.Own("eth2") != 0 || m.MAC() != 5 {
		t.Error("wrong")
	}
}
