// SPDX-License-Identifier: MIT

package spread

import (
	"math/bits"
	"net/netip"
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

// First returns the lowest id in the set, -1 if it is empty.
func (s MemberSet) First() int {
	if s == 0 {
		return -1
	}
	return bits.TrailingZeros64(uint64(s))
}

// Rule is how a data path chooses the member for a frame that the adapter sends.
type Rule uint8

// The rules.
const (
	RuleNone       Rule = iota // nobody may send: drop and count
	RuleSingle                 // everything by Plan.Active
	RuleSlots                  // flow hash → Plan.Slots
	RuleRoundRobin             // frame by frame by deficit, Plan.Weights
	RuleBroadcast              // a copy by every distributing member
	RuleShortest               // flow hash → flow table, see flowtable.go
)

// NoMember stands in a slot without a member.
const NoMember = 0xff

// MaxShare is the share of the member with the largest weight.
const MaxShare = 1 << 16

// SlotCount is the length of a hash mode's slot table.
const SlotCount = 1024

// A Plan is everything a data path needs to move frames. It is immutable once published: the control loop makes a new
// one for every change, data paths read it once a batch.
type Plan struct {
	Rule Rule

	Distributing MemberSet // may send
	Suspect      MemberSet // RuleShortest: gets no flow while another member distributes; see FlowTargets
	Collecting   MemberSet // frames received here go to the adapter …
	Multicast    MemberSet // … group-addressed ones only where this has the member too

	// Active is the member that stands for the team, -1 where none does: RuleSingle sends everything by it,
	// RuleShortest what is for groups but no UDP.
	Active int
	Next   int     // the member that would become active without it, -1 none or not known
	Later  []uint8 // RuleSingle: those that would after Next, one after the other, with it at most MaxSuccessors

	Least   int  // fewer members than these must not send
	Patient bool // a member without link goes on sending for a while: no data path gives its frames to another one

	Hash             Hash               // RuleSlots, RuleShortest
	Weights          [MaxMembers]uint32 // shares, the largest is MaxShare, 0 for members that do not distribute
	PacketsPerMember int                // RuleRoundRobin: super-frames in a row on one member; 0: random each
	Slots            *SlotTable         // RuleSlots, nil where nobody may send
	Shortest         *Shortest          // RuleShortest

	// PerMember: every member sends with its own address instead of the adapter's, and accepts frames for its own and
	// for those of its Filter, none for another member's. ARP and ND that the adapter sends go to the control loop,
	// which sends them on; it gets a copy of those that are received for one host.
	PerMember bool
	Pins      []uint8 // PerMember: SlotCount member ids or NoMember; see Pin

	Adapter frame.MAC             // the adapter's address
	MACs    [MaxMembers]frame.MAC // the members' own addresses, 0 for ids that are no member's
	// sorted: adapter, members, behind; a received frame from one of these is our own come back
	TeamMACs []frame.MAC
	Behind   []frame.MAC // sorted: source addresses seen behind the adapter (bridge, VM, macvlan)
	// sorted: those addresses in the VLANs that they were seen in; the control loop learns of others
	Stations    []frame.Station
	Ageing      []frame.Station // sorted, of Stations: the control loop learns when one of these sends
	Promiscuous bool            // members receive frames for any address

	// Asked are the IPv4 addresses that link watches ask for. The control loop gets a copy of their ARP requests to all
	// hosts, by whichever member they come.
	Asked []netip.Addr

	// Held are the addresses of the adapter and of links on it, sorted. The control loop gets a copy of what other
	// hosts say of these by ARP and neighbour advertisements: they claim them, too.
	Held []netip.Addr

	// Filter has, by member, the unicast addresses that its NIC must accept besides its own.
	Filter [MaxMembers][]frame.MAC

	// Watched has, by member, the address of another member whose frames its NIC accepts as well, 0 none. They are not
	// for it: they show a switch that floods, which the filters of NICs hide.
	Watched [MaxMembers]frame.MAC

	// GroupMembers are the members whose NICs accept Groups: those of Multicast, and those that may take their place,
	// because a failover must not wait until a NIC's filter is set.
	GroupMembers MemberSet
	Groups       []frame.MAC // sorted: the groups that the adapter is in
	AllMulti     bool        // all groups instead
}

// SlotTable gives the flows of RuleSlots to members.
type SlotTable struct {
	Members   []uint8    // SlotCount member ids or NoMember
	StandIns  []uint8    // likewise: the member that a slot goes to without its own; nil: not known
	Migration *Migration // nil: no slot migrates
}

// Migration moves slots from one member to another without reordering, see migration.go.
type Migration struct {
	From    []uint8            // SlotCount member ids: the table before
	ID      uint64             // > 0
	Mark    uint32             // number of this Plan among those of the migration, from 1 on
	Cleared [MaxMembers]uint32 // what the member sent under Plans of the migration before this Mark has arrived
	Pause   time.Duration      // a slot that has sent nothing for so long migrates
}

// Shortest is what the flow table of RuleShortest needs, see flowtable.go. Plan.Weights scale Rates.
type Shortest struct {
	Rates      [MaxMembers]uint64 // bit/s, as the link says or as assumed
	SpeedKnown MemberSet          // members whose link says a speed
	Closed     [MaxMembers]uint8  // 256ths of the slots that the member, which returns, does not get yet
	Gain       time.Duration      // least advantage that moves a flow
	Skew       time.Duration      // largest difference of path delay between two members
	Moves      []Move             // slots to move whatever is under way
	Generation uint64             // of Moves, > 0; each is carried out once
}

// A Move sends a slot's flows by another member.
type Move struct {
	Slot uint16 // of the flow table
	To   uint8  // member
}

// FlowTargets returns the members that flows may go to: those that distribute, without those that are suspect unless
// all are. Flows that a suspect member has stay until they pause, so that nothing is reordered.
func (pl *Plan) FlowTargets() MemberSet {
	if sound := pl.Distributing &^ pl.Suspect; sound != 0 {
		return sound
	}
	return pl.Distributing
}

// Migration returns the migration of a Plan, nil where no slot migrates.
func (pl *Plan) Migration() *Migration {
	if pl.Slots == nil {
		return nil
	}
	return pl.Slots.Migration
}

// Pin returns the member by which a MAC behind the adapter sends and receives while PerMember is set, -1 if none may.
func (pl *Plan) Pin(m frame.MAC) int {
	s := pinSlot(pl, m)
	if s >= len(pl.Pins) || pl.Pins[s] == NoMember {
		return -1
	}
	return int(pl.Pins[s])
}

// pinSlot returns the entry of Pins for a MAC.
func pinSlot(pl *Plan, m frame.MAC) int {
	return Slot(finish(mix(mix(hashStart, pl.Hash.Salt), uint64(m))))
}
