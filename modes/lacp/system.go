package lacp

import "time"

// System is one end of the protocol, with all its ports. One goroutine uses it.
type System struct {
	config Config
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
	Churned                           // a port does not come into sync within 60 s, or does again
)

// New returns a system without ports. memory is what one before it remembered, nil nothing: ports of a name that is
// in it go on as if nothing had happened, if their partners still speak within 3 s.
func New(c Config, memory *Memory) *System { return &System{config: c} }

// Configure has the system and its ports be as c and ports (by ID) say. Ports that are not in it any more say
// farewell.
func (s *System) Configure(now time.Time, c Config, ports []PortConfig) Out { return Out{} }

// Receive takes in a frame of Group that came by a port. Whatever is in it, it costs little.
func (s *System) Receive(now time.Time, port int, frame []byte) Out { return Out{} }

// Tick does what time has come for.
func (s *System) Tick(now time.Time) Out { return Out{} }

// Deadline is when the next Tick is wanted, zero never.
func (s *System) Deadline() time.Time { return time.Time{} }

// Leave has all ports say farewell; the system ends with it.
func (s *System) Leave(now time.Time) Out { return Out{} }

// Flush sends a marker by a port.
func (s *System) Flush(now time.Time, port int) Out { return Out{} }

// Status is the state.
func (s *System) Status() Status { return Status{} }

// Memory is what a system that takes this one's place has to know.
func (s *System) Memory() Memory { return Memory{} }
