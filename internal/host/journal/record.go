package journal

import (
	"slices"

	"nicteam/internal/frame"
	"nicteam/internal/tchook"
)

// A record is one line of the journal. What it says is done by state.Apply.
type Record struct {
	Seq  int  `json:"seq"`
	Kind Kind `json:"kind"`
	Done bool `json:"done,omitempty"` // false: going to be done

	Begin   *BeginRecord   `json:"begin,omitempty"`
	Adapter *AdapterRecord `json:"adapter,omitempty"`
	Member  *Member        `json:"member,omitempty"`  // KindMember
	No      int            `json:"no,omitempty"`      // of the member meant; KindAttach, KindDetach: 0 is the adapter
	Members []int          `json:"members,omitempty"` // KindAdopt
	Method  tchook.Method  `json:"method,omitempty"`  // KindIsolate
	Hook    string         `json:"hook,omitempty"`    // KindAttach, KindDetach: "ingress" or "egress"
	Qdisc   bool           `json:"qdisc,omitempty"`   // KindIsolate, KindAttach: clsact was not there before
	Down    bool           `json:"down,omitempty"`    // KindLeft: given back down
	Lent    bool           `json:"lent,omitempty"`    // KindLeft: its addresses stay on the adapter
	Given   []string       `json:"given,omitempty"`   // KindGive: the adapter's own addresses
	Gateway string         `json:"gateway,omitempty"` // KindGive: the adapter's own gateway
	Backlog *BacklogRecord `json:"backlog,omitempty"` // KindBacklog; Done: no longer this team's
	Config  *Config        `json:"late,omitempty"`    // KindGained, KindLost
	Renamed *RenamedRecord `json:"now,omitempty"`     // KindRenamed
}

type Kind string

// The kinds of record.
const (
	KindBegin     Kind = "begin"   // first of all
	KindAdapter   Kind = "adapter" // the TAP was made
	KindMember    Kind = "member"  // a NIC as it was
	KindAdopt     Kind = "adopt"   // members' addresses and routes go to the adapter
	KindGive      Kind = "give"    // the adapter gets addresses of its own
	KindStrip     Kind = "strip"   // a member loses addresses, IPv6, …
	KindIsolate   Kind = "isolate" // a member's ingress is dropped by something that outlives the process
	KindUnisolate Kind = "admit"   // the opposite
	KindAttach    Kind = "hook"    // a program that outlives the process is attached to a member or the adapter
	KindDetach    Kind = "unhook"  // the opposite
	KindBacklog   Kind = "backlog" // the kernel's queues of received frames become longer
	KindLeft      Kind = "left"    // a member left the team; the team goes on
	KindGained    Kind = "late"    // something more is a member's in the end
	KindLost      Kind = "forget"  // something of a member's left the adapter: nobody gets it back
	KindRenamed   Kind = "changed" // a member has another name or MAC by other hands
	KindEnded     Kind = "ended"   // the team is no more; what is left is of NICs that were away
	KindAway      Kind = "away"    // a NIC that was away when its team ended: it gets its own when it comes
)

// kinds are those that this program knows.
var kinds = []Kind{KindBegin, KindAdapter, KindMember, KindAdopt, KindGive, KindStrip, KindIsolate, KindUnisolate, KindAttach, KindDetach,
	KindBacklog, KindLeft, KindGained, KindLost, KindRenamed, KindEnded, KindAway}

func (k Kind) known() bool { return slices.Contains(kinds, k) }

type BeginRecord struct {
	Team  string `json:"team"`
	Boot  string `json:"boot"`  // boot id
	NetNS uint64 `json:"netns"` // inode of the network namespace
	Links []int  `json:"links"` // the ifindexes of all links: the adapter is none of them

	Cookie uint64 `json:"cookie,omitempty"` // of the network namespace, 0: the kernel has none. No other gets it in this boot, which an inode is not safe from
}

type AdapterRecord struct {
	Name  string    `json:"name"`
	Index int       `json:"index"`
	MAC   frame.MAC `json:"mac"`
}

// RenamedRecord is what a NIC is known by since somebody changed it.
type RenamedRecord struct {
	Name string    `json:"name"`
	MAC  frame.MAC `json:"mac"`
}

type BacklogRecord struct {
	Was int `json:"was"`
	Set int `json:"set"`
}
