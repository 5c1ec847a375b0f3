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

// What the adapter has when a team ends goes where the host stays reachable by it: to the NIC that it came from if that is
// there and has a link, else to one that has. This file decides where.

// hasIPv6 reports whether the NIC gets IPv6 back.
func (r *returning) hasIPv6() bool { return r.m.Sysctls[disableIPv6] == "0" }

// takes reports whether a NIC is one that an address of this family can be reached by.
func (r *returning) takes(family byte) bool {
	return r.m.Up && r.linked && !r.m.Left && (family == unix.AF_INET || r.hasIPv6())
}

// lookAtLinks notes which NICs have a link, or had one before their settings were put back: many lose it for seconds by that.
func (b *back) lookAtLinks() error {
	list, err := b.h.links()
	if err != nil {
		return err
	}
	for _, r := range b.members {
		r.linked = r.nic.Carrier || slices.ContainsFunc(list, func(n NIC) bool { return n.Index == r.nic.Index && n.Carrier })
	}
	return nil
}

// inheritor is the NIC that gets what no NIC can have back that it came from: first those with a link, of them the one that had the
// default route, else one with addresses. nil: there is none with this family.
func (b *back) inheritor(family byte) *returning {
	able := []func(*returning) bool{
		func(r *returning) bool { return r.takes(family) },
		func(r *returning) bool { return r.m.Up && (family == unix.AF_INET || r.hasIPv6()) },
		func(r *returning) bool { return family == unix.AF_INET || r.hasIPv6() },
	}
	liked := []func(*returning) bool{
		func(r *returning) bool { return r.m.OwnsDefaultRoute() },
		func(r *returning) bool {
			return slices.ContainsFunc(r.m.Addresses, func(a rtnl.Object) bool { return !r.m.IsKernelLinkLocal(a) })
		},
		func(*returning) bool { return true },
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

// replaced is the NIC that stands in for one that cannot carry its own, nil if that is not needed or nobody can: for a NIC
// that is not there, and for one without link while another has one.
func (b *back) replaced(m *journal.MemberState, family byte) *returning {
	r := b.of(m)
	if to := b.begun[memberFamily{m, family}]; to != nil && to.takes(family) {
		return to
	}
	if r != nil && (r.linked || !m.Up) || r == nil && !slices.Contains(b.away, m) || !b.lent(m) {
		return nil
	}
	inheritor := b.inheritor(family)
	if inheritor == r || r != nil && (inheritor == nil || !inheritor.takes(family)) {
		return nil
	}
	return inheritor
}

// memberFamily is what a member had of a family of addresses.
type memberFamily struct {
	of     *journal.MemberState
	family byte
}

// lookForBegun finds NICs that have addresses or routes of others: a process that was killed had begun to give them there, and
// the rest is to follow.
func (b *back) lookForBegun() error {
	b.begun = map[memberFamily]*returning{}
	all, err := b.h.rt.Routes()
	if err != nil {
		return err
	}
	for _, r := range b.members {
		have, err := b.h.rt.Addresses(r.nic.Index)
		if err != nil {
			return err
		}
		for _, a := range have {
			if m := b.owner(a); m != nil && !rtnl.IsLinkLocal(a) && !r.m.HadAddress(a) {
				b.begun[memberFamily{m, a.Family()}] = r
			}
		}
		own := map[int]int{r.m.Index: r.nic.Index}
		for _, m := range b.j.State.Members {
			for _, o := range m.Routes {
				there := rtnl.RouteRequest(o, map[int]int{m.Index: r.nic.Index})
				was := slices.ContainsFunc(r.m.Routes, func(p rtnl.Object) bool { return rtnl.SameRoute(rtnl.RouteRequest(p, own), there) })
				if m != r.m && !m.Away && rtnl.RouteProtocol(o) != unix.RTPROT_KERNEL && rtnl.HasRoute(all, there) && !was {
					b.begun[memberFamily{m, o.Family()}] = r
				}
			}
		}
	}
	return nil
}

// lent reports whether what a member had is on the adapter.
func (b *back) lent(m *journal.MemberState) bool {
	return m.Adopted || slices.ContainsFunc(b.held, func(a rtnl.Object) bool { return !rtnl.IsLinkLocal(a) && m.HadAddress(a) })
}

// of is a member on its way back, nil if its NIC is not there.
func (b *back) of(m *journal.MemberState) *returning {
	for _, r := range b.members {
		if r.m == m {
			return r
		}
	}
	return nil
}

// owner is whose an address of the adapter was, one that is there if there are several; nil: nobody's.
func (b *back) owner(a rtnl.Object) *journal.MemberState {
	var gone *journal.MemberState
	for _, m := range b.j.State.Members {
		switch {
		case m.Away || !m.HadAddress(a):
		case b.of(m) != nil:
			return m
		case gone == nil && slices.Contains(b.away, m):
			gone = m
		}
	}
	return gone
}

// home is the NIC that gets an address of the adapter.
func (b *back) home(a rtnl.Object) *returning {
	m := b.owner(a)
	if m == nil {
		return b.inheritor(a.Family())
	}
	if r := b.replaced(m, a.Family()); r != nil {
		return r
	}
	return b.of(m)
}

// teamAddresses are the addresses that the team has and NICs are to get: those of the adapter, with the IPv6 ones that it lost by
// going down, or where it is no more those that its members lent it.
func (b *back) teamAddresses() []rtnl.Object {
	if b.adapter != nil && !b.wentDown() {
		return b.held
	}
	list := slices.Clone(b.held)
	for _, m := range b.j.State.Members {
		for _, a := range m.Addresses {
			if b.adapter != nil && a.Family() != unix.AF_INET6 {
				continue
			}
			if later, ok := rtnl.Aged(a, (rtnl.BootTime()-m.At)/1e9); ok && m.Adopted && !m.Away && !rtnl.HasAddress(list, a) {
				list = append(list, later)
			}
		}
	}
	return list
}

// returns reports whether an address of the team goes to a NIC at all: not what the kernel makes by itself for the adapter, nor what
// the team was given.
func (b *back) returns(a rtnl.Object) bool {
	if slices.Contains(b.j.State.Given, rtnl.AddressPrefix(a).String()) || b.adapter != nil && b.adapter.kernelLinkLocal(a) {
		return false
	}
	m := b.owner(a)
	return m == nil || !m.IsKernelLinkLocal(a)
}

// inheritAddresses gives NICs the addresses that they have not had: later ones, and those of NICs that cannot carry them. Those
// that the kernel formed from advertisements a NIC forms by itself where it can, and without the members' addresses
// on it the adapter had them for its own.
func (b *back) inheritAddresses() error {
	var errs []error
	told := map[memberFamily]bool{}
	var wait journal.Config // of the first NIC that is away
	for _, a := range b.teamAddresses() {
		m, to := b.owner(a), b.home(a)
		if !b.returns(a) || m != nil && (to != nil && m == to.m || rtnl.IsLinkLocal(a) && b.of(m) != nil) {
			continue
		}
		formed := rtnl.IsAutoconfigured(a)
		if m == nil && (formed || rtnl.IsTemporary(a)) && (to == nil || !to.m.Adopted) {
			continue
		}
		if to == nil {
			switch {
			case len(b.away) > 0 && m == nil:
				wait.AddInherited(b.away[0], a, rtnl.BootTime())
				fallthrough
			case m != nil && b.of(m) == nil:
				b.note("%s waits in the journal: no NIC is there that can have it", rtnl.AddressPrefix(a))
			default:
				b.note("%s of %s is given to nobody: no NIC has IPv6", rtnl.AddressPrefix(a), b.h.o.Team)
			}
			continue
		}
		if m != nil {
			b.note("%s of %s is given to %s: %s", rtnl.AddressPrefix(a), m.Name, to.nic.Name, b.why(m))
			if l := (memberFamily{m, a.Family()}); !told[l] {
				told[l] = true
				b.noteSettings(l, to)
			}
		}
		if formed && b.adapter != nil && to.learns() && to.nic.MAC == b.adapter.MAC {
			to.form = append(to.form, a)
			continue
		}
		have, err := b.h.rt.Addresses(to.nic.Index)
		if next := b.inherited(a, m, to); err == nil && !rtnl.HasAddress(have, next) {
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
		if err := b.j.Write(journal.Record{Kind: journal.KindGained, Done: true, No: b.away[0].No, Config: &wait}); err != nil {
			return b.h.journalProblem(err)
		}
	}
	return errors.Join(errs...)
}

// noteSettings names the settings that somebody gave a NIC with its addresses in mind and that the one which gets them has
// otherwise: they are its own, and nobody would set them back when the first one works again.
func (b *back) noteSettings(l memberFamily, to *returning) {
	family := "ipv4/"
	if l.family == unix.AF_INET6 {
		family = "ipv6/"
	}
	if left := otherSettings(family, l.of, to.m); len(left) > 0 {
		b.note("%s keeps its own settings; these are not its: %s", to.nic.Name, some(left))
	}
}

// inherited is what an address of the adapter, m's before or nobody's, becomes on a NIC.
func (b *back) inherited(a rtnl.Object, m *journal.MemberState, to *returning) rtnl.Object {
	if m != nil {
		i := slices.IndexFunc(m.Addresses, func(o rtnl.Object) bool { return rtnl.SameAddress(a, o) })
		return rtnl.Relabel(rtnl.AddressRequest(rtnl.WithMetric(rtnl.WithLifetimes(m.Addresses[i], a), a), to.nic.Index, 0), m.Name, to.nic.Name)
	}
	next := rtnl.AddressRequest(a, to.nic.Index, 0)
	switch {
	case rtnl.IsTemporary(a):
	case rtnl.IsAutoconfigured(a):
		next = rtnl.AddressRequest(a, to.nic.Index, unix.IFA_F_NOPREFIXROUTE) // the prefix's route is not this address's
	case b.connected(a):
		// The kernel does not move the route of its subnet, which was made for a NIC that nobody knows of any more.
		next = rtnl.WithoutFlags(next, unix.IFA_F_NOPREFIXROUTE)
	}
	return rtnl.Relabel(next, b.h.o.Team, to.nic.Name)
}

// connected reports whether the adapter has a route of the kernel's to the subnet of an address.
func (b *back) connected(a rtnl.Object) bool {
	if b.adapter == nil {
		return false
	}
	all, err := b.h.rt.Routes()
	subnet := rtnl.AddressPrefix(a).Masked()
	return err == nil && slices.ContainsFunc(rtnl.RoutesVia(all, b.adapter.Index), func(o rtnl.Object) bool {
		return rtnl.RouteProtocol(o) == unix.RTPROT_KERNEL && rtnl.Destination(o) == subnet
	})
}

// why a NIC does not get its own.
func (b *back) why(m *journal.MemberState) string {
	if b.of(m) == nil {
		return m.Name + " is not there"
	}
	return m.Name + " has no link"
}

// homeOf is the NIC that gets a route of the adapter that was none of the members': one whose address it gives packets, or on
// whose subnet its gateway is, else the inheritor.
func (b *back) homeOf(o rtnl.Object, addresses []rtnl.Object) *returning {
	var wanted []netip.Addr
	if source, ok := netip.AddrFromSlice(o.Get(unix.RTA_PREFSRC)); ok {
		wanted = append(wanted, source)
	}
	wanted = append(wanted, rtnl.Gateways(o, b.adapter.Index)...)
	for _, want := range wanted {
		for _, r := range b.members {
			for _, a := range addresses {
				if a.Index() == r.nic.Index && !rtnl.IsLinkLocal(a) && rtnl.AddressPrefix(a).Contains(want) {
					return r
				}
			}
		}
	}
	return b.inheritor(o.Family())
}

// clearStrays takes addresses off NICs that are on another one, too: a process that was killed had begun to give them there and
// they have come home since, or had not taken them off a NIC without link yet, for which the other one stands in.
func (b *back) clearStrays() error {
	if !b.thorough {
		return nil
	}
	for _, r := range b.members {
		have, err := b.h.rt.Addresses(r.nic.Index)
		if err != nil {
			return err
		}
		for _, a := range have {
			m := b.owner(a)
			if m == nil && !rtnl.HasAddress(b.held, a) || rtnl.IsLinkLocal(a) || m != r.m && r.m.HadAddress(a) {
				continue
			}
			home := b.home(a)
			if home == nil || home == r {
				continue
			}
			there, err := b.h.rt.Addresses(home.nic.Index)
			if err != nil || !rtnl.HasAddress(there, a) {
				continue
			}
			if err := b.soften(b.h.rt.DeleteAddress(a, r.nic.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// refuse says why members cannot be given back: the adapter has addresses that the host would lose.
func (b *back) refuse() error {
	if b.adapter == nil {
		return nil
	}
	others, err := b.h.rt.AddressesElsewhere(b.adapter.Index)
	if err != nil {
		return err
	}
	var lost []string
	for _, a := range b.held {
		if b.returns(a) && b.owner(a) == nil && len(b.members) == 0 && len(b.away) == 0 && !rtnl.HasAddress(others, a) {
			lost = append(lost, rtnl.AddressPrefix(a).String())
		}
	}
	if lost == nil {
		return nil
	}
	why := fmt.Sprintf("%s of %s would be lost: the journal names no NIC of the team that is there", strings.Join(lost, ", "), b.adapter.Name)
	if len(b.j.Damaged) > 0 {
		return damagedProblem(b.h.o.Team, b.j.Path, why)
	}
	return &api.Problem{Kind: api.Failed, What: "give NICs of " + b.h.o.Team + " back", Why: why,
		Fix: "move them by hand (ip address), then repeat the command"}
}
