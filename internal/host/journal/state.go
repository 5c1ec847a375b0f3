// SPDX-License-Identifier: MIT

package journal

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
	"nicteam/internal/tchook"
)

// State is the sum of a journal's records.
type State struct {
	Begin        *BeginRecord
	Adapter      *AdapterRecord // nil: not created yet
	AdapterHooks HookState      // of the adapter
	Backlog      *BacklogRecord // nil: none of this team
	Members      []*MemberState // in the order of their records
	Assigned     []string
	Gateway      string
	Ended        bool
}

// HookState is what outlives the process on a NIC's clsact, except isolation.
type HookState struct {
	Clsact bool // clsact was added by us
	Hooks  []string
}

type MemberState struct {
	Member
	HookState
	No              int
	Adopted         bool // its config is, or may be, on the adapter
	Stripped        bool // begun
	Method          tchook.Method
	Left            bool
	LeftDown        bool
	ConfigOnAdapter bool
	Names           []string // all names that it has had: rules may use any
	Away            bool     // absent when its team ended
	Guessed         bool     // the journal has lost its record
}

// NeedsRestore reports whether the NIC may still be as the team set it up.
func (m *MemberState) NeedsRestore() bool { return !m.Left || m.LeftDown || m.Away }

// Apply adds a record. A record about an unknown member changes nothing.
func (s *State) Apply(r Record) {
	m := s.ByNo(r.No)
	switch r.Kind {
	case KindBegin:
		if s.Begin == nil {
			s.Begin = r.Begin
		}
	case KindAdapter:
		if s.Adapter != nil && r.Adapter != nil && s.Adapter.Index != r.Adapter.Index {
			s.AdapterHooks = HookState{} // the filter vanished with the adapter before
		}
		s.Adapter = r.Adapter
	case KindBacklog:
		s.Backlog = r.Backlog
		if r.Done {
			s.Backlog = nil
		}
	case KindMember:
		if r.Member != nil && r.No > 0 {
			s.addMember(r.No, *r.Member)
		}
	case KindAdopt:
		for _, no := range r.Members {
			if m := s.ByNo(no); m != nil {
				m.Adopted = true
			}
		}
	case KindGained:
		if m != nil && r.Config != nil {
			s.gained(m, r.Config)
		}
	case KindAssign:
		for _, a := range r.Assigned {
			if !slices.Contains(s.Assigned, a) {
				s.Assigned = append(s.Assigned, a)
			}
		}
		s.Gateway = r.Gateway
	case KindEnded:
		s.Ended = true
	case KindAttach, KindDetach:
		if r.No == 0 {
			s.AdapterHooks.apply(r)
			break
		}
		fallthrough
	default:
		if m != nil {
			m.apply(r)
		}
	}
}

func (c *HookState) apply(r Record) {
	switch {
	case r.Kind == KindAttach:
		c.Clsact = c.Clsact || r.Qdisc
		if !slices.Contains(c.Hooks, r.Hook) {
			c.Hooks = append(c.Hooks, r.Hook)
		}
	case r.Done:
		c.Hooks = slices.DeleteFunc(c.Hooks, func(hook string) bool { return hook == r.Hook })
		c.Clsact = c.Clsact && len(c.Hooks) > 0
	}
}

func (m *MemberState) apply(r Record) {
	switch r.Kind {
	case KindStrip:
		m.Stripped = true
	case KindIsolate:
		m.Method, m.Clsact = r.Method, m.Clsact || r.Qdisc
	case KindUnisolate:
		if r.Done {
			m.Method, m.Clsact = "", m.Clsact && len(m.Hooks) > 0
		}
	case KindAttach, KindDetach:
		qdisc := m.Clsact && m.Method == tchook.ByClsact
		m.HookState.apply(r)
		m.Clsact = m.Clsact || qdisc
	case KindLost:
		if r.Config != nil {
			m.lost(r.Config)
		}
	case KindRenamed:
		if r.Renamed != nil {
			m.rename(*r.Renamed)
		}
	case KindLeft:
		if r.Done {
			m.Left, m.LeftDown, m.ConfigOnAdapter, m.Stripped = true, r.Down, r.ConfigOnAdapter, false
		}
	case KindAway:
		m.Left, m.Away = true, true
	}
}

// rename applies another name or MAC. The ifindex stays the one of the recorded routes.
func (m *MemberState) rename(now RenamedRecord) {
	m.Name, m.MAC, m.Names = now.Name, now.MAC, AppendName(m.Names, now.Name)
}

