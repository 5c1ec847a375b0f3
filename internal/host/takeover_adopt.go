// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
	"nicteam/internal/settings"
)

// Adopt moves the config of recorded members to the adapter: addresses are added to it (and stay on the members until
// Strip), routes of all tables move, neighbours and policy rules are copied. The adapter must be up. A repeated call
// moves what has not moved yet.
func (h *Host) Adopt(adapter int, members []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	list, to, err := h.recordedMembers(adapter, members)
	if err != nil {
		return fmt.Errorf("adopt addresses: %w", err)
	}
	r := journal.Record{Kind: journal.KindAdopt}
	for _, m := range list {
		r.Members = append(r.Members, m.No)
	}
	if err := h.journal.Write(r); err != nil {
		return h.writeProblem(err)
	}
	if err := h.adopt(list, to); err != nil {
		return fmt.Errorf("adopt addresses: %w", err)
	}
	r.Done = true
	return h.journal.Write(r)
}

// recordedMembers finds the members and the adapter.
func (h *Host) recordedMembers(adapter int, members []string) ([]*journal.MemberState, NIC, error) {
	j, err := h.currentJournal()
	if err != nil {
		return nil, NIC{}, err
	}
	to, err := h.nicAt(adapter)
	if err != nil {
		return nil, NIC{}, err
	}
	var list []*journal.MemberState
	for _, name := range members {
		m, err := h.memberNamed(j, name)
		if err != nil {
			return nil, NIC{}, err
		}
		list = append(list, m)
	}
	return list, to, nil
}

// memberNamed finds a recorded member by its NIC's present name.
func (h *Host) memberNamed(j *journal.Journal, name string) (*journal.MemberState, error) {
	if m := j.State.ByName(name); m != nil {
		return m, nil
	}
	// The NIC was renamed since.
	n, err := h.nic(name)
	if err != nil {
		return nil, err
	}
	if m := j.State.ByIdentity(n.Identity()); m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("NIC %s: not recorded", name)
}

func (h *Host) adopt(list []*journal.MemberState, to NIC) error {
	by := map[int]int{}
	routes, err := h.rt.Routes()
	if err != nil {
		return err
	}
	there, err := h.rt.Addresses(to.Index)
	if err != nil {
		return err
	}
	for _, m := range list {
		_, n, err := h.memberLink(m)
		if err != nil {
			return err
		}
		by[n.Index] = to.Index
		v4, err := h.adoptAddresses(m, n, to, routes, there)
		if err != nil {
			return err
		}
		there = append(there, v4...)
		if err := h.adoptNeighbours(n, to); err != nil {
			return err
		}
		if err := h.adoptProxies(n, to); err != nil {
			return err
		}
	}
	if err := h.rebindWhile(func() error { return h.adoptRoutes(by) }, slices.Collect(maps.Keys(by))...); err != nil {
		return err
	}
	if err := h.adoptAdvertised(list, by, to); err != nil {
		return err
	}
	for _, m := range list {
		for _, n := range m.Neighbours {
			// A learned neighbour is no reason to fail: the kernel's table may be full.
			if err := h.rt.SetNeighbour(n, to.Index); err != nil && (rtnl.IsPermanent(n) || rtnl.IsInjectedCrash(err)) {
				return err
			}
		}
	}
	return h.adoptRules(list, to.Name)
}

// adoptAddresses adds a member's addresses to the adapter, which has those that are there, and returns the IPv4 ones.
func (h *Host) adoptAddresses(m *journal.MemberState, from, to NIC, routes, there []rtnl.Object) ([]rtnl.Object,
	error) {
	v4, v6, err := h.addressesToAdopt(m, from, to, routes)
	if err != nil {
		return nil, err
	}
	if err := h.enableIPv6(to, len(v6) > 0); err != nil {
		return nil, err
	}
	if err := h.rt.AddMissingAddresses(v4, there, to.Name); err != nil {
		return nil, err
	}
	return v4, h.rt.AddAddressesInOrder(v6, to.Index, to.Name)
}

// addressesToAdopt returns the addresses that the adapter gets from a member. routes are those of all links.
func (h *Host) addressesToAdopt(m *journal.MemberState, from, to NIC, routes []rtnl.Object) (v4, v6 []rtnl.Object,
	err error) {
	have, err := h.rt.Addresses(from.Index)
	if err != nil {
		return nil, nil, err
	}
	for _, a := range have {
		switch {
		case m.IsKernelLinkLocal(a):
		case a.Family() == unix.AF_INET:
			v4 = append(v4, addressForAdapter(a, from, to, routes))
		default:
			v6 = append(v6, addressForAdapter(a, from, to, routes))
		}
	}
	return v4, v6, nil
}

