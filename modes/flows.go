package modes

// FlowCount is the length of the flow table of SpreadShortest.
const FlowCount = 16384

// Flows is the flow table of SpreadShortest with the members' virtual queues. Times are ns of the data
// path's own clock.
type Flows struct {
	Now     int64 // when this copy was made
	Members [MaxMembers]Queue
	Slots   [FlowCount]Flowing
	Forced  uint64 // moves by order that were carried out
}

// Queue is a member's virtual queue.
type Queue struct {
	Clock    int64      // when all that the member was given will have left
	Rate     uint64     // bit/s by which the clock runs
	Source   RateSource // of Rate
	Capacity uint64     // bit/s as measured, 0 never shown
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

// Flowing is a slot of the flow table.
type Flowing struct {
	Until  int64      // when its last frame leaves, 0 never used
	Since  int64      // when Member became its member
	Bytes  uint64     // sent, in all
	Member uint8      // meaningless while Until is 0
	Why    FlowReason // it is Member
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