func AppendName(all []string, name string) []string {
	if slices.Contains(all, name) {
		return all
	}
	return append(slices.Clone(all), name)
}

// AdapterName returns the adapter's name, which somebody may have changed.
func (s *State) AdapterName() string {
	if s.Adapter == nil {
		return s.Begin.Team
	}
	return s.Adapter.Name
}

// implies reports whether the record changes nothing. NICs that come and go cause the same records again and again.
func (s *State) implies(r Record) bool {
	m := s.ByNo(r.No)
	switch r.Kind {
	case KindAdapter:
		return s.Adapter != nil && r.Adapter != nil && *s.Adapter == *r.Adapter
	case KindAdopt:
		return !slices.ContainsFunc(r.Members, func(no int) bool { m := s.ByNo(no); return m != nil && !m.Adopted })
	case KindStrip:
		return m != nil && m.Stripped
	case KindIsolate:
		return m != nil && m.Method == r.Method && (m.Clsact || !r.Qdisc)
	}
	return false
}

// Records returns the records of which Apply makes the same state, in this order.
func (s *State) Records() []Record {
	var list []Record
	add := func(r Record) { list = append(list, r) }
	if s.Begin != nil {
		add(Record{Kind: KindBegin, Done: true, Begin: s.Begin})
	}
	if s.Ended {
		add(Record{Kind: KindEnded, Done: true})
	}
	if s.Adapter != nil {
		add(Record{Kind: KindAdapter, Done: true, Adapter: s.Adapter})
	}
	if s.Assigned != nil || s.Gateway != "" {
		add(Record{Kind: KindAssign, Assigned: s.Assigned, Gateway: s.Gateway})
	}
	if s.Backlog != nil {
		add(Record{Kind: KindBacklog, Backlog: s.Backlog})
	}
	for _, r := range s.AdapterHooks.records() {
		add(r)
	}
	for _, m := range s.Members {
		for _, r := range m.records() {
			add(r)
		}
	}
	return list
}

func (c *HookState) records() []Record {
	var list []Record
	for _, hook := range c.Hooks {
		list = append(list, Record{Kind: KindAttach, Hook: hook, Qdisc: c.Clsact})
	}
	return list
}

func (m *MemberState) records() []Record {
	first := m.Member
	first.Name = m.Names[0]
	list := []Record{{Kind: KindMember, Done: true, Member: &first}}
	if len(m.Names) > 1 {
		for _, name := range append(m.Names[1:len(m.Names):len(m.Names)], m.Name) {
			list = append(list, Record{Kind: KindRenamed, Done: true, Renamed: &RenamedRecord{name, m.MAC}})
		}
	}
	if m.Adopted {
		list = append(list, Record{Kind: KindAdopt, Done: true, Members: []int{m.No}})
	}
	if m.Left {
		list = append(list, Record{Kind: KindLeft, Done: true, Down: m.LeftDown, ConfigOnAdapter: m.ConfigOnAdapter})
	}
	if m.Stripped {
		list = append(list, Record{Kind: KindStrip, Done: true})
	}
	if m.Method != "" {
		list = append(list, Record{Kind: KindIsolate, Method: m.Method, Qdisc: m.Clsact})
	}
	list = append(list, m.HookState.records()...)
	if m.Away {
		list = append(list, Record{Kind: KindAway, Done: true})
	}
	for i := range list {
		if list[i].Kind != KindAdopt {
			list[i].No = m.No
		}
	}
	return list
}

// addMember adds a member, or replaces one that returned or was only isolated. Its config on the adapter stays its
// own.
func (s *State) addMember(no int, m Member) {
	old := s.ByNo(no)
	if old == nil {
		s.Members = append(s.Members, &MemberState{Member: m, No: no, Names: []string{m.Name}})
		return
	}
	*old = MemberState{Member: m, HookState: old.HookState, No: no, Adopted: old.Adopted, Method: old.Method,
		Names: AppendName(old.Names, m.Name)}
}

func (s *State) ByNo(no int) *MemberState {
	for _, m := range s.Members {
		if m.No == no {
			return m
		}
	}
	return nil
}

// ByName returns the member of that name: of several, one after another, the present or the last one.
func (s *State) ByName(name string) (found *MemberState) {
	for _, m := range s.Members {
		if m.Name == name && (found == nil || found.Left || !m.Left) {
			found = m
		}
	}
	return found
}

func (s *State) NextNo() int {
	no := 1
	for _, m := range s.Members {
		no = max(no, m.No+1)
	}
	return no
}

