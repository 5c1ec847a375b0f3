// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
)

// Addresses go where the host stays reachable: to the NIC that they came from if it is present and has a link, else to
// a NIC that has one. This file decides.

// hasIPv6 reports whether the NIC gets IPv6 back.
func (r *member) hasIPv6() bool { return r.was.Sysctls[disableIPv6] == "0" }

// canCarry reports whether the host can be reached by the NIC in this family.
func (r *member) canCarry(family byte) bool {
	return r.was.Up && r.hasLink && !r.was.Left && (family == unix.AF_INET || r.hasIPv6())
}

// readCarriers records which NICs have a link, or had one before their settings were restored: many lose it for seconds
// by that.
func (b *giveBack) readCarriers() error {
	list, err := b.h.links()
	if err != nil {
		return err
	}
	for _, r := range b.members {
		r.hasLink = r.nic.Carrier || slices.ContainsFunc(list,
			func(n NIC) bool { return n.Index == r.nic.Index && n.Carrier })
	}
	return nil
}

// inheritor returns the NIC that gets what cannot return to its own NIC: preferably one with a link, of those the one
// with the default route, else one with addresses. nil: no NIC has the family.
func (b *giveBack) inheritor(family byte) *member {
	able := []func(*member) bool{
		func(r *member) bool { return r.canCarry(family) },
		func(r *member) bool { return r.was.Up && (family == unix.AF_INET || r.hasIPv6()) },
		func(r *member) bool { return family == unix.AF_INET || r.hasIPv6() },
	}
	liked := []func(*member) bool{
		func(r *member) bool { return r.was.OwnsDefaultRoute() },
		func(r *member) bool {
			return slices.ContainsFunc(r.was.Addresses, func(a rtnl.Object) bool { return !r.was.IsKernelLinkLocal(a) })
		},
		func(*member) bool { return true },
	}
	for _, can := range able {
		for _, want := range liked {
			for _, r := range b.members {
				if can(r) && want(r) {
					return r
				}
			}
		}
	}
	return nil
}

// standInFor returns the NIC that carries a member's config in its place: for an absent NIC, and for one without link
// if another has one. nil: not needed, or impossible.
func (b *giveBack) standInFor(m *journal.MemberState, family byte) *member {
	r := b.memberOf(m)
	if to := b.started[memberFamily{m, family}]; to != nil && to.canCarry(family) {
		return to
	}
	if r != nil && (r.hasLink || !m.Up) || r == nil && !slices.Contains(b.absent, m) || !b.hasConfigOnAdapter(m) {
		return nil
	}
	inheritor := b.inheritor(family)
	if inheritor == r || r != nil && (inheritor == nil || !inheritor.canCarry(family)) {
		return nil
	}
	return inheritor
}

// memberFamily is a member's config of one family.
type memberFamily struct {
	of     *journal.MemberState
	family byte
}

// findStarted finds NICs that have config of others: a killed process had started to give it there, and the rest
// follows.
func (b *giveBack) findStarted() error {
	b.started = map[memberFamily]*member{}
	routes, err := b.h.rt.Routes()
	if err != nil {
		return err
	}
	all := rtnl.IndexRoutes(routes)
	for _, r := range b.members {
		have, err := b.h.rt.Addresses(r.nic.Index)
		if err != nil {
			return err
		}
		for _, a := range have {
			if m := b.ownerOf(a); m != nil && !rtnl.IsLinkLocal(a) && !r.was.HadAddress(a) {
				b.started[memberFamily{m, a.Family()}] = r
			}
		}
		own := rtnl.RouteIndex{}
		for _, o := range r.was.Routes {
			own.Add(rtnl.RouteRequest(o, map[int]int{r.was.Index: r.nic.Index}))
		}
		for _, m := range b.j.State.Members {
			if m == r.was || m.Away {
				continue
			}
			to := map[int]int{m.Index: r.nic.Index}
			for _, o := range m.Routes {
				there := rtnl.RouteRequest(o, to)
				if rtnl.RouteProtocol(o) != unix.RTPROT_KERNEL && all.Has(there) && !own.Has(there) {
					b.started[memberFamily{m, o.Family()}] = r
				}
			}
		}
	}
	return nil
}

// hasConfigOnAdapter reports whether config of the member is on the adapter.
func (b *giveBack) hasConfigOnAdapter(m *journal.MemberState) bool {
	return m.Adopted || slices.ContainsFunc(b.adapterAddresses,
		func(a rtnl.Object) bool { return !rtnl.IsLinkLocal(a) && m.HadAddress(a) })
}

// memberOf returns the member that is given back, nil if its NIC is absent.
func (b *giveBack) memberOf(m *journal.MemberState) *member {
	for _, r := range b.members {
		if r.was == m {
			return r
		}
	}
	return nil
}

// ownerOf returns the member whose address it was, preferably a present one; nil: nobody's.
func (b *giveBack) ownerOf(a rtnl.Object) *journal.MemberState {
	var gone *journal.MemberState
	for _, m := range b.j.State.Members {
		switch {
		case m.Away || !m.HadAddress(a):
		case b.memberOf(m) != nil:
			return m
		case gone == nil && slices.Contains(b.absent, m):
			gone = m
		}
	}
	return gone
}

