// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
)

// Routes return in the order of releaseAll's steps:
//
//	moveRoutes           recorded routes that are on the adapter: IPv4 before the addresses (early), the rest after
//	restoreRoutes        recorded routes that are nowhere, unless somebody removed or replaced them on the adapter
//	giveInheritedRoutes  other routes of the adapter: added later, or a recorded one as somebody has changed it
//	reorderRoutes        order of IPv4 routes of one key
//
// RecordMember has journalled a member's routes before anything changed. A give-back journals none: it compares, so it
// can be repeated.

// originalRoutes returns the members' recorded routes, each once, with present ifindexes. Those of a NIC that cannot
// carry them name its stand-in.
func (b *giveBack) originalRoutes(family byte) []rtnl.Object {
	return b.originalRoutesOf(family, func(*journal.MemberState) bool { return true })
}

func (b *giveBack) originalRoutesOf(family byte, which func(*journal.MemberState) bool) []rtnl.Object {
	var list []rtnl.Object
	listed := rtnl.RouteIndex{}
	for _, m := range b.j.State.Members {
		r, instead := b.memberOf(m), b.standInFor(m, family)
		if !m.Up || m.Away || r == nil && instead == nil || !which(m) {
			continue // a link that is down has none
		}
		by := b.indexNow
		if instead != nil {
			by = maps.Clone(b.indexNow)
			by[m.Index] = instead.nic.Index
		}
		for _, o := range m.Routes {
			if o.Family() != family || b.adapter != nil && slices.Contains(rtnl.RouteLinks(o), b.adapter.Index) {
				continue
			}
			if b.metricChanged(m, o) {
				continue
			}
			o = rtnl.RouteRequest(o, by)
			if !listed.Has(o) {
				list = append(list, o)
				listed.Add(o)
			}
		}
	}
	return list
}

// metricChanged reports whether a route was the connected route of an address whose metric has changed since.
func (b *giveBack) metricChanged(m *journal.MemberState, o rtnl.Object) bool {
	return slices.ContainsFunc(m.Addresses, func(a rtnl.Object) bool {
		i := slices.IndexFunc(b.adapterAddresses, func(h rtnl.Object) bool { return rtnl.SameAddress(a, h) })
		return i >= 0 && rtnl.IsConnectedRoute(o, a) &&
			a.Get32(rtnl.IFAMetric) != b.adapterAddresses[i].Get32(rtnl.IFAMetric)
	})
}

// onAdapter returns the form of an original route on the adapter.
func (b *giveBack) onAdapter(o rtnl.Object) rtnl.Object {
	to := map[int]int{}
	for _, r := range b.members {
		to[r.nic.Index] = b.adapter.Index
	}
	return rtnl.RouteRequest(o, to)
}

// withoutDeadHops returns a route without next hops on NICs that go back down: the kernel keeps such hops when a NIC
// goes down, but refuses new ones. A route with no other hop is unchanged.
func (b *giveBack) withoutDeadHops(o rtnl.Object) rtnl.Object {
	down := func(n []byte) bool {
		return slices.ContainsFunc(b.members,
			func(r *member) bool { return r.nic.Index == rtnl.NextHopLink(n) && !r.was.Up })
	}
	hops := rtnl.NextHops(o.Get(unix.RTA_MULTIPATH))
	if !slices.ContainsFunc(hops, down) {
		return o
	}
	var live []byte
	for _, n := range hops {
		if !down(n) {
			live = append(live, n...)
			for len(live)%4 != 0 {
				live = append(live, 0)
			}
		}
	}
	if live == nil {
		return o
	}
	o = o.Clone()
	o.Set(unix.RTA_MULTIPATH, live)
	return o
}

