// SPDX-License-Identifier: MIT

package lacp

import (
	"testing"
	"time"

	"nicteam/internal/frame"
)

// partner plays the other end of one port by hand.
type partner struct {
	Info
	echo bool // shows the port as it is; else as last said
	view Info
}

// newPartner is an active partner that is ready to aggregate and wants a PDU a second.
func newPartner(port int) *partner {
	return &partner{echo: true, Info: Info{
		System: SystemID{Priority: 32768, MAC: 0x02cc00000001}, Key: 7, PortPriority: 128, Port: uint16(100 + port),
		State: Activity | ShortTimeout | Aggregation,
	}}
}

// healthy is the state of a partner that does all it can.
const healthy = Activity | ShortTimeout | Aggregation | Synchronization | Collecting | Distributing

// says has a partner say a state to a port.
func (p *partner) says(s *System, now time.Time, port int, state State) Out {
	p.State = state
	if p.echo {
		p.view = s.actorOf(s.port(port))
	}
	d := PDU{Version: 1, Actor: p.Info, Partner: p.view}
	return s.Receive(now, port, d.Frame(0x02cc00000100|frame.MAC(port)))
}

// alone is a System of ours with n ports without anybody at the other end.
func alone(n int, change ...func(*side)) *side {
	s := newSide(0, n)
	s.w = &wire{now: start}
	for _, f := range change {
		f(s)
	}
	s.apply()
	return s
}

// tick lets time pass for a System alone, and returns all that it did meanwhile.
func (s *side) tick(d time.Duration) Out {
	var all Out
	until := s.w.now.Add(d)
	for {
		at := s.Deadline()
		if at.IsZero() || at.After(until) {
			break
		}
		if at.After(s.w.now) {
			s.w.now = at
		}
		out := s.Tick(s.w.now)
		all.Send = append(all.Send, out.Send...)
		all.Notes = append(all.Notes, out.Notes...)
	}
	s.w.now = until
	return all
}

// joined is a System alone whose n ports are all in use with partners that speak each second while time passes.
func joined(t *testing.T, n int, change ...func(*side)) (*side, []*partner) {
	t.Helper()
	s := alone(n, change...)
	partners := make([]*partner, n)
	for i := range partners {
		partners[i] = newPartner(i)
		partners[i].says(s.System, s.w.now, i, healthy&^(Collecting|Distributing))
	}
	s.tick(aggregateWait)
	for i, p := range partners {
		p.says(s.System, s.w.now, i, healthy)
		if got := status(t, s.System, i); got.Mux != MuxDistributing {
			t.Fatalf("port %d is %v: %s", i, got.Mux, got.Why)
		}
	}
	return s, partners
}

// states are the Actor states of the LACPDUs in out that went out by a port.
func states(t *testing.T, out Out, port int) []State {
	t.Helper()
	var all []State
	for _, f := range out.Send {
		if f.Port != port {
			continue
		}
		if d, err := ParsePDU(f.Frame); err == nil {
			all = append(all, d.Actor.State)
		}
	}
	return all
}
