// SPDX-License-Identifier: MIT

package lacp

import (
	"cmp"
	"slices"
	"time"

	"nicteam/internal/frame"
)

// System is one end of the protocol, with all its ports. One goroutine uses it.
//
// Each event first changes the variables of a port (receive.go), or of all (Configure). Then converge runs the
// Selection Logic and the Mux machines until nothing changes, and sends what follows.
type System struct {
	config Config
	memory *Memory   // of the process before, nil none; read only
	began  time.Time // of the first Configure
	now    time.Time // of the last event
	ports  []port    // by ID

	active       int       // number of the active Aggregator, 0 none
	incoming     int       // of the one that replaces it once it works, 0 none
	proven       bool      // the active one has worked
	reported     lag       // of the last note
	blockedSince time.Time // since when the partner uses another Aggregator
	yieldAt      time.Time // when this system follows it

	transaction uint32 // of the last marker
}

// Out is what is due after an event. Send the frames once Status is in force.
type Out struct {
	Send    []Send
	Notes   []Note
	Flushed []int // ports whose last marker was answered: frames sent before it have arrived
}

// Send is a frame to send.
type Send struct {
	Port  int // ID
	Frame []byte
}

// Note is an event for the operator.
type Note struct {
	Kind   NoteKind
	Port   int // ID, -1 none
	Reason string
}

// NoteKind is what a Note is about.
type NoteKind uint8

// The kinds.
const (
	PartnerChanged    NoteKind = iota // of a port: another partner, a silent one, or one that changed its state
	AggregatorChanged                 // another aggregator is active
	Looped                            // a port receives PDUs of its own system
	Contested                         // a working port receives PDUs of another actor than its partner
	Churned                           // a port is not in sync within 60 s, or is again
)

// New returns a system without ports. memory is that of the process before, nil for none: ports of the same names
// resume, if their partners send a PDU within 3 s.
func New(c Config, memory *Memory) *System { return &System{config: c, memory: memory} }

// Configure applies c and ports, which have unique IDs. Ports that are not among them any more send a farewell.
func (s *System) Configure(now time.Time, c Config, ports []PortConfig) Out {
	var out Out
	s.now = now
	if s.began.IsZero() {
		s.began = now
	}
	renamed := c.System != s.config.System
	gone := func(p port) bool {
		return !slices.ContainsFunc(ports, func(q PortConfig) bool { return q.ID == p.ID && q.Name == p.Name })
	}
	for i := range s.ports {
		if gone(s.ports[i]) {
			s.farewell(now, &s.ports[i], &out)
		}
	}
	if s.config.Fast && !c.Fast {
		s.extendTimeouts()
	}
	s.config = c
	s.ports = slices.DeleteFunc(s.ports, gone)
	for _, pc := range ports {
		p := s.port(pc.ID)
		if p == nil {
			s.ports = append(s.ports, port{untried: true})
			p = &s.ports[len(s.ports)-1]
			p.reset()
		} else if renamed {
			p.detach()
		}
		s.configure(now, p, pc)
	}
	slices.SortFunc(s.ports, func(a, b port) int { return cmp.Compare(a.ID, b.ID) })
	s.converge(now, &out)
	return out
}

// configure applies pc to p.
func (s *System) configure(now time.Time, p *port, pc PortConfig) {
	if pc.SpeedBps == 0 {
		pc.SpeedBps = p.SpeedBps // drivers report none while a link comes up
	} else {
		p.class = classOf(pc.SpeedBps)
	}
	p.PortConfig = pc
	if s.config.Passive && !p.partner.State.Has(Activity) {
		p.partner.State &^= Synchronization // as in maintained
	}
	if p.untried && p.enabled() {
		p.untried = false
		if s.resume(now, p) {
			return
		}
	}
	if k := keyOf(s.config.UserKey, p.class, p.HalfDuplex); k != p.key {
		p.key = k
		p.detach()
	}
	p.enable(now)
}

