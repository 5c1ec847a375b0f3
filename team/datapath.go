// SPDX-License-Identifier: MIT

package team

import (
	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// Adapter is the TAP; internal/tap implements it.
type Adapter interface {
	SetCarrier(up bool) error
	// SetSpeed has the adapter show a speed (0: unknown) and a duplex (full, half, "": unknown). It moves nothing
	// faster or slower.
	SetSpeed(bps uint64, duplex string) error
}

// Link says which NIC a member is.
type Link struct {
	Name  string
	Index int // ifindex
	MAC   frame.MAC
}

// Datapath moves frames between the adapter and the members as the Plan says, and counts.
// internal/relay implements it. All methods may be called from any goroutine.
type Datapath interface {
	// Join opens member id on a NIC. It moves nothing until a Plan names the member.
	Join(id int, l Link) error
	// Leave closes member id; the Plan in force must not name it.
	Leave(id int) error
	// Apply puts a Plan in force and returns once no later frame follows the Plan before it. It does not wait
	// for the NICs' filters (Plan.Filter, Groups, AllMulti, Promiscuous), which follow soon; a refusal is reported.
	Apply(*spread.Plan) error
	// Backlog is how many bytes member id has been given that have not left it.
	Backlog(id int) int
	// Unsent reports whether frames of Send by member id have not left its NIC. It costs as little as Moved.
	Unsent(id int) bool
	// Counters fills c with the totals since the data path began.
	Counters(c *Counters)
	// Moved fills m with the unicast frames of each member since the data path began. It costs little enough to be
	// called every few milliseconds.
	Moved(m *Moved)
	// Flows copies the flow table of spread.RuleShortest to f. It returns false where the Plan in force
	// has none.
	Flows(f *spread.FlowTable) bool
	// RxBytes fills h with the totals since the data path began of what was received while the Plan was
	// PerMember, by spread.RxClass, in bytes.
	RxBytes(h *spread.RxBytes)
	// SeesLosses reports whether the data path looks with each frame that it sends whether the member has a link, gives
	// the frame to another one if not, and reports the member at once (ControlLost).
	SeesLosses() bool
	// Dead returns the members that the data path sees to have no link. It costs as little as Moved.
	Dead() spread.MemberSet
	// NoteHellos replaces which probes between members may be noted instead of being delivered, and Hellos fills h with
	// the last ones that were, zero where none was.
	NoteHellos(f *HelloFilter)
	Hellos(h *Hellos)
	// Control delivers frames and reports for the control loop; closed by Close.
	Control() <-chan Control
	// Send sends a control frame (a whole Ethernet frame) by member id, and counts it.
	Send(id int, frame []byte) error
	// Close ends all goroutines and closes all members. Closing twice is fine.
	Close() error
}

// HelloFilter and Hellos are about probes between members.
type (
	HelloFilter = monitor.HelloFilter
	Hellos      = monitor.Hellos
)

// Control is a report of the data path to the control loop.
type Control struct {
	Kind    ControlKind
	Member  int           // -1: the adapter
	Station frame.Station // ControlBehind, ControlElsewhere
	Frame   []byte        // ControlFrame: a copy, the receiver's to keep
	Err     error         // ControlRefused: why; ControlGroups: how, and why
	Index   int           // ControlLost: the ifindex of the NIC
	Down    bool          // ControlLost: the NIC is administratively down
}

// ControlKind says what a Control is.
type ControlKind uint8

// The kinds of Control.
const (
	// a frame for the link watches, which each open member passes on whatever the Plan says of it, or for the mode; of
	// Member -1 one that is the control loop's to send
	ControlFrame ControlKind = iota
	// the adapter sends from a station that Plan.Stations lacks, or Plan.Ageing lists
	ControlStation
	ControlStationMoved // a station of Plan.Stations is heard by a member, and the adapter does not send from it
	ControlSuspect      // the member refused a frame, or has no link for one: read its link at once
	// the member's NIC has no link, by the kernel's own state of it a moment ago: that is believed before it is read
	ControlLost
	ControlRefused // the member's NIC accepts frames for its own address only
	ControlGroups  // the member's NIC does not filter groups as the Plan wants, as Err says; nil: it does
)

// Drop says why a frame was not delivered.
type Drop uint8

// The reasons.
const (
	DropNoMember  Drop = iota // tx: no member distributes
	DropBacklog               // tx: the member's backlog was at its bound
	DropRefused               // tx: refused by two members, or by the only one
	DropMalformed             // both: not a valid frame
	DropNotOurs               // rx: a unicast frame for another MAC
	DropStandby               // rx: the Plan does not collect here, or not group-addressed frames
	DropReflected             // rx: our own frame come back
	DropAdapter               // rx: the adapter did not take it (down, or its queue is full)
	DropSocket                // rx: the socket's buffer or the control queue was full
	Drops         int  = iota
)

var dropNames = [Drops]string{"no-member", "backlog", "refused", "malformed", "not-ours", "standby", "reflected",
	"adapter", "socket"}

func (d Drop) String() string { return dropNames[d] }

// Expected reports whether such drops are part of a healthy team's work: they are not shown as drops.
func (d Drop) Expected() bool { return d == DropNotOurs || d == DropStandby || d == DropReflected }

// MemberCounters are the totals of one member.
type MemberCounters struct {
	RX, TX         [frame.Protocols]frame.Count
	RXDrop, TXDrop [Drops]uint64 // frames
	RXError        uint64        // receive errors of the socket
	TXError        uint64        // send errors other than a full backlog
	Resent         uint64        // tx: frames this member refused and another took
	Segmented      uint64        // super-frames segmented in software because the NIC refused them
	// rx: unicast frames for a MAC of ours that another member owns: the switch floods them
	Flooded uint64
}

// Moved are totals of unicast frames of each member, which never fall, not even when another NIC takes an id: of those
// that the adapter sent by it (TX), and of those from it for the adapter (RX), except what only link watches ask for.
type Moved [spread.MaxMembers]struct{ TX, RX uint64 }

func (m *Moved) total() (n uint64) {
	for id := range m {
		n += m[id].TX + m[id].RX
	}
	return n
}

// Counters are the totals of a team. TXDrop with NoMember are the adapter's own.
type Counters struct {
	Members [spread.MaxMembers]MemberCounters
	Adapter struct {
		TXDrop [Drops]uint64
	}
}
