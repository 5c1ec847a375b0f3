package lacp

import (
	"cmp"
	"slices"
	"time"

	"nicteam/internal/frame"
)

// System is one end of the protocol, with all its ports. One goroutine uses it.
//
// Whatever happens first changes the variables of a port (receive.go), or of all (Configure); then settle runs the
// Selection Logic and the Mux machines until nothing changes any more, and sends what follows from it.
type System struct {
	config Config
	memory *Memory   // of a process before this one, nil none; not changed
	began  time.Time // when the first Configure was
	now    time.Time // the last time that was heard of
	ports  []port    // by ID

	active  int       // number of the active Aggregator, 0 none
	coming  int       // of the one that is to take its place when it works, 0 none
	proven  bool      // the active one has worked
	told    lag       // what the last note about it said
	blocked time.Time // since when the partner uses another Aggregator than we do
	yields  time.Time // when we give in

	transaction uint32 // of the last marker
}

// Out is what is to be done. Frames are to be sent when what Status says is in force.
type Out struct {
	Send    []Send
	Notes   []Note
	Flushed []int // ports whose last marker was answered: what was sent by them before has arrived
}

// Send is a frame for the wire.
type Send struct {
	Port  int // ID
	Frame []byte
}

// Note is something that who operates the system wants to know of.
type Note struct {
	Kind   NoteKind
	Port   int // ID, -1 none
	Reason string
}

// NoteKind says what a Note is about.
type NoteKind uint8

// The kinds.
const (
	PartnerChanged    NoteKind = iota // of a port: who it is, that it fell silent, that it changed its mind
	AggregatorChanged                 // another aggregator is active
	Looped                            // a port hears its own system
	Contested                         // a port in order hears another actor than its partner
	Churned                           // a port does not come into sync within 60 s, or does again
)

// New returns a system without ports. memory is what one before it remembered, nil nothing: ports of a name that is
// in it go on as if nothing had happened, if their partners still speak within 3 s.
func New(c Config, memory *Memory) *System { return &System{config: c, memory: memory} }

// Configure has the system and its ports be as c and ports (by ID) say. Ports that are not in it any more say
// farewell.
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
		s.relax()
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
	s.settle(now, &out)
	return out
}

// configure has a port be as it is to be.
func (s *System) configure(now time.Time, p *port, pc PortConfig) {
	if pc.SpeedBps == 0 {
		pc.SpeedBps = p.SpeedBps // drivers forget it while a link comes up
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

// Receive takes in a frame of Group that came by a port. Whatever is in it, it costs little.
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
		if err != nil || d.Actor.System.MAC == 0 || s.loop(now, p, &d, &out) {
			p.counters.Bad++
			return out
		}
		from := frame.MACAt(b, 6)
		foreign, in := p.foreign(&d, from), &p.pdus
		if foreign {
			in = &p.rivals // however many there are, the partner is heard
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
			s.hear(now, p, &d, from, &out)
		}
	case subtypeMarker:
		m, err := ParseMarker(b)
		// Answers to what was asked are bounded by the questions.
		if err != nil || !s.answers(p, &m) && !p.markers.Take(now, pduRate) {
			p.counters.Bad++
			return out
		}
		s.mark(now, p, m, &out)
		return out
	default:
		return out // of another slow protocol
	}
	s.settle(now, &out)
	return out
}

// A process that nobody let run for longer than lateness may have PDUs waiting that came in the meantime: before it
// finds its partners silent it takes in what there is.
const (
	lateness = 50 * time.Millisecond
	catchUp  = 100 * time.Millisecond
)

// Tick does what time has come for.
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
			s.expire(now, p, &out)
		}
	}
	s.settle(now, &out)
	return out
}

// Deadline is when the next Tick is wanted, zero never.
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
		sooner(s.next(p))
		if at := p.quiet.Add(loneliness); !p.quiet.IsZero() && s.now.Before(at) {
			sooner(at)
		}
	}
	if !s.blocked.IsZero() {
		sooner(s.yields)
	}
	if s.awaited(s.now) != 0 {
		sooner(s.began.Add(comeback))
	}
	return d
}

// Leave has all ports say farewell; the system ends with it.
func (s *System) Leave(now time.Time) Out {
	var out Out
	s.now = now
	for i := range s.ports {
		s.farewell(now, &s.ports[i], &out)
	}
	s.ports, s.active, s.coming = nil, 0, 0
	return out
}

// settle does what follows from the state of the ports.
func (s *System) settle(now time.Time, out *Out) {
	// A step can only follow from another one a few times; the bound is for what nobody thought of.
	for range 8 + 8*len(s.ports) {
		changed := s.selection(now)
		for i := range s.ports {
			changed = s.runMux(now, &s.ports[i]) || changed
		}
		if !changed {
			break
		}
	}
	s.announce(out)
	for i := range s.ports {
		p := &s.ports[i]
		s.monitor(now, p, out)
		s.transmit(now, p, out)
		switch {
		case !p.enabled() || p.heard():
			p.quiet = time.Time{}
		case p.quiet.IsZero():
			p.quiet = now
		}
	}
}

// port finds a port by its ID.
func (s *System) port(id int) *port {
	i := slices.IndexFunc(s.ports, func(p port) bool { return p.ID == id })
	if i < 0 {
		return nil
	}
	return &s.ports[i]
}

// note notes something about a port. What a partner can bring about as often as it likes is noted now and then only.
func (s *System) note(now time.Time, p *port, out *Out, k NoteKind, reason string) {
	if p.notes.Take(now, noteRate) {
		out.Notes = append(out.Notes, Note{Kind: k, Port: p.ID, Reason: reason})
	}
}

// clone returns a copy that goes its own way.
func (s *System) clone() *System {
	c := *s
	c.ports = slices.Clone(s.ports)
	return &c
}
