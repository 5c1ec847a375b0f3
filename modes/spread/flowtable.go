package spread

import "time"

// How RuleShortest works. A flow is a slot of the flow table, found by the hash of its headers. A member is a
// queue: it has a rate, and a clock that tells when all it was given will have left. For a frame of a slot:
//
//  1. The slot's last frame may still be under way (until + skew has not come): it stays, for another member
//     could overtake its own.
//  2. The slot was used within the last second, and its member's clock is less than gain ahead of the
//     earliest: it stays, for nothing would be won.
//  3. Otherwise it goes where the frame would have left first. Where that is all the same, each slot has an order
//     of its own, so that a team at rest spreads its flows.
//  4. The member's clock moves on by what the frame takes, and is noted in the slot.
//
// A slot that never pauses is moved by order (evening.go). Such a move waits a moment for a gap, in which it
// costs no order.
//
// A member sends in the order in which it was given. So when a reading shows how much waits, nothing given before
// leaves later than that takes: a clock that is set back counts at once. One that is set forward shows by how
// much later than noted leaves what was given before.

// The defaults of Gain and Skew.
const (
	DefaultGain = 100 * time.Microsecond
	DefaultSkew = 500 * time.Microsecond
)

// FlowCount is the length of the flow table of RuleShortest.
const FlowCount = 16384

// FlowTable is the flow table of RuleShortest with the members' virtual queues. Times are ns of the data
// path's own clock.
type FlowTable struct {
	Now     int64 // when this copy was made
	ForceBy int64 // moves by order wait no longer for a gap
	Members [MaxMembers]Queue
	Slots   [FlowCount]FlowSlot
	Forced  uint64 // moves by order that were carried out
}

// Queue is a member's virtual queue.
type Queue struct {
	Clock    int64      // when all that the member was given will have left
	Rate     uint64     // bit/s by which the clock runs
	Source   RateSource // of Rate
	Capacity uint64     // bit/s as measured, 0 never shown
	Fixed    uint64     // bytes sent, in all, that are of no slot

	cost   uint64 // of a byte, in 1/costOne ns
	given  uint64 // bytes since the last reading
	at     int64  // beginning of the last ms in which it was given anything
	recent int64  // bytes given in that ms
	before int64  // and in the one before

	// What was noted before the last reading leaves by lateBy later than that, and at all last.
	reading     uint8
	lateBy, all int64
}

// RateSource says where a member's rate comes from.
type RateSource uint8

// The sources.
const (
	RateAssumed  RateSource = iota // neither the link says a speed nor was one measured
	RateLink                       // the link's speed
	RateMeasured                   // what the member was seen to carry
)

var rateNames = [...]string{RateAssumed: "assumed", RateLink: "link", RateMeasured: "measured"}

func (r RateSource) String() string { return rateNames[r] }

// FlowSlot is a slot of the flow table.
type FlowSlot struct {
	Until  int64      // when its last frame leaves, 0 never used
	Since  int64      // when Member became its member
	Bytes  uint64     // sent, in all
	Pauses uint32     // how often its last frame had left when the next one came
	Member uint8      // meaningless while Until is 0
	Why    FlowReason // it is Member

	to      uint8 // the member that it is to be moved to, +1; 0 none
	reading uint8 // of its member when Until was noted

	_ uint32 // the kernel's programs lock it here
}

// FlowReason says why a slot has its member.
type FlowReason uint8

// The reasons.
const (
	FlowShortest FlowReason = iota // its queue was the shortest
	FlowRank                       // several were, and this one ranks first for the slot
	FlowForced                     // by order, to even out flows that never pause
	FlowOnly                       // no other may send
)
