// SPDX-License-Identifier: MIT

package lacp

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"nicteam/internal/frame"
)

// forgeries are PDUs of others than the partner of a port in order, as close to it as they may be.
var forgeries = []struct {
	name  string
	forge func(d *PDU, src *frame.MAC)
}{
	{"another system", func(d *PDU, _ *frame.MAC) { d.Actor.System.MAC = 0x02dd00000001 }},
	{"a better system", func(d *PDU, _ *frame.MAC) { d.Actor.System = SystemID{Priority: 1, MAC: 0x000000000001} }},
	{"another priority of the system", func(d *PDU, _ *frame.MAC) { d.Actor.System.Priority++ }},
	{"another key", func(d *PDU, _ *frame.MAC) { d.Actor.Key++ }},
	{"another port", func(d *PDU, _ *frame.MAC) { d.Actor.Port++ }},
	{"another priority of the port", func(d *PDU, _ *frame.MAC) { d.Actor.PortPriority-- }},
	{"one that is individual", func(d *PDU, _ *frame.MAC) { d.Actor.State &^= Aggregation }},
	{"one that knows nobody", func(d *PDU, _ *frame.MAC) {
		d.Actor.Key++
		d.Actor.State, d.Partner = Activity|Aggregation|Defaulted, Info{}
	}},
	{"the partner out of sync, from elsewhere", func(d *PDU, src *frame.MAC) {
		d.Actor.State &^= Synchronization | Collecting | Distributing
		*src = 0x02dd00000002
	}},
	{"the partner that expired, from elsewhere", func(d *PDU, src *frame.MAC) {
		d.Actor.State |= Expired
		*src = 0x02dd00000002
	}},
	{"the partner that knows somebody else, from elsewhere", func(d *PDU, src *frame.MAC) {
		d.Partner.System.MAC++
		*src = 0x02dd00000002
	}},
	{"ourselves", func(d *PDU, _ *frame.MAC) { d.Actor, d.Partner = d.Partner, d.Actor }},
	{"another port of ours", func(d *PDU, _ *frame.MAC) { d.Actor = d.Partner; d.Actor.Port++ }},
	{"nobody", func(d *PDU, _ *frame.MAC) { d.Actor = Info{} }},
}

// forged is a frame like the last one of the other end, changed. from is whose address it has, 0 the other end's.
func (w *wire) forged(port int, forge func(d *PDU, src *frame.MAC), from frame.MAC) []byte {
	d, src := w.last(1, port), mac(1, port)
	forge(&d, &src)
	if from != 0 {
		src = from
	}
	return d.Frame(src)
}

// A frame of another actor costs a port in order nothing, at whatever rate the two ends speak, also if it comes now and
// then, and each second.
func TestForgedPDUsCostNothing(t *testing.T) {
	for _, fast := range []bool{true, false} {
		for _, gap := range []time.Duration{0, 20 * time.Second, time.Second, 10 * time.Millisecond} {
			for _, f := range forgeries {
				t.Run(fmt.Sprintf("fast %v/each %v/%s", fast, gap, f.name), func(t *testing.T) {
					w, a, b := linked(t, 2)
					for _, s := range []*side{a, b} {
						s.config.Fast = fast
						s.apply()
					}
					agree(t, w, a, b, 5*time.Second, 0, 1)
					w.run(2 * time.Minute)
					w.notes, w.after = [2][]Note{}, func() {
						if !uses(a.System, 0, 1) || !uses(b.System, 0, 1) {
							t.Fatalf("%v after it began: %v and %v", w.now.Sub(start), distributing(a.System),
								distributing(b.System))
						}
					}
					began := w.now
					for first := true; first || gap > 0 && w.now.Sub(began) < 100*time.Second; first = false {
						w.take(0, a.Receive(w.now, 1, w.forged(1, f.forge, 0x02dd00000002)))
						w.run(max(gap, time.Millisecond))
					}
					w.run(2 * time.Minute)
					for _, n := range w.notes[0] {
						if n.Kind != Contested && n.Kind != Looped {
							t.Errorf("noted %+v", n)
						}
					}
					w.checkPace()
				})
			}
		}
	}
}

// Who has the partner's own address as well may have it not be used for as long as an answer takes, by saying that it
// takes nothing in, and no more than that: the port stays in its aggregator.
func TestForgedPDUsOfThePartnerItself(t *testing.T) {
	for _, fast := range []bool{true, false} {
		for _, f := range forgeries {
			t.Run(fmt.Sprintf("fast %v/%s", fast, f.name), func(t *testing.T) {
				w, a, b := linked(t, 2)
				for _, s := range []*side{a, b} {
					s.config.Fast = fast
					s.apply()
				}
				agree(t, w, a, b, 5*time.Second, 0, 1)
				w.run(2 * time.Minute)
				w.after = func() {
					if p := a.port(1); p.mux < MuxAttached || p.selected != InUse ||
						!uses(b.System, 0) && !uses(b.System, 0, 1) {
						t.Fatalf("%+v", status(t, a.System, 1))
					}
				}
				for range 30 {
					w.take(0, a.Receive(w.now, 1, w.forged(1, f.forge, 0)))
					w.run(3 * w.delay * 2)
					if !uses(a.System, 0, 1) || !uses(b.System, 0, 1) {
						t.Fatalf("%v and %v after the partner could have answered", distributing(a.System),
							distributing(b.System))
					}
					w.run(2 * time.Second)
				}
			})
		}
	}
}

