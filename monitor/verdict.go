// SPDX-License-Identifier: MIT

package monitor

import (
	"net/netip"
	"time"
)

// State is what the link watches say about a member.
type State uint8

// The states. A member that is Unknown, Up or Suspect is used; one that is Waiting or Down is not.
const (
	Unknown State = iota // nothing can be asked
	Waiting              // its link came, and nothing has answered yet
	Up
	Suspect // asked at the fast rate; gets no new flows
	Down
)

var stateNames = [...]string{"unknown", "waiting", "up", "suspect", "down"}

func (s State) String() string { return stateNames[s] }

// Usable reports whether a member in this state may be used.
func (s State) Usable() bool { return s != Waiting && s != Down }

// Verdict is what the link watches say about a member, carrier aside.
type Verdict struct {
	State  State
	Reason string // in words, "" if there is nothing to say
	Since  time.Time
	RTT    time.Duration // smoothed, 0 unknown
	Loss   float64       // share of the last 32 asks without an answer, 0…1
	Asked  []Asked       // a target each
}

// Asked is how a target answers by one member.
type Asked struct {
	Spec    Spec // the watch
	IP      netip.Addr
	VLAN    uint16 // tag of the frames that ask, 0 none
	Noun    string // what the target is to the reader: "gateway", "host" or ""
	Answers bool
	RTT     time.Duration // smoothed, 0 unknown
	Loss    float64       // 0…1
	Last    time.Time     // of the last answer, zero for none
}