// enableIPv6 enables the adapter's IPv6 if it gets IPv6 addresses.
func (h *Host) enableIPv6(adapter NIC, needed bool) error {
	if !needed {
		return nil
	}
	return h.writeSysctl(adapter.Name, disableIPv6, "0")
}

// adoptAdvertised makes the adapter learn what the members had learned from router advertisements, and removes it from
// them.
func (h *Host) adoptAdvertised(list []*journal.MemberState, by map[int]int, to NIC) error {
	mine, next, err := h.advertisedToAdopt(by)
	if err != nil {
		return err
	}
	info := settingsSource(list, unix.AF_INET6).RouterInfo
	if err := h.applyRAState(to, raState{routes: next, info: info}); err != nil {
		return err
	}
	for _, r := range mine {
		if err := h.rt.DeleteRoute(rtnl.RouteRequest(r, nil)); err != nil && !errors.Is(err, unix.ESRCH) {
			return err // else it expired, or its router withdrew it
		}
	}
	return nil
}

// advertisedToAdopt returns the links' routes from router advertisements, and those that the adapter learns.
func (h *Host) advertisedToAdopt(by map[int]int) (mine, next []rtnl.Object, err error) {
	all, err := h.rt.AdvertisedRoutes()
	if err != nil {
		return nil, nil, err
	}
	for _, r := range all {
		if _, ok := by[rtnl.RouteLinks(r)[0]]; !ok {
			continue
		}
		mine = append(mine, r)
		if !rtnl.HasAdvertised(next, r) {
			next = append(next, r)
		}
	}
	return mine, next, nil
}

// adoptNeighbours copies a member's neighbours before traffic moves, so that no packet waits for ARP or ND.
func (h *Host) adoptNeighbours(from, to NIC) error {
	list, err := h.rt.LearnedNeighbours(from.Index)
	if err != nil {
		return err
	}
	for _, n := range list {
		// A refused one, such as IPv6 with IPv6 off, is resolved when needed.
		if err := h.rt.SetNeighbour(n, to.Index); rtnl.IsInjectedCrash(err) {
			return err
		}
	}
	return nil
}

// addressForAdapter returns the message that adds a member's address to the adapter. routes are the member's. An
// address that the LAN has just accepted needs no duplicate address detection.
func addressForAdapter(a rtnl.Object, from, to NIC, routes []rtnl.Object) rtnl.Object {
	flags := uint32(0)
	if from.AdminUp && rtnl.HasConnectedRoute(a) &&
		!slices.ContainsFunc(routes, func(r rtnl.Object) bool { return rtnl.IsConnectedRoute(r, a) }) {
		flags |= unix.IFA_F_NOPREFIXROUTE
	}
	if a.Family() == unix.AF_INET6 && rtnl.AddressFlags(a)&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
		flags |= unix.IFA_F_NODAD
	}
	return rtnl.Relabel(rtnl.AddressRequest(a, to.Index, flags), from.Name, to.Name)
}

// adoptRoutes moves all routes that name one of the links.
func (h *Host) adoptRoutes(by map[int]int) error {
	all, mine, err := h.routesToAdopt(by)
	if err != nil {
		return err
	}
	index := rtnl.IndexRoutes(all)
	for _, r := range mine {
		if err := h.rt.MoveRoute(index, r, rtnl.RouteRequest(r, by)); err != nil {
			return err
		}
	}
	return nil
}

// routesToAdopt returns the routes of all links, and those that name one of the links, in the order in which they move.
func (h *Host) routesToAdopt(by map[int]int) (all, mine []rtnl.Object, err error) {
	if all, err = h.rt.Routes(); err != nil {
		return nil, nil, err
	}
	for _, r := range all {
		for _, link := range rtnl.RouteLinks(r) {
			if _, ok := by[link]; ok {
				mine = append(mine, r)
				break
			}
		}
	}
	rtnl.SortByDependence(mine)
	return all, mine, nil
}

