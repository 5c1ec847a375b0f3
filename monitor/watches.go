// SPDX-License-Identifier: MIT

package monitor

import (
	"net/netip"
	"time"

	"nicteam/internal/frame"
)

// WatchConfig is what a team configures of its link watches.
type WatchConfig struct {
	Specs    []Spec
	Any      bool          // one watch that is satisfied is enough
	Interval time.Duration // between two asks of a target by a member
	Misses   int           // asks without an answer until a member is down

	AdmissionWait time.Duration // how long a member whose link came waits for its first answer

	// Team tells this team's probe frames from those of others.
	Team uint64

	// Aggregated: the members are one link for the switch (802.3ad). Answers may arrive by any member, and members do
	// not hear each other.
	Aggregated bool
}

// Target is an address that can be asked.
type Target struct {
	IP   netip.Addr
	VLAN uint16 // 0 untagged
}

// Targets are the addresses that the adapter knows at a moment.
type Targets struct {
	Gateways []Target // of its default routes
	Hosts    []Target // heard from lately, best first, at most 8
}

// WatchedMember is a member as the watches see it.
type WatchedMember struct {
	ID    int
	Name  string
	MAC   frame.MAC // its own
	Link  bool      // it has carrier and is open
	Since time.Time // since when
	Sends bool      // it distributes in the Plan
}

// Moved is what a member has moved: totals of frames.
type Moved struct {
	ID     int
	TX, RX uint64
}

// Traffic is one sample of the data path's counters.
type Traffic struct {
	Members     []Moved
	Retransmits uint64 // total of TCP segments that this host sent again
	Late        bool   // the sample was taken late: this process stood still, and the sample says nothing
}

// Send is a frame to be sent by a member.
type Send struct {
	Member int
	Frame  []byte // the receiver owns it
}

// Watches are the link watches of all members of a team, carrier aside. It does no I/O: it is told of time, frames and
// counters, and says what to send ([Watches.Sends]), when to wake it ([Watches.Deadline]), and what it thinks of each
// member ([Watches.Verdict]). One goroutine calls it; time never goes back.
type Watches struct {
	cfg WatchConfig
}

// NewWatches returns the link watches of a team without members.
func NewWatches(now time.Time, c WatchConfig) *Watches { return &Watches{cfg: c} }

// Configure replaces the configuration.
func (w *Watches) Configure(now time.Time, c WatchConfig) { w.cfg = c }

// SetTargets replaces the addresses that the adapter knows.
func (w *Watches) SetTargets(now time.Time, t Targets) {}

// SetMembers replaces the members, by id. It costs little if nothing changed.
func (w *Watches) SetMembers(now time.Time, ms []WatchedMember) {}

// Receive handles a frame that a member received; f is borrowed. It returns true if the frame is for the watches alone:
// an answer to an ARP probe, or a probe frame. A neighbour advertisement is read, and returns false.
func (w *Watches) Receive(now time.Time, member int, f []byte) bool { return false }

// Traffic handles a sample of the counters; t is borrowed.
func (w *Watches) Traffic(now time.Time, t *Traffic) {}

// Tick does what is due at now.
func (w *Watches) Tick(now time.Time) {}

// Deadline is when the next Tick is due; zero for never.
func (w *Watches) Deadline() time.Time { return time.Time{} }

// Sends returns the frames to send since the last call.
func (w *Watches) Sends() []Send { return nil }

// Verdict returns what the watches say about a member. Asked is borrowed until the next call of any method.
func (w *Watches) Verdict(id int) Verdict { return Verdict{} }

// Warnings returns what an operator should know, one sentence each.
func (w *Watches) Warnings() []string { return nil }

// Skew returns the difference in one-way delay between two members, from to less from. False: not known.
func (w *Watches) Skew(from, to int) (time.Duration, bool) { return 0, false }

// WatchesCheckpoint is the state of Watches for a process that takes over from another one: verdicts, not rounds.
type WatchesCheckpoint struct {
	Members []WatchedCheckpoint `json:"members,omitempty"` // by id
}

// WatchedCheckpoint is that of one member.
type WatchedCheckpoint struct {
	ID     int       `json:"id"`
	State  State     `json:"state"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
}

// Checkpoint returns the state of w.
func (w *Watches) Checkpoint() WatchesCheckpoint { return WatchesCheckpoint{} }

// Resume gives w, which must be new, the verdicts of a checkpoint. It comes before the first SetMembers.
func (w *Watches) Resume(now time.Time, c *WatchesCheckpoint) {}
