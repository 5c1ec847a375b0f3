// SPDX-License-Identifier: MIT

package host

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
)

// seedNeighbours copies the adapter's neighbours to the NICs before traffic moves. Until the host receives the NIC's
// frames, an ARP reply would be lost, and the next request comes a second later.
func (b *giveBack) seedNeighbours() error {
	if b.adapter == nil {
		return nil
	}
	list, err := b.h.rt.LearnedNeighbours(b.adapter.Index)
	if err != nil {
		return err
	}
	for _, n := range list {
		i := slices.IndexFunc(b.members, func(r *member) bool { return r.was.Up && r.reaches(rtnl.NeighbourAddr(n)) })
		if i < 0 {
			continue
		}
		if err := b.h.rt.SetNeighbour(n, b.members[i].nic.Index); rtnl.IsInjectedCrash(err) {
			return err // others are resolved when needed
		}
	}
	return nil
}

// reaches reports whether an address is on a subnet of the NIC, or one of its gateways.
func (r *member) reaches(a netip.Addr) bool {
	if a.Is6() && a.IsLinkLocalUnicast() {
		return slices.ContainsFunc(slices.Concat(r.was.Routes, r.was.Advertised),
			func(o rtnl.Object) bool { return slices.Contains(rtnl.Gateways(o, r.was.Index), a) })
	}
	return slices.ContainsFunc(r.was.Addresses, func(o rtnl.Object) bool { return rtnl.AddressPrefix(o).Contains(a) })
}

// restoreNeighbours restores permanent neighbours, and known gateways.
func (b *giveBack) restoreNeighbours() error {
	for _, r := range b.members {
		if r.nic.AdminUp != r.was.Up && !r.was.Up {
			continue
		}
		for _, n := range r.was.Neighbours {
			if n.Family() == unix.AF_INET6 && r.was.Sysctls[disableIPv6] != "0" {
				continue
			}
			err := b.h.rt.SetNeighbour(n, r.nic.Index)
			if err != nil && !rtnl.IsPermanent(n) && !rtnl.IsInjectedCrash(err) {
				continue // resolved when needed
			}
			if err := b.noteUnlessFatal(err); err != nil {
				return err
			}
		}
	}
	return nil
}

// restoreProxies restores proxy entries that the adapter still has; the inheritor gets later ones.
func (b *giveBack) restoreProxies(inheritor *member) error {
	var held []rtnl.Object
	if b.adapter != nil {
		var err error
		if held, err = b.h.rt.Proxies(b.adapter.Index); err != nil {
			return err
		}
	}
	give := func(n rtnl.Object, to *member) error {
		if n.Family() == unix.AF_INET6 && to.was.Sysctls[disableIPv6] != "0" {
			return nil
		}
		return b.noteUnlessFatal(b.h.rt.AddProxy(n, to.nic.Index))
	}
	for _, r := range b.members {
		for _, n := range r.was.Proxies {
			if r.was.Adopted && b.adapter != nil && b.adapter.AdminUp && !rtnl.HasNeighbour(held, n) {
				continue // somebody removed it
			}
			if err := give(n, r); err != nil {
				return err
			}
		}
	}
	for _, n := range held {
		kept := slices.ContainsFunc(b.j.State.Members,
			func(m *journal.MemberState) bool { return b.memberOf(m) != nil && rtnl.HasNeighbour(m.Proxies, n) })
		if kept || inheritor == nil {
			continue
		}
		if err := give(n, inheritor); err != nil {
			return err
		}
	}
	return nil
}