// AssignAddresses gives the adapter addresses of its own, and a default route if gateway is valid.
func (h *Host) AssignAddresses(adapter int, addresses []netip.Prefix, gateway netip.Addr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, to, err := h.recordedMembers(adapter, nil)
	if err != nil {
		return fmt.Errorf("assign addresses: %w", err)
	}
	r := journal.Record{Kind: journal.KindAssign}
	for _, p := range addresses {
		r.Assigned = append(r.Assigned, p.String())
	}
	if gateway.IsValid() {
		r.Gateway = gateway.String()
	}
	if err := h.journal.Write(r); err != nil {
		return h.writeProblem(err)
	}
	if err := h.enableIPv6(to, slices.ContainsFunc(addresses,
		func(p netip.Prefix) bool { return p.Addr().Is6() })); err != nil {
		return fmt.Errorf("assign addresses: %w", err)
	}
	for _, p := range addresses {
		if err := h.rt.AddAddress(rtnl.NewAddress(p, adapter), to.Name); err != nil {
			return fmt.Errorf("assign addresses: %w", err)
		}
	}
	if gateway.IsValid() {
		// No EXCL: the members' default route may exist until they are stripped.
		if err := h.rt.Change("add default route", unix.RTM_NEWROUTE, unix.NLM_F_CREATE,
			rtnl.NewDefaultRoute(gateway, adapter)); err != nil {
			return fmt.Errorf("assign gateway %s: %w", gateway, err)
		}
	}
	return nil
}

// DefaultRouteMember returns the first of the recorded members that has the default route, "" if none has. The adapter
// gets its MAC by --mac keep.
func (h *Host) DefaultRouteMember(members []string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.journal == nil {
		return ""
	}
	var list []*journal.MemberState
	for _, name := range members {
		if m := h.journal.State.ByName(name); m != nil {
			list = append(list, m)
		}
	}
	if i := slices.IndexFunc(list, ownsDefaultRoute); i >= 0 {
		return list[i].Name
	}
	return ""
}

func ownsDefaultRoute(m *journal.MemberState) bool { return m.OwnsDefaultRoute() }

// AdapterMAC returns the MAC of a new adapter; 0: one that is made when it is.
func AdapterMAC(c settings.Config, donor NIC) frame.MAC {
	switch c.MACPolicy {
	case settings.MACGiven:
		return c.MAC
	case settings.MACNew:
		return 0
	}
	return donor.MAC
}

// adoptRules copies the members' rules for the adapter, at the same priority. The copy of an inverted rule replaces the
// member's.
func (h *Host) adoptRules(list []*journal.MemberState, adapter string) error {
	have, err := h.rt.RulesNaming(adapter)
	if err != nil {
		return err
	}
	for _, c := range rulesToAdopt(list, have, h.adoptedNames(list), adapter) {
		if c.next.Head != nil {
			err := h.rt.Change("copy rule of "+c.of.Name, unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, c.next)
			if err != nil {
				return err
			}
		}
		if rtnl.IsInverted(c.rule) {
			if err := h.rt.RemoveRule(rtnl.RuleRequest(c.rule), c.of.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// ruleCopy is a member's rule and its copy for the adapter; a zero copy exists already.
type ruleCopy struct {
	of         *journal.MemberState
	rule, next rtnl.Object
}

// rulesToAdopt returns the rules of members with the copies that the adapter, with the rules have, gets. names are
// those of all NICs whose config is, or will be, on the adapter.
func rulesToAdopt(list []*journal.MemberState, have []rtnl.Object, names []string, adapter string) (copies []ruleCopy) {
	for _, m := range list {
		for _, r := range m.Rules {
			c := ruleCopy{of: m, rule: r}
			if next := rtnl.RuleFor(r, names, adapter); !rtnl.HasRule(have, next) {
				c.next, have = next, append(have, next)
			}
			copies = append(copies, c)
		}
	}
	return copies
}

// adoptedNames returns the names of all NICs whose config is, or will be, on the adapter.
func (h *Host) adoptedNames(more []*journal.MemberState) (names []string) {
	all := more
	if h.journal != nil {
		for _, m := range h.journal.State.Members {
			if m.Adopted && !slices.Contains(more, m) {
				all = append(all[:len(all):len(all)], m)
			}
		}
	}
	for _, m := range all {
		names = append(names, m.Names...)
	}
	return names
}

// adoptProxies copies a member's proxy entries.
func (h *Host) adoptProxies(from, to NIC) error {
	list, err := h.rt.Proxies(from.Index)
	if err != nil {
		return err
	}
	for _, n := range list {
		if err := h.rt.AddProxy(n, to.Index); err != nil {
			return err
		}
	}
	return nil
}