// targetOf returns the NIC that gets an address of the adapter.
func (b *giveBack) targetOf(a rtnl.Object) *member {
	m := b.ownerOf(a)
	if m == nil {
		return b.inheritor(a.Family())
	}
	if r := b.standInFor(m, a.Family()); r != nil {
		return r
	}
	return b.memberOf(m)
}

// teamAddresses returns the addresses to be given to NICs: those on the adapter, and those that it lost by going down
// (IPv6) or vanishing (all).
func (b *giveBack) teamAddresses() []rtnl.Object {
	if b.adapter != nil && !b.adapterWentDown() {
		return b.adapterAddresses
	}
	list := slices.Clone(b.adapterAddresses)
	for _, m := range b.j.State.Members {
		for _, a := range m.Addresses {
			if b.adapter != nil && a.Family() != unix.AF_INET6 {
				continue
			}
			if later, ok := rtnl.Aged(a, (rtnl.BootTime()-m.At)/1e9); ok && m.Adopted && !m.Away &&
				!rtnl.HasAddress(list, a) {
				list = append(list, later)
			}
		}
	}
	return list
}

// goesToNIC reports whether a NIC gets the address at all: not the kernel's own of the adapter, nor those that the team
// was given.
func (b *giveBack) goesToNIC(a rtnl.Object) bool {
	if slices.Contains(b.j.State.Assigned, rtnl.AddressPrefix(a).String()) || b.adapter != nil &&
		b.adapter.kernelLinkLocal(a) {
		return false
	}
	m := b.ownerOf(a)
	return m == nil || !m.IsKernelLinkLocal(a)
}

