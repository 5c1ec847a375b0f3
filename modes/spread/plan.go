package spread

import (
	"math/bits"
	"time"

	"nicteam/internal/frame"
)

// MaxMembers is how many members a team can have; a member's id is in [0, MaxMembers).
const MaxMembers = 64

// MemberSet is a set of member ids, bit i for member i.
type MemberSet uint64

// Has reports whether id is in the set.
func (s MemberSet) Has(id int) bool { return s>>uint(id)&1 != 0 }

// With returns the set with id in it.
func (s MemberSet) With(id int) MemberSet { return s | 1<<uint(id) }

// Without returns the set with id not in it.
func (s MemberSet) Without(id int) MemberSet { return s &^ (1 << uint(id)) }

// Len returns how many members are in the set.
func (s MemberSet) Len() int { return bits.OnesCount64(uint64(s)) }

// First returns the lowest id in the set, -1 when it is empty.
func (s MemberSet) First() int {
	if s == 0 {
		return -1
	}
	return bits.TrailingZeros64(uint64(s))
}

// Rule is how a data path chooses the member for a frame that the adapter sends.
type Rule uint8

// The rules of transmission.
const (
	RuleNone       Rule = iota // nobody may send: drop and count
	RuleSingle                 // everything by Plan.Active
	RuleSlots                  // flow hash → Plan.Slots
	RuleRoundRobin             // frame by frame, deficit weighted, Plan.Weights
	RuleBroadcast              // a copy by every distributing member
	RuleShortest               // flow hash → flow table, whose rule is told at the head of flows.go
)

// NoMember stands in a slot that nobody serves.
const NoMember = 0xff

// MaxShare is the share of the member with the largest weight.
const MaxShare = 1 << 16

// SlotCount is the length of a hash mode's slot table.
const SlotCount = 1024

// A Plan is everything a data path needs to know to move frames. It is immutable once
// published: the control loop makes a new one for every change, data paths read it once a batch.
type Plan struct {
	Rule Rule

	Distributing MemberSet // may send
	Collecting   MemberSet // frames received here go to the adapter …
	Multicast    MemberSet // … group-addressed ones only where this has the member too

	Active int // RuleSingle: the member; RuleShortest: the one that sends what is for groups but is no UDP
	Next   int // RuleSingle: the member that would be the next one, -1 none

	Hash  HashPolicy // RuleSlots and RuleShortest: the fields that make a flow
	Salt  uint64     // the same: the team's own
	Slots []uint8    // RuleSlots: SlotCount member ids or NoMember; RuleShortest: where MACs behind are pinned, see Pin

	// From is RuleSlots as it was before, while slots go from member to member; nil: none does. A slot goes over when
	// nothing of it can be under way by its old member any more, see slots_moving.go.
	From    []uint8
	Mark    uint32             // From: number of this Plan among those of the Turn, from 1 on
	Cleared [MaxMembers]uint32 // From: what was sent by the member under Plans of the Turn before this Mark has arrived

	Weights          [MaxMembers]uint32 // shares, the largest is MaxShare, 0 for members that do not distribute; RuleShortest: scale Rates
	PacketsPerMember int                // RuleRoundRobin: super-frames in a row on one member; 0: random each

	Rates      [MaxMembers]uint64 // RuleShortest: bit/s, as the link says or as assumed, before Weights
	SpeedKnown MemberSet          // RuleShortest: members whose link says a speed
	Gain       time.Duration      // RuleShortest: the least that a flow must win to be moved
	Skew       time.Duration      // RuleShortest: the most that two members' ways to a peer differ; From: the pause after which a slot goes over
	Moves      []Move             // RuleShortest: slots to be moved whatever is under way
	Turn       uint64             // RuleShortest: of Moves, > 0; each turn is carried out once. From: which going over of slots it is

	// PerMember: every member sends with its own address instead of the adapter's, and takes in what is
	// for its own and for those of its Filter, nothing for another member's. ARP and ND that the adapter
	// sends go to the control loop, which sends them on; of those that come in for one host it gets a copy.
	PerMember bool

	Adapter     frame.MAC             // the adapter's address
	MACs        [MaxMembers]frame.MAC // the members' own addresses, 0 for ids that are no member's
	TeamMACs    []frame.MAC           // adapter, members, behind: a received frame from one of these is our own come back
	Behind      []frame.MAC           // sorted: source addresses seen behind the adapter (bridge, VM, macvlan)
	Stations    []frame.Station       // sorted: those addresses in the VLANs that they were seen in; the control loop wants to hear of others
	Ageing      []frame.Station       // sorted, of Stations: the control loop wants to hear when one of these sends
	Promiscuous bool                  // members receive what is for any address

	// Filter is, a member, the unicast addresses its NIC must take in besides its own.
	Filter [MaxMembers][]frame.MAC

	// Watched is, a member, the address of another one whose frames its NIC takes in as well, 0 none. They are not for it:
	// by them a switch that floods is found out, which NICs' filters hide.
	Watched [MaxMembers]frame.MAC

	// GroupMembers are the members whose NICs take in Groups: those of Multicast, and those that may take their place,
	// because a failover must not wait until a NIC's filter is set.
	GroupMembers MemberSet
	Groups       []frame.MAC // sorted: the groups that the adapter is in
	AllMulti     bool        // all groups instead
}

// A Move is an order to send a slot's flows by another member.
type Move struct {
	Slot uint16 // of the flow table
	To   uint8  // member
}

// Pin returns the member by which a MAC behind the adapter sends and receives where PerMember is set, -1
// when nobody may send.
func (pl *Plan) Pin(m frame.MAC) int {
	s := pinSlot(pl, m)
	if s >= len(pl.Slots) || pl.Slots[s] == NoMember {
		return -1
	}
	return int(pl.Slots[s])
}

// pinSlot returns the entry of Slots that says where a MAC is pinned.
func pinSlot(pl *Plan, m frame.MAC) int {
	return Slot(finish(mix(mix(hashStart, pl.Salt), uint64(m))))
}
