package host

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// Record writes a NIC as it is to the journal, before anything about it is changed. A NIC that is recorded and has not left is
// not recorded again once something about it may have been changed: what it looks like then is our own doing.
func (h *Host) Record(nic string) (Member, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.begun()
	if err != nil {
		return Member{}, fmt.Errorf("record NIC %s: %w", nic, err)
	}
	n, err := h.nic(nic)
	if err != nil {
		return Member{}, fmt.Errorf("record: %w", err)
	}
	no := j.state.nextNo()
	known := j.state.sameAs(n.Identity())
	if known != nil {
		if !known.left && (known.adopted || known.strip) {
			return known.Member, nil
		}
		no = known.no
	}
	m, err := h.readMember(n)
	if err != nil {
		return Member{}, fmt.Errorf("record NIC %s: %w", nic, err)
	}
	if known != nil && known.left {
		m.inherit(known)
	}
	if err := j.write(record{Kind: kindMember, Done: true, No: no, Member: &m}); err != nil {
		return Member{}, h.journalProblem(err)
	}
	return m, nil
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

// inherit keeps what a NIC that comes back had before it left: what it lent, and its link when we gave it back down.
func (m *Member) inherit(known *memberState) {
	known = known.at(m.Index)
	if known.lent {
		m.At = known.At
		m.Addresses = rtnl.Union(known.Addresses, m.Addresses, rtnl.SameAddress)
		m.Routes = rtnl.Union(known.Routes, m.Routes, rtnl.SameRoute)
		m.Advertised = rtnl.Union(known.Advertised, m.Advertised, rtnl.SameAdvertised)
		m.Order = rtnl.Union(known.Order, m.Order, rtnl.SameRoute)
		m.Rules = rtnl.Union(known.Rules, m.Rules, rtnl.Object.Equal)
		m.Neighbours = rtnl.Union(known.Neighbours, m.Neighbours, rtnl.SameNeighbour)
		m.Proxies = rtnl.Union(known.Proxies, m.Proxies, rtnl.SameNeighbour)
	}
	if known.down {
		m.inheritDown(known)
	}
}

// at is a member whose routes name its NIC by another ifindex: one that was away has a new one.
func (m *memberState) at(index int) *memberState {
	next := *m
	for _, list := range []*[]rtnl.Object{&next.Routes, &next.Order} {
		*list = slices.Clone(*list)
		for i, r := range *list {
			(*list)[i] = rtnl.RouteRequest(r, map[int]int{m.Index: index})
		}
	}
	next.Advertised = nil
	for _, r := range m.Advertised {
		r = r.Clone() // with its lifetime
		r.Set32(unix.RTA_OIF, uint32(index))
		next.Advertised = append(next.Advertised, r)
	}
	next.Index = index
	return &next
}

// inheritDown keeps what the kernel took from a NIC that was given back down and still is: its IPv6 addresses, its routes
// and its neighbours. IPv4 addresses stay on it.
func (m *Member) inheritDown(known *memberState) {
	if !m.Up {
		of6 := slices.DeleteFunc(slices.Clone(known.Addresses), func(a rtnl.Object) bool { return a.Family() != unix.AF_INET6 })
		m.Addresses = rtnl.Union(of6, m.Addresses, rtnl.SameAddress)
		m.Routes = rtnl.Union(known.Routes, m.Routes, rtnl.SameRoute)
		m.Advertised = rtnl.Union(known.Advertised, m.Advertised, rtnl.SameAdvertised)
		m.Order = rtnl.Union(known.Order, m.Order, rtnl.SameRoute)
		m.Neighbours = rtnl.Union(known.Neighbours, m.Neighbours, rtnl.SameNeighbour)
		m.Proxies = rtnl.Union(known.Proxies, m.Proxies, rtnl.SameNeighbour)
	}
	m.Up = known.Up
}

// readMember reads everything about a NIC.
func (h *Host) readMember(n NIC) (Member, error) {
	l, err := h.rt.Handle.LinkByIndex(n.Index)
	if err != nil {
		return Member{}, err
	}
	a := l.Attrs()
	m := Member{
		Identity: n.Identity(), At: rtnl.BootTime(),
		Up: a.RawFlags&unix.IFF_UP != 0, MTU: a.MTU, Promiscuity: a.Promisc,
		Segment: segmentOf(a), Features: h.features(n.Name), Sysctls: n.noteIPv6(recordSysctls(n.Name)),
	}
	if token, ok := n.token(); ok {
		m.Token = token.String()
	}
	if m.Addresses, err = h.rt.Addresses(n.Index); err != nil {
		return Member{}, err
	}
	all, err := h.rt.Routes()
	if err != nil {
		return Member{}, err
	}
	m.Routes = rtnl.RoutesVia(all, n.Index)
	m.Order = rtnl.RoutesOfSameKey(all, m.Routes)
	advertised, err := h.rt.AdvertisedRoutes()
	if err != nil {
		return Member{}, err
	}
	m.Advertised, m.Says = rtnl.RoutesVia(advertised, n.Index), n.says()
	if m.Rules, err = h.rt.OwnRules(n.Name); err != nil {
		return Member{}, err
	}
	var keep []netip.Addr
	for _, r := range slices.Concat(m.Routes, m.Advertised) {
		keep = append(keep, rtnl.Gateways(r, n.Index)...)
	}
	if m.Neighbours, err = h.rt.Neighbours(n.Index, keep); err != nil {
		return Member{}, err
	}
	m.Proxies, err = h.rt.Proxies(n.Index)
	return m, err
}

// ownsDefault reports whether the member's routes have the main table's default route.
func (m *Member) ownsDefault() bool {
	for _, r := range slices.Concat(m.Routes, m.Advertised) {
		if rtnl.RouteBits(r) == 0 && rtnl.RouteTable(r) == unix.RT_TABLE_MAIN && rtnl.RouteType(r) == unix.RTN_UNICAST {
			return true
		}
	}
	return false
}

// GoingDown are the members whose NICs were down before and will be again. Whoever holds sockets on them must close them
// first: on a NIC that is down the kernel does not take back the promiscuity that a socket's MAC filter can mean.
func (h *Host) GoingDown() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.journal == nil {
		return nil
	}
	var names []string
	for _, m := range h.journal.state.members {
		if !m.Up && !m.left {
			names = append(names, m.Name)
		}
	}
	return names
}

// link reads a member's link as it is, if it is still the same NIC.
func (h *Host) link(m *memberState) (netlink.Link, NIC, error) {
	n, err := h.Find(m.Identity)
	if err != nil {
		return nil, NIC{}, err
	}
	l, err := h.rt.Handle.LinkByIndex(n.Index)
	return l, n, err
}