// ByIdentity returns the member that is this NIC, a present one before one that left.
func (s *State) ByIdentity(id Identity) (found *MemberState) {
	for _, m := range s.Members {
		if m.Same(id) && (found == nil || found.Left && !m.Left) {
			found = m
		}
	}
	return found
}

// OnAdapter returns the forms that members' routes have on the adapter.
func (s *State) OnAdapter(routes []rtnl.Object, adapter int) []rtnl.Object {
	to := map[int]int{}
	for _, m := range s.Members {
		to[m.Index] = adapter
	}
	var out []rtnl.Object
	for _, r := range routes {
		out = append(out, rtnl.RouteRequest(r, to))
	}
	return out
}

// RoutesOnAdapter returns the members' routes in their forms on the adapter.
func (s *State) RoutesOnAdapter(adapter int) rtnl.RouteIndex {
	x := rtnl.RouteIndex{}
	for _, m := range s.Members {
		for _, r := range s.OnAdapter(m.Routes, adapter) {
			x.Add(r)
		}
	}
	return x
}

// HasAddress reports whether an address is a member's.
func (s *State) HasAddress(a rtnl.Object) bool {
	return slices.ContainsFunc(s.Members, func(m *MemberState) bool { return rtnl.HasAddress(m.Addresses, a) })
}

// gained adds config to a member. From here on it is no other member's.
func (s *State) gained(to *MemberState, b *Config) {
	for _, m := range s.Members {
		if m != to {
			m.Addresses = rtnl.Except(m.Addresses, b.Addresses, rtnl.AddressID)
		}
	}
	to.Addresses = rtnl.Replace(to.Addresses, b.Addresses, rtnl.AddressID)
	to.Routes = rtnl.Replace(to.Routes, b.Routes, rtnl.RouteID)
	to.Rules = rtnl.Replace(to.Rules, b.Rules, rtnl.RuleID)
	to.Neighbours = rtnl.Replace(to.Neighbours, b.Neighbours, rtnl.NeighbourID)
	to.Proxies = rtnl.Replace(to.Proxies, b.Proxies, rtnl.NeighbourID)
}

// lost removes config from a member.
func (m *MemberState) lost(b *Config) {
	m.Addresses = rtnl.Except(m.Addresses, b.Addresses, rtnl.AddressID)
	m.Routes = rtnl.Except(m.Routes, b.Routes, rtnl.RouteID)
	m.Rules = rtnl.Except(m.Rules, b.Rules, rtnl.RuleID)
	m.Neighbours = rtnl.Except(m.Neighbours, b.Neighbours, rtnl.NeighbourID)
	m.Proxies = rtnl.Except(m.Proxies, b.Proxies, rtnl.NeighbourID)
}

// Inheritor returns the member that gets what was no member's.
func (s *State) Inheritor() *MemberState {
	for _, want := range []func(*Member) bool{
		(*Member).OwnsDefaultRoute,
		func(m *Member) bool {
			return slices.ContainsFunc(m.Addresses, func(a rtnl.Object) bool { return !rtnl.IsLinkLocal(a) })
		},
		func(*Member) bool { return true },
	} {
		for _, m := range s.Members {
			if !m.Left && want(&m.Member) {
				return m
			}
		}
	}
	return nil
}

// IsAssignedRoute reports whether a route of the adapter is that of --gateway.
func (s *State) IsAssignedRoute(r rtnl.Object, adapter int) bool {
	return rtnl.RouteBits(r) == 0 && slices.ContainsFunc(rtnl.Gateways(r, adapter),
		func(g netip.Addr) bool { return g.String() == s.Gateway })
}

// HadAddress reports whether the NIC had the address.
func (m *MemberState) HadAddress(a rtnl.Object) bool { return rtnl.HasAddress(m.Addresses, a) }

// HadConfig reports whether the NIC had config that a new NIC has not. Settings vanish with a NIC.
func (m *MemberState) HadConfig() bool {
	return slices.ContainsFunc(m.Addresses, func(a rtnl.Object) bool { return !rtnl.IsLinkLocal(a) }) ||
		slices.ContainsFunc(m.Routes, func(r rtnl.Object) bool {
			return rtnl.RouteProtocol(r) != unix.RTPROT_KERNEL && rtnl.RouteProtocol(r) != unix.RTPROT_RA
		}) ||
		slices.ContainsFunc(m.Neighbours, rtnl.IsPermanent)
}