// Receive processes a frame that a port received. Its cost is bounded, whatever the frame.
func (s *System) Receive(now time.Time, port int, b []byte) Out {
	var out Out
	s.now = now
	p := s.port(port)
	if p == nil || !p.enabled() {
		return out
	}
	switch subtype(b) {
	case subtypeLACP:
		d, err := ParsePDU(b)
		if err != nil || d.Actor.System.MAC == 0 || s.checkLoop(now, p, &d, &out) {
			p.counters.Bad++
			return out
		}
		from := frame.MACAt(b, 6)
		foreign, in := p.foreign(&d, from), &p.pdus
		if foreign {
			in = &p.rivals // however many there are, the partner's PDUs are processed
			p.counters.Foreign++
		}
		if !in.Take(now, pduRate) {
			p.counters.Bad++
			return out
		}
		p.counters.PDUsIn++
		if foreign {
			s.contest(now, p, &d, from, &out)
		} else {
			s.recordPDU(now, p, &d, from, &out)
		}
	case subtypeMarker:
		m, err := ParseMarker(b)
		// Our own markers bound the responses to them.
		if err != nil || !s.answersOurs(p, &m) && !p.markers.Take(now, pduRate) {
			p.counters.Bad++
			return out
		}
		s.receiveMarker(now, p, m, &out)
		return out
	default:
		return out // of another slow protocol
	}
	s.converge(now, &out)
	return out
}

// A process that did not run for longer than lateness may have PDUs waiting in its sockets: it processes them before it
// declares a partner silent.
const (
	lateness = 50 * time.Millisecond
	catchUp  = 100 * time.Millisecond
)

// Tick does what is due.
func (s *System) Tick(now time.Time) Out {
	var out Out
	s.now = now
	for i := range s.ports {
		p := &s.ports[i]
		switch at := p.decided(); {
		case at.IsZero() || now.Before(at):
		case now.Sub(at) > lateness:
			p.rival.until = now.Add(catchUp)
		default:
			s.decide(now, p, &out)
		}
		switch {
		case p.expires.IsZero() || now.Before(p.expires):
		case p.heard() && now.Sub(p.expires) > lateness:
			p.expires = now.Add(catchUp)
		default:
			s.expireCurrentWhile(now, p, &out)
		}
	}
	s.converge(now, &out)
	return out
}

// Deadline returns when the next Tick is due, zero for never.
func (s *System) Deadline() time.Time {
	var d time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (d.IsZero() || t.Before(d)) {
			d = t
		}
	}
	for i := range s.ports {
		p := &s.ports[i]
		sooner(p.expires)
		sooner(p.decided())
		sooner(p.actor.until)
		sooner(p.other.until)
		if p.mux == MuxWaiting {
			sooner(s.ready(p))
		}
		sooner(s.nextTransmit(p))
		if at := p.unheardSince.Add(silentHintTime); !p.unheardSince.IsZero() && s.now.Before(at) {
			sooner(at)
		}
	}
	if !s.blockedSince.IsZero() {
		sooner(s.yieldAt)
	}
	if s.awaited(s.now) != 0 {
		sooner(s.began.Add(resumeTime))
	}
	return d
}

// Leave sends a farewell by all ports. The system has no ports then.
func (s *System) Leave(now time.Time) Out {
	var out Out
	s.now = now
	for i := range s.ports {
		s.farewell(now, &s.ports[i], &out)
	}
	s.ports, s.active, s.incoming = nil, 0, 0
	return out
}

// converge does what follows from the state of the ports.
func (s *System) converge(now time.Time, out *Out) {
	// Steps end by themselves; the bound is for the unexpected.
	for range 8 + 8*len(s.ports) {
		changed := s.selection(now)
		for i := range s.ports {
			changed = s.runMux(now, &s.ports[i]) || changed
		}
		if !changed {
			break
		}
	}
	s.noteActive(out)
	for i := range s.ports {
		p := &s.ports[i]
		s.monitor(now, p, out)
		s.transmit(now, p, out)
		switch {
		case !p.enabled() || p.heard():
			p.unheardSince = time.Time{}
		case p.unheardSince.IsZero():
			p.unheardSince = now
		}
	}
}

// port returns the port with that ID, nil if there is none.
func (s *System) port(id int) *port {
	i := slices.IndexFunc(s.ports, func(p port) bool { return p.ID == id })
	if i < 0 {
		return nil
	}
	return &s.ports[i]
}

// note adds a note about a port, as far as noteRate allows.
func (s *System) note(now time.Time, p *port, out *Out, k NoteKind, reason string) {
	if p.notes.Take(now, noteRate) {
		out.Notes = append(out.Notes, Note{Kind: k, Port: p.ID, Reason: reason})
	}
}