// moveRoutes moves routes of a family from the adapter to their NICs. IPv4 routes move before the addresses, so that
// the kernel adds no connected routes behind them, except those whose gateway needs the address first (early). IPv6
// routes need the addresses that they name.
func (b *giveBack) moveRoutes(family byte, early bool) error {
	if b.adapter == nil {
		return nil
	}
	routes, err := b.h.rt.Routes()
	if err != nil {
		return err
	}
	all := rtnl.IndexRoutes(routes)
	list := b.originalRoutes(family)
	rtnl.SortByDependence(list)
	for _, o := range list {
		now := b.onAdapter(o)
		if !all.Has(now) {
			continue
		}
		if live := b.withoutDeadHops(o); !live.Equal(o) {
			b.notef("a next hop of the %s is not restored: its NIC is down", rtnl.RouteText(o))
			o = live
		}
		if all.Has(o) {
			err = b.h.rt.DeleteRoute(rtnl.RouteRequest(now, nil))
		} else {
			err = b.h.rt.MoveRoute(all, now, o)
		}
		if early && errors.Is(err, unix.ENETUNREACH) {
			continue
		}
		if err := b.noteUnlessFatal(err); err != nil {
			return err
		}
	}
	return nil
}

// removedRoutes returns original routes that somebody removed from the adapter while others remained. If all are gone,
// the adapter lost them by going down. there reports whether a route has moved, or will.
func (b *giveBack) removedRoutes(there func(rtnl.Object) bool) (gone []rtnl.Object) {
	if b.adapter == nil || !b.adapter.AdminUp {
		return nil
	}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		kept := false
		var missing []rtnl.Object
		for _, o := range b.originalRoutesOf(family, func(m *journal.MemberState) bool { return m.Adopted }) {
			switch {
			case rtnl.RouteProtocol(o) == unix.RTPROT_KERNEL:
			case there(o):
				kept = true
			default:
				missing = append(missing, o)
			}
		}
		if kept {
			gone = append(gone, missing...)
		}
	}
	return gone
}

// restoreRoutes adds original routes that are missing, and deletes connected routes that the kernel added and that were
// not there. It skips a route whose key another one has taken, and one whose source address is gone.
func (b *giveBack) restoreRoutes() error {
	routes, err := b.h.rt.Routes()
	if err != nil {
		return err
	}
	addresses, err := b.h.rt.Dump(unix.RTM_GETADDR, unix.AF_UNSPEC, rtnl.AddressHeaderLen)
	if err != nil {
		return err
	}
	list := append(b.originalRoutes(unix.AF_INET), b.originalRoutes(unix.AF_INET6)...)
	rtnl.SortByDependence(list)
	all, listed := rtnl.IndexRoutes(routes), rtnl.IndexRoutes(list)
	gone := rtnl.IndexRoutes(b.removedRoutes(func(o rtnl.Object) bool {
		return all.Has(o) || all.Has(b.withoutDeadHops(o))
	}))
	for _, o := range list {
		if gone.Has(o) {
			b.notef("the %s is no longer on %s: not restored", rtnl.RouteText(o), b.adapter.Name)
			continue
		}
		taken := func(r rtnl.Object) bool {
			return b.adapter != nil && slices.Contains(rtnl.RouteLinks(r), b.adapter.Index) &&
				!b.j.State.IsAssignedRoute(r, b.adapter.Index)
		}
		o = b.withoutDeadHops(o)
		if all.Has(o) || slices.ContainsFunc(all.SameKey(o), taken) || !rtnl.HasSource(addresses, o) ||
			o.Get(rtnl.RTANexthopID) != nil {
			continue
		}
		// If a source address is removed, the kernel keeps an IPv6 route without it, which is in the way.
		if bare := rtnl.WithoutSource(o); o.Family() == unix.AF_INET6 && all.Has(bare) &&
			!listed.Has(bare) {
			if err := b.noteUnlessFatal(b.h.rt.DeleteRoute(bare)); err != nil {
				return err
			}
		}
		if err := b.noteUnlessFatal(b.h.rt.AddRoute(o)); err != nil {
			return err
		}
	}
	for _, r := range b.members {
		for _, o := range rtnl.RoutesVia(routes, r.nic.Index) {
			if !r.was.NeedsRestore() || r.was.Guessed || rtnl.RouteProtocol(o) != unix.RTPROT_KERNEL ||
				listed.Has(o) || r.inheritedSubnet(addresses, o) {
				continue
			}
			if err := b.noteUnlessFatal(b.h.rt.DeleteRoute(rtnl.RouteRequest(o, nil))); err != nil {
				return err
			}
		}
	}
	return nil
}

