// SPDX-License-Identifier: MIT

package journal

import (
	"slices"

	"nicteam/internal/frame"
	"nicteam/internal/tchook"
)

// A record is one line of the journal. State.Apply defines its meaning.
type Record struct {
	Seq  int  `json:"seq"`
	Kind Kind `json:"kind"`
	Done bool `json:"done,omitempty"` // false: about to be done

	Begin           *BeginRecord   `json:"begin,omitempty"`
	Adapter         *AdapterRecord `json:"adapter,omitempty"`
	Member          *Member        `json:"member,omitempty"`  // KindMember
	No              int            `json:"no,omitempty"`      // of the member; KindAttach, KindDetach: 0 is the adapter
	Members         []int          `json:"members,omitempty"` // KindAdopt
	Method          tchook.Method  `json:"method,omitempty"`  // KindIsolate
	Hook            string         `json:"hook,omitempty"`    // KindAttach, KindDetach: "ingress" or "egress"
	Qdisc           bool           `json:"qdisc,omitempty"`   // KindIsolate, KindAttach: clsact was added by us
	Down            bool           `json:"down,omitempty"`    // KindLeft: released down
	ConfigOnAdapter bool           `json:"lent,omitempty"`    // KindLeft: its addresses stay on the adapter
	Assigned        []string       `json:"given,omitempty"`   // KindAssign: the adapter's own addresses
	Gateway         string         `json:"gateway,omitempty"` // KindAssign: the adapter's own gateway
	Backlog         *BacklogRecord `json:"backlog,omitempty"` // KindBacklog; Done: no longer this team's
	Config          *Config        `json:"late,omitempty"`    // KindGained, KindLost
	Renamed         *RenamedRecord `json:"now,omitempty"`     // KindRenamed
}

type Kind string

// The kinds of record. Their values are the format on disk.
const (
	KindBegin     Kind = "begin"   // first record
	KindAdapter   Kind = "adapter" // the TAP was created
	KindMember    Kind = "member"  // a NIC before the takeover
	KindAdopt     Kind = "adopt"   // members' addresses and routes move to the adapter
	KindAssign    Kind = "give"    // the adapter gets addresses of its own
	KindStrip     Kind = "strip"   // a member loses addresses, IPv6, …
	KindIsolate   Kind = "isolate" // a member is isolated by a filter or chain
	KindUnisolate Kind = "admit"   // isolation was removed
	KindAttach    Kind = "hook"    // a program is attached to a member or the adapter by a filter
	KindDetach    Kind = "unhook"  // the filter was removed
	KindBacklog   Kind = "backlog" // netdev_max_backlog is raised
	KindLeft      Kind = "left"    // a member left the team; the team goes on
	KindGained    Kind = "late"    // a member's config gained something while the team ran
	KindLost      Kind = "forget"  // somebody removed something of a member's config from the adapter
	KindRenamed   Kind = "changed" // somebody changed a member's name or MAC
	KindEnded     Kind = "ended"   // the team ended; what is left belongs to absent NICs
	KindAway      Kind = "away"    // a NIC was absent when its team ended
)

// kinds are those that this program knows.
var kinds = []Kind{KindBegin, KindAdapter, KindMember, KindAdopt, KindAssign, KindStrip, KindIsolate, KindUnisolate,
	KindAttach, KindDetach,
	KindBacklog, KindLeft, KindGained, KindLost, KindRenamed, KindEnded, KindAway}

func (k Kind) known() bool { return slices.Contains(kinds, k) }

type BeginRecord struct {
	Team  string `json:"team"`
	Boot  string `json:"boot"`  // boot id
	NetNS uint64 `json:"netns"` // inode of the network namespace
	Links []int  `json:"links"` // ifindexes of all links: none of them is the adapter

	// of the network namespace, 0: unknown. Unlike an inode it is not reused in this boot
	Cookie uint64 `json:"cookie,omitempty"`
}

type AdapterRecord struct {
	Name  string    `json:"name"`
	Index int       `json:"index"`
	MAC   frame.MAC `json:"mac"`
}

// RenamedRecord is the identity of a NIC after somebody changed it.
type RenamedRecord struct {
	Name string    `json:"name"`
	MAC  frame.MAC `json:"mac"`
}

type BacklogRecord struct {
	Was int `json:"was"`
	Set int `json:"set"`
}