// giveInheritedAddresses gives NICs addresses that they did not have: later ones, and those of NICs that cannot carry
// them. A NIC that can forms SLAAC addresses itself.
func (b *giveBack) giveInheritedAddresses() error {
	var errs []error
	noted := map[memberFamily]bool{}
	var wait journal.Config // of the first absent NIC
	for _, a := range b.teamAddresses() {
		m, to, inherited := b.inheritance(a)
		if !inherited {
			continue
		}
		formed := rtnl.IsAutoconfigured(a)
		if to == nil {
			switch {
			case len(b.absent) > 0 && m == nil:
				wait.AddInherited(b.absent[0], a, rtnl.BootTime())
				fallthrough
			case m != nil && b.memberOf(m) == nil:
				b.notef("%s stays in the journal: no NIC can have it", rtnl.AddressPrefix(a))
			default:
				b.notef("%s of %s is lost: no NIC has IPv6", rtnl.AddressPrefix(a), b.h.o.Team)
			}
			continue
		}
		if m != nil {
			b.notef("%s of %s goes to %s: %s", rtnl.AddressPrefix(a), m.Name, to.nic.Name, b.whyNotBack(m))
			if l := (memberFamily{m, a.Family()}); !noted[l] {
				noted[l] = true
				b.noteSettings(l, to)
			}
		}
		if formed && b.adapter != nil && to.acceptsRAs() && to.nic.MAC == b.adapter.MAC {
			to.reform = append(to.reform, a)
			continue
		}
		have, err := b.h.rt.Addresses(to.nic.Index)
		if next := b.inheritedAddress(a, m, to); err == nil && !rtnl.HasAddress(have, next) {
			err = b.h.rt.AddAddress(next, to.nic.Name)
		}
		if rtnl.IsInjectedCrash(err) {
			return err
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if !wait.Empty() {
		if err := b.j.Write(journal.Record{Kind: journal.KindGained, Done: true, No: b.absent[0].No,
			Config: &wait}); err != nil {
			return b.h.writeProblem(err)
		}
	}
	return errors.Join(errs...)
}

// inheritance reports whether an address of the adapter goes to a NIC that did not have it: whose it was (nil:
// nobody's), and which NIC gets it (nil: none can).
func (b *giveBack) inheritance(a rtnl.Object) (m *journal.MemberState, to *member, inherited bool) {
	m, to = b.ownerOf(a), b.targetOf(a)
	if !b.goesToNIC(a) || m != nil && (to != nil && m == to.was || rtnl.IsLinkLocal(a) && b.memberOf(m) != nil) {
		return m, to, false
	}
	formed := rtnl.IsAutoconfigured(a) || rtnl.IsTemporary(a)
	return m, to, m != nil || !formed || to != nil && to.was.Adopted
}

// noteSettings names sysctls that were set for the sake of the moved addresses and differ on the NIC that gets them.
// They are not changed: nobody would restore them when the first NIC works again.
func (b *giveBack) noteSettings(l memberFamily, to *member) {
	family := "ipv4/"
	if l.family == unix.AF_INET6 {
		family = "ipv6/"
	}
	if left := differingSettings(family, l.of, to.was); len(left) > 0 {
		b.notef("%s keeps its own settings; they differ in: %s", to.nic.Name, joinSome(left))
	}
}

// inheritedAddress returns the message that adds an address of the adapter (m's, or nobody's: nil) to a NIC.
func (b *giveBack) inheritedAddress(a rtnl.Object, m *journal.MemberState, to *member) rtnl.Object {
	if m != nil {
		i := slices.IndexFunc(m.Addresses, func(o rtnl.Object) bool { return rtnl.SameAddress(a, o) })
		return rtnl.Relabel(rtnl.AddressRequest(rtnl.WithMetric(rtnl.WithLifetimes(m.Addresses[i], a), a), to.nic.Index,
			0), m.Name, to.nic.Name)
	}
	next := rtnl.AddressRequest(a, to.nic.Index, 0)
	switch {
	case rtnl.IsTemporary(a):
	case rtnl.IsAutoconfigured(a):
		// the prefix's route is not this address's
		next = rtnl.AddressRequest(a, to.nic.Index, unix.IFA_F_NOPREFIXROUTE)
	case b.adapterConnects(a):
		// Its subnet's connected route was of a NIC that no record names; the kernel must add one.
		next = rtnl.WithoutFlags(next, unix.IFA_F_NOPREFIXROUTE)
	}
	return rtnl.Relabel(next, b.h.o.Team, to.nic.Name)
}

// adapterConnects reports whether the adapter has the kernel's connected route of the address.
func (b *giveBack) adapterConnects(a rtnl.Object) bool {
	if b.adapter == nil {
		return false
	}
	all, err := b.h.rt.Routes()
	subnet := rtnl.AddressPrefix(a).Masked()
	return err == nil && slices.ContainsFunc(rtnl.RoutesVia(all, b.adapter.Index), func(o rtnl.Object) bool {
		return rtnl.RouteProtocol(o) == unix.RTPROT_KERNEL && rtnl.Destination(o) == subnet
	})
}

// whyNotBack says why a NIC does not get its own addresses.
func (b *giveBack) whyNotBack(m *journal.MemberState) string {
	if b.memberOf(m) == nil {
		return m.Name + " is absent"
	}
	return m.Name + " has no link"
}

// routeTarget returns the NIC that gets a route of the adapter that was no member's: the NIC with its source address or
// its gateway's subnet, else the inheritor.
func (b *giveBack) routeTarget(o rtnl.Object, addresses []rtnl.Object) *member {
	with := func(has func(netip.Prefix) bool) *member {
		for _, r := range b.members {
			for _, a := range addresses {
				if a.Index() == r.nic.Index && !rtnl.IsLinkLocal(a) && has(rtnl.AddressPrefix(a)) {
					return r
				}
			}
		}
		return nil
	}
	source, ok := netip.AddrFromSlice(o.Get(unix.RTA_PREFSRC))
	if r := with(func(p netip.Prefix) bool { return ok && p.Addr() == source }); r != nil {
		return r // two NICs may be in one subnet
	}
	for _, gateway := range rtnl.Gateways(o, b.adapter.Index) {
		if r := with(func(p netip.Prefix) bool { return p.Contains(gateway) }); r != nil {
			return r
		}
	}
	return b.inheritor(o.Family())
}

// removeDuplicateAddresses removes addresses that are on two NICs: a killed process had given them to a stand-in and
// they have returned since, or had not yet removed them from a NIC without link.
func (b *giveBack) removeDuplicateAddresses() error {
	if !b.afterKill {
		return nil
	}
	for _, r := range b.members {
		have, err := b.h.rt.Addresses(r.nic.Index)
		if err != nil {
			return err
		}
		for _, a := range have {
			m := b.ownerOf(a)
			if m == nil && !rtnl.HasAddress(b.adapterAddresses, a) || rtnl.IsLinkLocal(a) || m != r.was &&
				r.was.HadAddress(a) {
				continue
			}
			home := b.targetOf(a)
			if home == nil || home == r {
				continue
			}
			there, err := b.h.rt.Addresses(home.nic.Index)
			if err != nil || !rtnl.HasAddress(there, a) {
				continue
			}
			if err := b.noteUnlessFatal(b.h.rt.DeleteAddress(a, r.nic.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkNothingLost refuses a give-back by which the host would lose addresses of the adapter.
func (b *giveBack) checkNothingLost() error {
	if b.adapter == nil {
		return nil
	}
	others, err := b.h.rt.AddressesElsewhere(b.adapter.Index)
	if err != nil {
		return err
	}
	var lost []string
	for _, a := range b.adapterAddresses {
		if b.goesToNIC(a) && b.ownerOf(a) == nil && len(b.members) == 0 && len(b.absent) == 0 &&
			!rtnl.HasAddress(others, a) {
			lost = append(lost, rtnl.AddressPrefix(a).String())
		}
	}
	if lost == nil {
		return nil
	}
	why := fmt.Sprintf("%s of %s would be lost: the journal names no present NIC", strings.Join(lost, ", "),
		b.adapter.Name)
	if len(b.j.Damaged) > 0 {
		return damagedProblem(b.h.o.Team, b.j.Path, why)
	}
	return &api.Problem{Kind: api.Failed, What: "release NICs of " + b.h.o.Team, Why: why,
		Fix: "move them by hand (ip address), then retry"}
}