// inheritedSubnet reports whether a route is the subnet of an address that the NIC did not have, or had with another
// metric.
func (r *member) inheritedSubnet(addresses []rtnl.Object, o rtnl.Object) bool {
	subnet := rtnl.Destination(o)
	return slices.ContainsFunc(addresses, func(a rtnl.Object) bool {
		i := slices.IndexFunc(r.was.Addresses, func(was rtnl.Object) bool { return rtnl.SameAddress(was, a) })
		return a.Index() == r.nic.Index && rtnl.AddressPrefix(a).Masked() == subnet &&
			(i < 0 || rtnl.IsConnectedRoute(o, a) &&
				r.was.Addresses[i].Get32(rtnl.IFAMetric) != a.Get32(rtnl.IFAMetric))
	})
}

// giveInheritedRoutes moves routes that came to the adapter while the team ran.
func (b *giveBack) giveInheritedRoutes() error {
	if b.adapter == nil {
		return nil
	}
	all, err := b.h.rt.Routes()
	if err != nil {
		return err
	}
	addresses, err := b.h.rt.AddressesElsewhere(b.adapter.Index)
	if err != nil {
		return err
	}
	list, index := rtnl.RoutesVia(all, b.adapter.Index), rtnl.IndexRoutes(all)
	rtnl.SortByDependence(list)
	for _, o := range list {
		if !b.goesOn(o) {
			continue
		}
		to := b.routeTarget(o, addresses)
		if to == nil {
			continue
		}
		if err := b.noteUnlessFatal(b.h.rt.MoveRoute(index, o,
			rtnl.RouteRequest(o, map[int]int{b.adapter.Index: to.nic.Index}))); err != nil {
			return err
		}
	}
	return nil
}

// goesOn reports whether a route of the adapter that was no NIC's goes to one.
func (b *giveBack) goesOn(o rtnl.Object) bool {
	return rtnl.RouteProtocol(o) != unix.RTPROT_KERNEL && !b.j.State.IsAssignedRoute(o, b.adapter.Index)
}

// restoreRules restores members' rules that copies had replaced, and removes the copies: the kernel keeps rules of a
// link that is gone. If a copy is missing, somebody removed it, and the member's rule is not restored either.
func (b *giveBack) restoreRules() error {
	adapter := b.j.State.AdapterName()
	copies, err := b.h.rt.RuleCopies(adapter)
	if err != nil {
		return err
	}
	all, err := b.h.rt.Rules()
	if err != nil {
		return err
	}
	for _, m := range b.j.State.Members {
		if !m.Adopted {
			continue
		}
		var own []rtnl.Object
		for _, name := range m.Names {
			own = append(own, rtnl.RulesOf(all, name)...)
		}
		for _, r := range m.Rules {
			copied := slices.ContainsFunc(copies, func(c rtnl.Object) bool { return rtnl.IsCopyOf(c, r) })
			if !rtnl.IsInverted(r) || rtnl.HasRule(own, rtnl.RuleRequest(r)) || !copied {
				continue
			}
			err := b.h.rt.Change("give back rule of "+m.Name, unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL,
				rtnl.RuleRequest(r))
			if err := b.noteUnlessFatal(err); err != nil {
				return err
			}
		}
	}
	// The kernel may remove another copy than the requested one: see RemoveRule.
	for range copies {
		left, err := b.h.rt.RuleCopies(adapter)
		if err != nil || len(left) == 0 {
			return err
		}
		if err := b.noteUnlessFatal(b.h.rt.Change("remove rule of "+adapter, unix.RTM_DELRULE, 0,
			rtnl.RuleRequest(left[0]))); err != nil {
			return err
		}
	}
	return nil
}
