package host

import (
	"slices"

	"nicteam/internal/frame"
	"nicteam/internal/tchook"
)

// A record is one line of the journal. What it says is done by state.apply.
type record struct {
	Seq  int        `json:"seq"`
	Kind recordKind `json:"kind"`
	Done bool       `json:"done,omitempty"` // false: going to be done

	Begin   *beginRecord   `json:"begin,omitempty"`
	Adapter *adapterRecord `json:"adapter,omitempty"`
	Member  *Member        `json:"member,omitempty"`  // kindMember
	No      int            `json:"no,omitempty"`      // of the member meant; kindHook, kindUnhook: 0 is the adapter
	Members []int          `json:"members,omitempty"` // kindAdopt
	Method  tchook.Method  `json:"method,omitempty"`  // kindIsolate
	Hook    string         `json:"hook,omitempty"`    // kindHook, kindUnhook: "ingress" or "egress"
	Qdisc   bool           `json:"qdisc,omitempty"`   // kindIsolate, kindHook: clsact was not there before
	Down    bool           `json:"down,omitempty"`    // kindLeft: given back down
	Lent    bool           `json:"lent,omitempty"`    // kindLeft: its addresses stay on the adapter
	Given   []string       `json:"given,omitempty"`   // kindGive: the adapter's own addresses
	Gateway string         `json:"gateway,omitempty"` // kindGive: the adapter's own gateway
	Backlog *backlogRecord `json:"backlog,omitempty"` // kindBacklog; Done: no longer this team's
	Late    *belongings    `json:"late,omitempty"`    // kindLate, kindForget
	Now     *beingRecord   `json:"now,omitempty"`     // kindChanged
}

type recordKind string

// The kinds of record.
const (
	kindBegin   recordKind = "begin"   // first of all
	kindAdapter recordKind = "adapter" // the TAP was made
	kindMember  recordKind = "member"  // a NIC as it was
	kindAdopt   recordKind = "adopt"   // members' addresses and routes go to the adapter
	kindGive    recordKind = "give"    // the adapter gets addresses of its own
	kindStrip   recordKind = "strip"   // a member loses addresses, IPv6, …
	kindIsolate recordKind = "isolate" // a member's ingress is dropped by something that outlives the process
	kindAdmit   recordKind = "admit"   // the opposite
	kindHook    recordKind = "hook"    // a program that outlives the process is attached to a member or the adapter
	kindUnhook  recordKind = "unhook"  // the opposite
	kindBacklog recordKind = "backlog" // the kernel's queues of received frames become longer
	kindLeft    recordKind = "left"    // a member left the team; the team goes on
	kindLate    recordKind = "late"    // something more is a member's in the end
	kindForget  recordKind = "forget"  // something of a member's left the adapter: nobody gets it back
	kindChanged recordKind = "changed" // a member has another name or MAC by other hands
	kindEnded   recordKind = "ended"   // the team is no more; what is left is of NICs that were away
	kindAway    recordKind = "away"    // a NIC that was away when its team ended: it gets its own when it comes
)

// kinds are those that this program knows.
var kinds = []recordKind{kindBegin, kindAdapter, kindMember, kindAdopt, kindGive, kindStrip, kindIsolate, kindAdmit, kindHook, kindUnhook,
	kindBacklog, kindLeft, kindLate, kindForget, kindChanged, kindEnded, kindAway}

func (k recordKind) known() bool { return slices.Contains(kinds, k) }

type beginRecord struct {
	Team  string `json:"team"`
	Boot  string `json:"boot"`  // boot id
	NetNS uint64 `json:"netns"` // inode of the network namespace
	Links []int  `json:"links"` // the ifindexes of all links: the adapter is none of them

	Cookie uint64 `json:"cookie,omitempty"` // of the network namespace, 0: the kernel has none. No other gets it in this boot, which an inode is not safe from
}

type adapterRecord struct {
	Name  string    `json:"name"`
	Index int       `json:"index"`
	MAC   frame.MAC `json:"mac"`
}

// beingRecord is what a NIC is known by since somebody changed it.
type beingRecord struct {
	Name string    `json:"name"`
	MAC  frame.MAC `json:"mac"`
}

type backlogRecord struct {
	Was int `json:"was"`
	Set int `json:"set"`
}