// One that speaks once, with a partner that is asked and does not answer, is still no reason: the partner has all the
// time that it had.
func TestForgedPDUWithASlowPartner(t *testing.T) {
	s, p := joined(t, 1, func(s *side) { s.config.Fast = false })
	forger := *p[0]
	forger.System.MAC++
	forger.says(s.System, s.w.now, 0, healthy)
	s.tick(longTimeout - 1)
	if !uses(s.System, 0) {
		t.Errorf("%+v", status(t, s.System, 0))
	}
	s.tick(1)
	if got := status(t, s.System, 0); got.Receive != ReceiveExpired {
		t.Errorf("a partner that is silent for 90 s: %+v", got)
	}
}

// Who takes the partner's place is heard, within contestTime, and a farewell, a restart and all else that the partner
// itself says at once.
func TestNewPartnerIsHeardInTime(t *testing.T) {
	for _, fast := range []bool{true, false} {
		for _, f := range forgeries[:7] {
			t.Run(fmt.Sprintf("fast %v/%s", fast, f.name), func(t *testing.T) {
				s, p := joined(t, 2, func(s *side) { s.config.Fast = fast })
				d := PDU{Actor: p[1].Info}
				f.forge(&d, new(frame.MAC))
				now := *p[1]
				now.Info = d.Actor
				took := time.Duration(-1)
				for at := time.Duration(0); at <= contestTime && took < 0; at += 500 * time.Millisecond {
					p[0].says(s.System, s.w.now, 0, healthy)
					now.says(s.System, s.w.now, 1, now.State&^(Synchronization|Collecting|Distributing))
					if s.tick(500 * time.Millisecond); !different(&s.port(1).partner, &now.Info) {
						took = at
					}
				}
				if took < 0 {
					t.Errorf("after %v the partner is %+v", contestTime, s.port(1).partner)
				}
				if u := distributing(s.System); len(u) != 1 || u[0] != 0 {
					t.Errorf("uses %v", u)
				}
			})
		}
	}
	s, p := joined(t, 2)
	if p[1].says(s.System, s.w.now, 1, healthy&^(Synchronization|Collecting|Distributing)); !uses(s.System, 0) {
		t.Errorf("after a farewell %v", distributing(s.System))
	}
}

// A partner that gets another system identifier, as a bond or a virtual switch does whose MAC changes, and therefore no
// longer collects, gets no frames from that moment on, and is used again as soon as it agrees.
func TestPartnerWithAnotherSystem(t *testing.T) {
	s, p := joined(t, 2)
	for _, other := range p {
		other.System.MAC++
	}
	p[1].says(s.System, s.w.now, 1, healthy&^(Synchronization|Collecting|Distributing))
	if u := distributing(s.System); len(u) != 1 || u[0] != 0 {
		t.Errorf("after one that does not collect says so: %v distribute", u)
	}
	for range 8 {
		s.tick(time.Second)
		for i := range p {
			p[i].says(s.System, s.w.now, i, healthy)
		}
	}
	if u := distributing(s.System); len(u) != 2 {
		t.Errorf("%v distribute after both agree", u)
	}
}

// The same with two systems of ours: neither sends by a port on which the other one does not collect, for longer than a
// PDU is under way.
func TestSystemChanges(t *testing.T) {
	for _, fast := range []bool{true, false} {
		w, a, b := linked(t, 2)
		for _, s := range []*side{a, b} {
			s.config.Fast = fast
			s.apply()
		}
		agree(t, w, a, b, 5*time.Second, 0, 1)
		w.run(2 * time.Minute)
		since := map[int]time.Time{}
		w.after = func() {
			for _, id := range []int{0, 1} {
				if !slices.Contains(distributing(a.System), id) || b.port(id).mux >= MuxCollecting {
					delete(since, id)
				} else if since[id].IsZero() {
					since[id] = w.now
				} else if lost := w.now.Sub(since[id]); lost > 3*w.delay {
					t.Fatalf("fast %v: port %d sends for %v to one that does not collect", fast, id, lost)
				}
			}
		}
		b.config.System.MAC++
		b.apply()
		agree(t, w, a, b, 10*time.Second, 0, 1)
	}
}

// A partner whose address changes is the partner still, and nothing is lost by it.
func TestPartnerWithAnotherAddress(t *testing.T) {
	w, a, b := linked(t, 2)
	agree(t, w, a, b, 5*time.Second, 0, 1)
	w.run(10 * time.Second)
	w.after = func() {
		if !uses(a.System, 0, 1) || !uses(b.System, 0, 1) {
			t.Fatalf("%v and %v", distributing(a.System), distributing(b.System))
		}
	}
	b.ports[1].MAC += 0x1000
	b.apply()
	w.run(time.Minute)
	if got := a.port(1).from; got != b.ports[1].MAC {
		t.Errorf("it is known by %v", got)
	}
}

// What floods a port in other names does not keep its partner from being heard.
func TestFloodOfRivalsDoesNotSilenceThePartner(t *testing.T) {
	s, p := joined(t, 1)
	forger := *p[0]
	for range 30 {
		p[0].says(s.System, s.w.now, 0, healthy)
		for i := range 1000 {
			forger.System.MAC = frame.MAC(0x02dd00000000 + i)
			forger.says(s.System, s.w.now, 0, healthy)
		}
		if s.tick(time.Second); !uses(s.System, 0) {
			t.Fatalf("%+v", status(t, s.System, 0))
		}
	}
	if c := status(t, s.System, 0).Counters; c.Foreign != 30_000 || c.Bad == 0 {
		t.Errorf("counted %+v", c)
	}
}
