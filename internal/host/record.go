package host

import (
	"slices"

	"nicteam/internal/frame"
	"nicteam/internal/rtnl"
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

// Member is a NIC as it was before the team took it.
type Member struct {
	Identity
	At int64 `json:"at"` // CLOCK_BOOTTIME in ns, for addresses with lifetimes

	Up          bool              `json:"up"`
	MTU         int               `json:"mtu"`
	Promiscuity int               `json:"promiscuity"`
	Segment     segmentSizes      `json:"segment"`
	Features    map[string]bool   `json:"features"`        // of ethtool, those that can be changed
	Sysctls     map[string]string `json:"sysctls"`         // "ipv6/disable_ipv6": "0", "ipv4/neigh/proxy_delay": "80"
	Token       string            `json:"token,omitempty"` // of IPv6, "" for none

	Addresses  []rtnl.Object `json:"addresses"`            // in the kernel's order
	Routes     []rtnl.Object `json:"routes"`               // of all tables, the kernel's own of table local left out
	Advertised []rtnl.Object `json:"advertised,omitempty"` // routes that the kernel learned from router advertisements
	Says       linkSays      `json:"says,omitzero"`        // what else its routers said
	Order      []rtnl.Object `json:"order"`                // IPv4 routes of any link that share a destination and metric with one of these
	Rules      []rtnl.Object `json:"rules"`
	Neighbours []rtnl.Object `json:"neighbours"`        // permanent ones, and the gateways'
	Proxies    []rtnl.Object `json:"proxies,omitempty"` // addresses for which the NIC answers
}

// wellFormed reports whether every object has the header of its kind.
func (m *Member) wellFormed() bool {
	for _, a := range m.Addresses {
		if len(a.Head) != rtnl.AddressHeaderLen {
			return false
		}
	}
	for _, list := range [][]rtnl.Object{m.Routes, m.Advertised, m.Order, m.Rules, m.Neighbours, m.Proxies} {
		for _, o := range list {
			if len(o.Head) != rtnl.HeaderLen {
				return false
			}
		}
	}
	return true
}

// segmentSizes are the largest super-frames the stack may build for a NIC or out of its frames.
type segmentSizes struct {
	GSO  uint32 `json:"gso"`
	GRO  uint32 `json:"gro"`
	GSO4 uint32 `json:"gso_ipv4"`
	GRO4 uint32 `json:"gro_ipv4"`
}

// state is what the records of a journal say together.
type state struct {
	begin   *beginRecord
	adapter *adapterRecord // nil: not made yet, as far as we know
	onTAP   clsactState    // of the adapter
	backlog *backlogRecord // nil: none of this team
	members []*memberState // by the order in which they were recorded
	given   []string
	gateway string
	ended   bool
}

// clsactState is what outlives the process on a NIC's clsact, the isolation left out.
type clsactState struct {
	qdisc bool // clsact was not there before
	hooks []string
}

type memberState struct {
	Member
	clsactState
	no      int
	adopted bool // what it had is, or may be, on the adapter
	strip   bool // begun
	method  tchook.Method
	left    bool
	down    bool
	lent    bool
	named   []string // all names that it has had: rules may call it by any
	away    bool     // of a team that ended
	guessed bool     // the journal has lost what it was
}

// ours reports whether the NIC may still be as we made it.
func (m *memberState) ours() bool { return !m.left || m.down || m.away }

// apply takes a record in; a record that refers to what is not there changes nothing.
func (s *state) apply(r record) {
	m := s.byNo(r.No)
	switch r.Kind {
	case kindBegin:
		if s.begin == nil {
			s.begin = r.Begin
		}
	case kindAdapter:
		if s.adapter != nil && r.Adapter != nil && s.adapter.Index != r.Adapter.Index {
			s.onTAP = clsactState{} // it went with the one before
		}
		s.adapter = r.Adapter
	case kindBacklog:
		s.backlog = r.Backlog
		if r.Done {
			s.backlog = nil
		}
	case kindMember:
		if r.Member != nil && r.No > 0 {
			s.remember(r.No, *r.Member)
		}
	case kindAdopt:
		for _, no := range r.Members {
			if m := s.byNo(no); m != nil {
				m.adopted = true
			}
		}
	case kindLate:
		if m != nil && r.Late != nil {
			s.came(m, r.Late)
		}
	case kindGive:
		for _, a := range r.Given {
			if !slices.Contains(s.given, a) {
				s.given = append(s.given, a)
			}
		}
		s.gateway = r.Gateway
	case kindEnded:
		s.ended = true
	case kindHook, kindUnhook:
		if r.No == 0 {
			s.onTAP.apply(r)
			break
		}
		fallthrough
	default:
		if m != nil {
			m.apply(r)
		}
	}
}

func (c *clsactState) apply(r record) {
	switch {
	case r.Kind == kindHook:
		c.qdisc = c.qdisc || r.Qdisc
		if !slices.Contains(c.hooks, r.Hook) {
			c.hooks = append(c.hooks, r.Hook)
		}
	case r.Done:
		c.hooks = slices.DeleteFunc(c.hooks, func(hook string) bool { return hook == r.Hook })
		c.qdisc = c.qdisc && len(c.hooks) > 0
	}
}

func (m *memberState) apply(r record) {
	switch r.Kind {
	case kindStrip:
		m.strip = true
	case kindIsolate:
		m.method, m.qdisc = r.Method, m.qdisc || r.Qdisc
	case kindAdmit:
		if r.Done {
			m.method, m.qdisc = "", m.qdisc && len(m.hooks) > 0
		}
	case kindHook, kindUnhook:
		qdisc := m.qdisc && m.method == tchook.ByClsact
		m.clsactState.apply(r)
		m.qdisc = m.qdisc || qdisc
	case kindForget:
		if r.Late != nil {
			m.went(r.Late)
		}
	case kindChanged:
		if r.Now != nil {
			m.changed(*r.Now)
		}
	case kindLeft:
		if r.Done {
			m.left, m.down, m.lent, m.strip = true, r.Down, r.Lent, false
		}
	case kindAway:
		m.left, m.away = true, true
	}
}

// changed takes in that a NIC has another name or MAC. Its ifindex stays the one that routes were recorded with.
func (m *memberState) changed(now beingRecord) {
	m.Name, m.MAC, m.named = now.Name, now.MAC, named(m.named, now.Name)
}

func named(all []string, name string) []string {
	if slices.Contains(all, name) {
		return all
	}
	return append(slices.Clone(all), name)
}

// adapterName is the adapter's, which somebody may have changed.
func (s *state) adapterName() string {
	if s.adapter == nil {
		return s.begin.Team
	}
	return s.adapter.Name
}

// says reports whether the state has all that a record would tell it. NICs that come and go have the same things done to
// them again and again.
func (s *state) says(r record) bool {
	m := s.byNo(r.No)
	switch r.Kind {
	case kindAdapter:
		return s.adapter != nil && r.Adapter != nil && *s.adapter == *r.Adapter
	case kindAdopt:
		return !slices.ContainsFunc(r.Members, func(no int) bool { m := s.byNo(no); return m != nil && !m.adopted })
	case kindStrip:
		return m != nil && m.strip
	case kindIsolate:
		return m != nil && m.method == r.Method && (m.qdisc || !r.Qdisc)
	}
	return false
}

// records are what makes the state anew. apply takes them in this order.
func (s *state) records() []record {
	var list []record
	add := func(r record) { list = append(list, r) }
	if s.begin != nil {
		add(record{Kind: kindBegin, Done: true, Begin: s.begin})
	}
	if s.ended {
		add(record{Kind: kindEnded, Done: true})
	}
	if s.adapter != nil {
		add(record{Kind: kindAdapter, Done: true, Adapter: s.adapter})
	}
	if s.given != nil || s.gateway != "" {
		add(record{Kind: kindGive, Given: s.given, Gateway: s.gateway})
	}
	if s.backlog != nil {
		add(record{Kind: kindBacklog, Backlog: s.backlog})
	}
	for _, r := range s.onTAP.records() {
		add(r)
	}
	for _, m := range s.members {
		for _, r := range m.records() {
			add(r)
		}
	}
	return list
}

func (c *clsactState) records() []record {
	var list []record
	for _, hook := range c.hooks {
		list = append(list, record{Kind: kindHook, Hook: hook, Qdisc: c.qdisc})
	}
	return list
}

func (m *memberState) records() []record {
	first := m.Member
	first.Name = m.named[0]
	list := []record{{Kind: kindMember, Done: true, Member: &first}}
	if len(m.named) > 1 {
		for _, name := range append(m.named[1:len(m.named):len(m.named)], m.Name) {
			list = append(list, record{Kind: kindChanged, Done: true, Now: &beingRecord{name, m.MAC}})
		}
	}
	if m.adopted {
		list = append(list, record{Kind: kindAdopt, Done: true, Members: []int{m.no}})
	}
	if m.left {
		list = append(list, record{Kind: kindLeft, Done: true, Down: m.down, Lent: m.lent})
	}
	if m.strip {
		list = append(list, record{Kind: kindStrip, Done: true})
	}
	if m.method != "" {
		list = append(list, record{Kind: kindIsolate, Method: m.method, Qdisc: m.qdisc})
	}
	list = append(list, m.clsactState.records()...)
	if m.away {
		list = append(list, record{Kind: kindAway, Done: true})
	}
	for i := range list {
		if list[i].Kind != kindAdopt {
			list[i].No = m.no
		}
	}
	return list
}

// remember adds a member, or replaces what is known of one that left and has come back, or that nothing was done to but isolation:
// what it lent to the adapter is still its own.
func (s *state) remember(no int, m Member) {
	old := s.byNo(no)
	if old == nil {
		s.members = append(s.members, &memberState{Member: m, no: no, named: []string{m.Name}})
		return
	}
	*old = memberState{Member: m, clsactState: old.clsactState, no: no, adopted: old.adopted, method: old.method, named: named(old.named, m.Name)}
}

func (s *state) byNo(no int) *memberState {
	for _, m := range s.members {
		if m.no == no {
			return m
		}
	}
	return nil
}

// byName finds a member by its name: of several, which were in the team one after another, the one that is in it, or
// was last.
func (s *state) byName(name string) (found *memberState) {
	for _, m := range s.members {
		if m.Name == name && (found == nil || found.left || !m.left) {
			found = m
		}
	}
	return found
}

func (s *state) nextNo() int {
	no := 1
	for _, m := range s.members {
		no = max(no, m.no+1)
	}
	return no
}

// IsKernelLinkLocal is IsKernelLinkLocal of an address of the member.
func (m *Member) kernelLinkLocal(a rtnl.Object) bool {
	return rtnl.IsKernelLinkLocal(a, m.MAC, m.PermanentMAC)
}
