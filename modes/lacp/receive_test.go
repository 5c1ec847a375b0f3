// SPDX-License-Identifier: MIT

package lacp

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReceiveMachine(t *testing.T) {
	s := alone(1)
	at := func(want Receive, flags State) {
		t.Helper()
		got := status(t, s.System, 0)
		if got.Receive != want || got.Actor.State&(Defaulted|Expired) != flags {
			t.Errorf("at %v: %v with %v, want %v with %v", s.w.now.Sub(start), got.Receive, got.Actor.State.Names(),
				want, flags.Names())
		}
	}
	p := newPartner(0)
	at(ReceiveExpired, Defaulted|Expired)
	s.tick(shortTimeout)
	at(ReceiveDefaulted, Defaulted)
	p.says(s.System, s.w.now, 0, healthy)
	at(ReceiveCurrent, 0)
	s.tick(shortTimeout - 1)
	at(ReceiveCurrent, 0)
	s.tick(1)
	at(ReceiveExpired, Expired)
	if got := status(t, s.System, 0).Partner; got.Key != p.Key ||
		got.State&(Synchronization|ShortTimeout) != ShortTimeout {
		t.Errorf("the partner that fell silent is %+v", got)
	}
	p.says(s.System, s.w.now, 0, healthy)
	at(ReceiveCurrent, 0)
	s.tick(2 * shortTimeout)
	at(ReceiveDefaulted, Defaulted)
	if got := status(t, s.System, 0).Partner; got != defaultPartner {
		t.Errorf("after both timeouts the partner is %+v", got)
	}
	s.ports[0].Up = false
	s.apply()
	at(ReceivePortDisabled, Defaulted)
	s.ports[0].Up, s.ports[0].HalfDuplex = true, true
	s.apply()
	at(ReceiveLACPDisabled, Defaulted)
	if st := status(t, s.System, 0).Actor.State; st.Has(Aggregation) {
		t.Errorf("a half-duplex port says it could be aggregated: %v", st.Names())
	}
	s.ports[0].HalfDuplex = false
	s.apply()
	at(ReceiveExpired, Defaulted|Expired)
}

func TestSlowPartnerHas90Seconds(t *testing.T) {
	s := alone(1, func(s *side) { s.config.Fast = false })
	newPartner(0).says(s.System, s.w.now, 0, healthy)
	s.tick(longTimeout - 1)
	if got := status(t, s.System, 0).Receive; got != ReceiveCurrent {
		t.Errorf("before 90 s: %v", got)
	}
	s.tick(1)
	if got := status(t, s.System, 0); got.Receive != ReceiveExpired || got.Why != "partner silent for 90 s" {
		t.Errorf("after 90 s: %v, %s", got.Receive, got.Why)
	}
}

func TestProcessThatWasStoppedHearsBeforeItJudges(t *testing.T) {
	s, p := joined(t, 2)
	s.w.now = s.w.now.Add(10 * time.Second)
	if out := s.Tick(s.w.now); len(out.Notes) > 0 || !uses(s.System, 0, 1) {
		t.Errorf("uses %v, notes %v", distributing(s.System), out.Notes)
	}
	p[0].says(s.System, s.w.now, 0, healthy)
	if s.tick(catchUp); !uses(s.System, 0) {
		t.Errorf("uses %v", distributing(s.System))
	}
}

