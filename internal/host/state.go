package host

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
	"nicteam/internal/tchook"
)

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

// sameAs finds the member that a NIC is. A NIC may be like one that has left, too: then it is the one that is in the team.
func (s *state) sameAs(id Identity) (found *memberState) {
	for _, m := range s.members {
		if m.Same(id) && (found == nil || found.left && !m.left) {
			found = m
		}
	}
	return found
}

// onAdapter is what a member's route became on the adapter.
func (s *state) onAdapter(r rtnl.Object, adapter int) rtnl.Object {
	to := map[int]int{}
	for _, m := range s.members {
		to[m.Index] = adapter
	}
	return rtnl.RouteRequest(r, to)
}

// recordedRoute reports whether a route of the adapter is one of the members'.
func (s *state) recordedRoute(r rtnl.Object, adapter int) bool {
	return slices.ContainsFunc(s.members, func(m *memberState) bool {
		return slices.ContainsFunc(m.Routes, func(o rtnl.Object) bool { return rtnl.SameRoute(s.onAdapter(o, adapter), r) })
	})
}

// recordedAddress reports whether an address is one of the members'.
func (s *state) recordedAddress(a rtnl.Object) bool {
	return slices.ContainsFunc(s.members, func(m *memberState) bool { return rtnl.HasAddress(m.Addresses, a) })
}

// came takes in what came to a member late: it is nobody else's from here on.
func (s *state) came(to *memberState, b *belongings) {
	for _, m := range s.members {
		if m != to {
			m.Addresses = rtnl.Except(m.Addresses, b.Addresses, rtnl.AddressID)
		}
	}
	for _, a := range b.Addresses {
		to.Addresses = rtnl.Replace(to.Addresses, a, rtnl.AddressID)
	}
	for _, r := range b.Routes {
		to.Routes = rtnl.Replace(to.Routes, r, rtnl.RouteID)
	}
	for _, r := range b.Rules {
		to.Rules = rtnl.Replace(to.Rules, r, rtnl.RuleID)
	}
	for _, n := range b.Neighbours {
		to.Neighbours = rtnl.Replace(to.Neighbours, n, rtnl.NeighbourID)
	}
	for _, n := range b.Proxies {
		to.Proxies = rtnl.Replace(to.Proxies, n, rtnl.NeighbourID)
	}
}

// went takes in what is no longer a member's.
func (m *memberState) went(b *belongings) {
	m.Addresses = rtnl.Except(m.Addresses, b.Addresses, rtnl.AddressID)
	m.Routes = rtnl.Except(m.Routes, b.Routes, rtnl.RouteID)
	m.Rules = rtnl.Except(m.Rules, b.Rules, rtnl.RuleID)
	m.Neighbours = rtnl.Except(m.Neighbours, b.Neighbours, rtnl.NeighbourID)
	m.Proxies = rtnl.Except(m.Proxies, b.Proxies, rtnl.NeighbourID)
}

// inheritor is the member that gets what was no member's.
func (s *state) inheritor() *memberState {
	for _, want := range []func(*Member) bool{
		(*Member).ownsDefault,
		func(m *Member) bool {
			return slices.ContainsFunc(m.Addresses, func(a rtnl.Object) bool { return !rtnl.IsLinkLocal(a) })
		},
		func(*Member) bool { return true },
	} {
		for _, m := range s.members {
			if !m.left && want(&m.Member) {
				return m
			}
		}
	}
	return nil
}

// givenRoute reports whether a route of the adapter is the one of --gateway.
func (s *state) givenRoute(r rtnl.Object, adapter int) bool {
	return rtnl.RouteBits(r) == 0 && slices.ContainsFunc(rtnl.Gateways(r, adapter), func(g netip.Addr) bool { return g.String() == s.gateway })
}

// owns reports whether an address was a NIC's own.
func (m *memberState) owns(a rtnl.Object) bool { return rtnl.HasAddress(m.Addresses, a) }

// hadOwn reports whether a NIC had what a new one has not. Its settings go with a NIC that goes.
func (m *memberState) hadOwn() bool {
	return slices.ContainsFunc(m.Addresses, func(a rtnl.Object) bool { return !rtnl.IsLinkLocal(a) }) ||
		slices.ContainsFunc(m.Routes, func(r rtnl.Object) bool {
			return rtnl.RouteProtocol(r) != unix.RTPROT_KERNEL && rtnl.RouteProtocol(r) != unix.RTPROT_RA
		}) ||
		slices.ContainsFunc(m.Neighbours, rtnl.IsPermanent)
}

// lentByKernel finds an address among those that members lent and their kernels had formed.
func (s *state) lentByKernel(a rtnl.Object) (was rtnl.Object, of *Member, ok bool) {
	for _, m := range s.members {
		for _, was := range m.Addresses {
			if m.adopted && rtnl.SameAddress(a, was) && (rtnl.IsAutoconfigured(was) || rtnl.IsTemporary(was)) {
				return was, &m.Member, true
			}
		}
	}
	return rtnl.Object{}, nil, false
}
