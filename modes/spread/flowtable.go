// SPDX-License-Identifier: MIT

package spread

import "time"

// How RuleShortest works. A flow is a slot of the flow table, by the hash of its headers. A member is a virtual queue:
// it has a rate, and a clock that shows when all its frames will have left. For a frame of a slot:
//
//  1. The slot's last frame may still be under way (now < until + skew): it stays, for another member could overtake
//     its own.
//  2. The slot was used within the last second, and its member's clock is less than gain ahead of the lowest: it stays,
//     for a move would gain nothing.
//  3. Otherwise it moves to the member where the frame leaves first. Among equals each slot has an order of its own, so
//     that an idle team spreads its flows.
//  4. The member's clock advances by the time that the frame takes, and the slot notes it.
//
// No slot goes to a suspect member (Plan.Suspect) while another one may send, and rule 2 keeps none with one. To a
// member that returns only some slots go (returning.go).
//
// A slot that never pauses is moved by force (rebalance.go). Such a move waits a moment for a gap, in which it reorders
// nothing.
//
// A member sends in the order of its queue. So when a reading shows how much waits, nothing queued before leaves later
// than that takes: a clock that is set back counts at once. A clock that is set forward shows how much later than noted
// the frames queued before will leave.

// The defaults of Gain and Skew.
const (
	DefaultGain = 100 * time.Microsecond
	DefaultSkew = 500 * time.Microsecond
)

// FlowCount is the length of the flow table of RuleShortest.
const FlowCount = 16384

// FlowTable is the flow table of RuleShortest with the members' virtual queues. Times are ns of the data path's clock.
type FlowTable struct {
	Now     int64 // when this copy was made
	ForceBy int64 // forced moves wait for a gap until then
	Members [MaxMembers]Queue
	Slots   [FlowCount]FlowSlot
	Forced  uint64 // forced moves, in all
}

// Queue is a member's virtual queue.
type Queue struct {
	Clock    int64      // when all its frames will have left
	Rate     uint64     // bit/s by which the clock runs
	Source   RateSource // of Rate
	Capacity uint64     // bit/s as measured, 0 unknown
	Fixed    uint64     // bytes sent outside of slots, in all

	cost   uint64 // of a byte, in 1/costOne ns
	given  uint64 // bytes since the last reading
	at     int64  // beginning of the last ms in which anything was queued
	recent int64  // bytes queued in that ms
	before int64  // and in the one before

	// Frames noted before the last reading leave lateBy later than noted, and no later than all.
	reading     uint8
	lateBy, all int64
}

// RateSource is where a member's rate comes from.
type RateSource uint8

// The sources.
const (
	RateAssumed  RateSource = iota // of the Plan: the link tells no speed, and none was measured
	RateLink                       // the link's speed
	RateMeasured                   // what the member carried
)

var rateNames = [...]string{RateAssumed: "assumed", RateLink: "link", RateMeasured: "measured"}

func (r RateSource) String() string { return rateNames[r] }

// FlowSlot is a slot of the flow table.
type FlowSlot struct {
	Until  int64      // when its last frame leaves, 0 never used
	Since  int64      // when Member became its member
	Bytes  uint64     // sent, in all
	Pauses uint32     // how often its last frame had left before the next one
	Member uint8      // meaningless while Until is 0
	Why    FlowReason // of Member

	to      uint8 // the member of a forced move, +1; 0 none
	reading uint8 // of its member when Until was noted

	_ uint32 // the lock of programs in the kernel
}

// FlowReason is why a slot has its member.
type FlowReason uint8

// The reasons.
const (
	FlowShortest FlowReason = iota // its queue was the shortest
	FlowRank                       // several were equally short, and this one ranks first for the slot
	FlowForced                     // by force, to rebalance flows that never pause
	FlowOnly                       // no other member may send, or all others are suspect
)