func TestPartnerIsInSyncOnlyIfItKnowsUs(t *testing.T) {
	s := alone(1)
	me := status(t, s.System, 0).Actor
	for _, tt := range []struct {
		name   string
		change func(p *partner)
		want   bool
	}{
		{"as we are", func(*partner) {}, true},
		{"not in sync", func(p *partner) { p.State &^= Synchronization }, false},
		{"another system", func(p *partner) { p.view.System.MAC++ }, false},
		{"another system priority", func(p *partner) { p.view.System.Priority++ }, false},
		{"another key", func(p *partner) { p.view.Key++ }, false},
		{"another port", func(p *partner) { p.view.Port++ }, false},
		{"another port priority", func(p *partner) { p.view.PortPriority++ }, false},
		{"not aggregatable", func(p *partner) { p.view.State &^= Aggregation }, false},
		{"individual, knows nobody", func(p *partner) { p.State &^= Aggregation; p.view = Info{} }, true},
		{"passive, and thinks that we are", func(p *partner) {
			p.State &^= Activity
			p.view.State &^= Activity
		}, false},
		{"passive, and we speak", func(p *partner) { p.State &^= Activity }, true},
	} {
		s.w.now = s.w.now.Add(time.Second)
		p := newPartner(0)
		p.State, p.echo, p.view = healthy, false, me
		tt.change(p)
		p.says(s.System, s.w.now, 0, p.State)
		if got := status(t, s.System, 0).Partner.State.Has(Synchronization); got != tt.want {
			t.Errorf("%s: in sync %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestPartnerThatKnowsUsWronglyIsToldAtOnce(t *testing.T) {
	s, p := joined(t, 1)
	me := status(t, s.System, 0).Actor
	for _, tt := range []struct {
		name   string
		change func(i *Info)
		want   int
	}{
		{"rightly", func(*Info) {}, 0},
		{"system", func(i *Info) { i.System.MAC++ }, 1},
		{"key", func(i *Info) { i.Key++ }, 1},
		{"port", func(i *Info) { i.Port++ }, 1},
		{"priority", func(i *Info) { i.PortPriority++ }, 1},
		{"activity", func(i *Info) { i.State ^= Activity }, 1},
		{"timeout", func(i *Info) { i.State ^= ShortTimeout }, 1},
		{"aggregation", func(i *Info) { i.State ^= Aggregation }, 1},
		{"synchronization", func(i *Info) { i.State ^= Synchronization }, 1},
		{"collecting", func(i *Info) { i.State ^= Collecting }, 1},
		{"distributing", func(i *Info) { i.State ^= Distributing }, 0},
	} {
		p[0].echo = true
		p[0].says(s.System, s.w.now, 0, healthy)
		s.tick(2500 * time.Millisecond)
		p[0].echo, p[0].view = false, me
		tt.change(&p[0].view)
		if got := len(p[0].says(s.System, s.w.now, 0, healthy).Send); got != tt.want {
			t.Errorf("%s: %d PDUs at once, want %d", tt.name, got, tt.want)
		}
	}
}

func TestOwnSystemIsALoopAndChangesNothing(t *testing.T) {
	s, _ := joined(t, 2)
	loop := &partner{Info: status(t, s.System, 1).Actor, echo: true}
	before := s.Status()
	loop.says(s.System, s.w.now, 0, healthy)
	if got := s.Status(); got.Hints != nil {
		t.Errorf("after one: hints %q", got.Hints)
	}
	out := loop.says(s.System, s.w.now, 0, healthy)
	if want := []Note{{Kind: Looped, Port: 0,
		Reason: "it hears its own system: its link is a loop, or leads to another port of this team"}}; !cmp.Equal(
		out.Notes, want) || len(out.Send) > 0 {
		t.Errorf("notes %v, %d frames", out.Notes, len(out.Send))
	}
	after := s.Status()
	if len(after.Hints) != 1 {
		t.Errorf("hints %q", after.Hints)
	}
	after.Hints = before.Hints
	after.Ports[0].Counters = before.Ports[0].Counters
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("it changed something (-was +is):\n%s", d)
	}
	if out := loop.says(s.System, s.w.now, 0, healthy); len(out.Notes) > 0 {
		t.Errorf("noted twice in a minute: %v", out.Notes)
	}
	s.tick(time.Minute)
	loop.says(s.System, s.w.now, 0, healthy)
	if out := loop.says(s.System, s.w.now, 0, healthy); len(out.Notes) != 1 {
		t.Errorf("not noted again after a minute: %v", out.Notes)
	}
	if got := status(t, s.System, 0).Why; got != "hears its own system" {
		t.Errorf("why: %q", got)
	}
}

func TestCableBetweenTwoOwnPortsIsALoop(t *testing.T) {
	a := newSide(0, 2)
	w := newWire(t, a, nil)
	a.w = w
	a.apply()
	// What leaves by one port comes in by the other.
	for range 200 {
		w.until(100*time.Millisecond, func() bool { return len(w.flying) > 0 })
		for _, f := range w.flying {
			w.take(0, a.Receive(w.now, 1-f.port, f.b))
		}
		w.flying = nil
	}
	st := a.Status()
	if st.Active != 0 || st.Ports[0].Mux != MuxDetached || st.Ports[0].Receive != ReceiveDefaulted {
		t.Errorf("%+v", st)
	}
	if len(st.Hints) != 1 {
		t.Errorf("hints %q", st.Hints)
	}
	w.checkPace()
}

func TestPDUsWithoutCarrierAreIgnored(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(*PortConfig)
	}{
		{"no carrier", func(c *PortConfig) { c.Up = false }},
		{"half duplex", func(c *PortConfig) { c.HalfDuplex = true }},
	} {
		s := alone(1, func(s *side) { tt.set(&s.ports[0]) })
		before := s.Status()
		out := newPartner(0).says(s.System, s.w.now, 0, healthy)
		if d := cmp.Diff(before, s.Status()); d != "" || len(out.Send)+len(out.Notes) > 0 {
			t.Errorf("%s: %+v\n%s", tt.name, out, d)
		}
		if got := s.tick(time.Minute); len(got.Send) > 0 {
			t.Errorf("%s: %d frames sent", tt.name, len(got.Send))
		}
	}
}

func TestAtMostTenPDUsASecondAreProcessed(t *testing.T) {
	s := alone(1)
	p := newPartner(0)
	// The worst window: silence before, then a flood.
	s.tick(10 * time.Second)
	p.says(s.System, s.w.now, 0, healthy)
	s.tick(10 * time.Second)
	const flood = 100_000
	before := status(t, s.System, 0).Counters
	sent := 0
	for i := range flood {
		at := s.w.now.Add(time.Duration(i) * time.Second / flood)
		p.Key = uint16(i) // each one would change everything
		sent += len(p.says(s.System, at, 0, healthy).Send)
	}
	after := status(t, s.System, 0).Counters
	if in := after.PDUsIn - before.PDUsIn; in == 0 || in > 10 {
		t.Errorf("%d PDUs processed in a second", in)
	}
	if bad := after.Bad - before.Bad; bad < flood-10 {
		t.Errorf("%d counted as bad", bad)
	}
	if sent > 3 {
		t.Errorf("%d PDUs sent", sent)
	}
}

func TestMalformedFramesAreCountedAndChangeNothing(t *testing.T) {
	s, p := joined(t, 1)
	d := PDU{Version: 1, Actor: p[0].Info, Partner: status(t, s.System, 0).Actor}
	good := d.Frame(1)
	zero := d
	zero.Actor.System.MAC = 0
	for name, b := range map[string][]byte{
		"length of the actor":   changed(good, 17, 19),
		"length of the partner": changed(good, 37, 255),
		"collector":             changed(good, 57, 0),
		"short":                 good[:100],
		"system 0":              zero.Frame(1),
		"marker":                changed(good, 14, subtypeMarker),
	} {
		before := s.Status()
		out := s.Receive(s.w.now, 0, b)
		after := s.Status()
		if after.Ports[0].Counters.Bad != before.Ports[0].Counters.Bad+1 {
			t.Errorf("%s: counters %+v", name, after.Ports[0].Counters)
		}
		after.Ports[0].Counters = before.Ports[0].Counters
		if diff := cmp.Diff(before, after); diff != "" || len(out.Send)+len(out.Notes)+len(out.Flushed) > 0 {
			t.Errorf("%s: %+v\n%s", name, out, diff)
		}
	}
}

// changed is a copy of b with one octet changed.
func changed(b []byte, at int, v byte) []byte {
	c := append([]byte(nil), b...)
	c[at] = v
	return c
}

// Also where it stood still for so short a time that the partner noticed nothing.
func TestProcessThatWasStoppedForAMomentHearsBeforeItJudges(t *testing.T) {
	w, a, b := linked(t, 2)
	agree(t, w, a, b, 5*time.Second, 0, 1)
	for i := range a.System.ports {
		w.now = later(w.now, a.System.ports[i].expires)
	}
	w.now = w.now.Add(2 * lateness)
	if w.take(0, a.Tick(w.now)); !uses(a.System, 0, 1) {
		t.Errorf("uses %v", distributing(a.System))
	}
	if w.take(0, a.Tick(w.now.Add(catchUp))); len(distributing(a.System)) != 0 {
		t.Errorf("goes on with %v", distributing(a.System))
	}
}
