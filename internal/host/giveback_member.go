// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
)

// giveBack gives members back, in phases over all members. In this order every address is on the adapter or a NIC at
// each moment, and every route leads somewhere.
type giveBack struct {
	h                *Host
	j                *journal.Journal
	members          []*member
	indexNow         map[int]int              // recorded ifindex → present one
	adapter          *NIC                     // nil: gone, or not involved
	adapterAddresses []rtnl.Object            // the adapter's addresses
	absent           []*journal.MemberState   // their NICs are not there
	started          map[memberFamily]*member // which NIC has got the first of it
	notes            []string

	afterKill bool // the journal may have lost records
}

// member is a member that is given back.
type member struct {
	was  *journal.MemberState
	link netlink.Link
	nic  NIC

	hasLink bool          // has, or just had, a link
	reform  []rtnl.Object // formed again from an advertisement
	order6  []rtnl.Object // IPv6 addresses in order, if some are formed again
}

// acceptsRAs reports whether the NIC's kernel accepts router advertisements after the give-back.
func (r *member) acceptsRAs() bool { return r.was.Up && r.was.Sysctls[disableIPv6] == "0" }

func (b *giveBack) addMember(m *journal.MemberState, l netlink.Link, n NIC) {
	b.members = append(b.members, &member{was: m, link: l, nic: n})
}

func (b *giveBack) notef(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

// noteUnlessFatal turns an error into a note, because a give-back goes on; not so an injected crash.
func (b *giveBack) noteUnlessFatal(err error) error {
	if err == nil || rtnl.IsInjectedCrash(err) {
		return err
	}
	b.notef("%v", err)
	return nil
}

// restoreLinks restores links: up or down, MTU, features, IPv6.
func (b *giveBack) restoreLinks(down bool) error {
	for _, r := range b.members {
		if !r.was.NeedsRestore() {
			continue
		}
		if err := b.h.restoreLink(b, r, r.was.Up && !down); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) restoreLink(b *giveBack, r *member, up bool) error {
	m, name := r.was, r.nic.Name
	if !up {
		if err := b.noteUnlessFatal(h.rt.SetUp(r.link, false)); err != nil {
			return err
		}
	}
	err := runAll(
		func() error { return b.noteUnlessFatal(h.rt.SetMTU(r.link, m.MTU)) },
		func() error { return b.noteUnlessFatal(h.setFeatures(name, m.Features)) },
		func() error { return b.noteUnlessFatal(h.setSegment(r.link, m.Segment)) },
	)
	if err != nil {
		return err
	}
	if m.Sysctls[disableIPv6] == "0" {
		// The host has just had these addresses: duplicate address detection would only disable them for a second.
		if err := b.noteUnlessFatal(h.ignoreReadOnly(h.writeSysctl(name, acceptDAD, "0"))); err != nil {
			return err
		}
	}
	if err := b.noteUnlessFatal(h.restoreAddrGenMode(r)); err != nil {
		return err
	}
	if up {
		if err := h.rt.SetUp(r.link, true); err != nil {
			return err
		}
	}
	return runAll(
		func() error { return b.noteUnlessFatal(h.restoreResetSettings(r)) },
		// arp_ignore waits until the host gets the NIC's frames, accept_dad for the addresses: see restoreLateSysctls.
		func() error {
			return b.noteUnlessFatal(h.ignoreReadOnly(h.restoreSysctls(name, m.Sysctls, ipv6MTU, disableIPv6)))
		},
	)
}

// restoreResetSettings restores settings that the kernel has reset: all of a NIC that went away and returned; those of
// IPv6 if the MTU was below IPv6's minimum, because IPv6 then restarts, and is not off.
func (h *Host) restoreResetSettings(r *member) error {
	family := "ipv6/"
	off, _ := readSysctl(r.nic.Name, disableIPv6)
	switch {
	case r.nic.Index != r.was.Index:
		family = ""
	case r.was.Stripped && off == "0", r.nic.MTU < MinMTUIPv6 && r.was.MTU >= MinMTUIPv6:
	default:
		return nil
	}
	return runAll(
		func() error { return h.setToken(r.nic, r.was.Token) },
		func() error { return h.restoreDefaults(r.nic.Name, &r.was.Member, family) },
	)
}

// giveLinkLocals restores link-local addresses. Those set by hand leave the adapter, unless another member has the
// same.
func (b *giveBack) giveLinkLocals(adapter NIC, down bool) error {
	for _, r := range b.members {
		want := slices.DeleteFunc(slices.Clone(r.was.Addresses),
			func(a rtnl.Object) bool { return down || !rtnl.IsLinkLocal(a) })
		if err := b.setAddresses(r, want); err != nil {
			return err
		}
		for _, a := range want {
			if r.was.IsKernelLinkLocal(a) || adapter.Index == 0 || b.onAdapterFromAnother(r, a) {
				continue
			}
			if err := b.h.rt.DeleteAddress(rtnl.AddressRequest(a, adapter.Index, 0), adapter.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// onAdapterFromAnother reports whether the adapter also has the address from another member.
func (b *giveBack) onAdapterFromAnother(r *member, a rtnl.Object) bool {
	return slices.ContainsFunc(b.j.State.Members, func(m *journal.MemberState) bool {
		return m != r.was && m.Adopted && rtnl.HasAddress(m.Addresses, a) && !m.IsKernelLinkLocal(a)
	})
}

// restoreUnmoved restores config that never moved to the adapter.
func (b *giveBack) restoreUnmoved(down bool) error {
	for _, r := range b.members {
		want := r.was.Addresses
		if down {
			want = slices.DeleteFunc(slices.Clone(want), rtnl.IsLinkLocal)
		}
		if err := b.setAddresses(r, want); err != nil {
			return err
		}
	}
	return runAll(b.restoreRoutes, b.restoreNeighbours, func() error { return b.restoreProxies(nil) })
}

// addressesOf returns the member's addresses to be restored: those on the adapter or on the NIC. One on neither was
// removed by the user, unless the adapter lost it by going down or vanishing.
func (b *giveBack) addressesOf(r *member) ([]rtnl.Object, error) {
	have, err := b.h.rt.Addresses(r.nic.Index)
	if err != nil {
		return nil, err
	}
	held := b.teamAddresses()
	var want []rtnl.Object
	for _, a := range r.was.Addresses {
		i := slices.IndexFunc(held, func(o rtnl.Object) bool { return rtnl.SameAddress(a, o) })
		switch {
		case i >= 0 && !rtnl.IsLinkLocal(a) && b.standInFor(r.was, a.Family()) != nil:
			continue
		case i >= 0:
			want = append(want, rtnl.WithMetric(rtnl.WithLifetimes(a, held[i]), held[i]))
			continue
		case r.was.IsKernelLinkLocal(a), rtnl.HasAddress(have, a), !r.was.Adopted:
		case b.adapter == nil: // it has expired
		default:
			b.notef("%s is no longer on %s: not restored on %s", rtnl.AddressPrefix(a), b.adapter.Name, r.nic.Name)
			continue
		}
		if later, ok := rtnl.Aged(a, (rtnl.BootTime()-r.was.At)/1e9); ok {
			want = append(want, later)
		}
	}
	return want, nil
}

// adapterWentDown reports whether the adapter is down, or was and has not got its IPv6 addresses back. Addresses that
// somebody removes while the team runs are no longer in the journal.
func (b *giveBack) adapterWentDown() bool {
	return !b.adapter.AdminUp || !slices.ContainsFunc(b.adapterAddresses, func(a rtnl.Object) bool {
		return a.Family() == unix.AF_INET6 && !rtnl.IsLinkLocal(a) && b.ownerOf(a) != nil
	})
}

// setAddresses gives a NIC these addresses, in this order.
func (b *giveBack) setAddresses(r *member, want []rtnl.Object) error {
	h, name := b.h, r.nic.Name
	have, err := h.rt.Addresses(r.nic.Index)
	if err != nil {
		return err
	}
	if r.was.NeedsRestore() && !r.was.Guessed {
		// A NIC recorded without carrier may have had no link-local address yet: one that the kernel forms now stays.
		had := slices.ContainsFunc(r.was.Addresses, rtnl.IsLinkLocal)
		for _, a := range have {
			if rtnl.IsLinkLocal(a) && !rtnl.HasAddress(want, a) && (had || !r.was.IsKernelLinkLocal(a)) {
				if err := h.rt.DeleteAddress(a, name); err != nil {
					return err
				}
			}
		}
	}
	var v4, v6, private []rtnl.Object
	for _, a := range want {
		if rtnl.AddressFlags(a)&unix.IFA_F_DADFAILED != 0 {
			continue
		}
		next := rtnl.AddressRequest(a, r.nic.Index, 0)
		switch {
		case a.Family() == unix.AF_INET:
			v4 = append(v4, next)
		case r.was.Sysctls[disableIPv6] != "0":
		case rtnl.IsTemporary(a) && r.acceptsRAs():
			private = append(private, next)
		default:
			v6 = append(v6, next)
		}
	}
	// Temporary addresses in any order: the kernel makes new ones beside them.
	if err := h.rt.AddMissingAddresses(slices.Concat(v4, private), have, name); err != nil {
		return err
	}
	return h.rt.AddAddressesInOrder(r.deferFormed(v6), r.nic.Index, name)
}

// deferFormed returns the IPv6 addresses to be added at once. The kernel forms SLAAC addresses again (see
// restoreRAState), and addresses that stood before those are added after them, because the kernel prepends.
func (r *member) deferFormed(v6 []rtnl.Object) []rtnl.Object {
	if !r.acceptsRAs() {
		return v6
	}
	wanted := slices.Clone(v6)
	first := len(v6) // of those that need not wait
	for i, a := range slices.Backward(v6) {
		if !rtnl.IsAutoconfigured(a) {
			continue
		}
		if first == len(v6) {
			first = i + 1
		}
		r.reform = append(r.reform, a)
		// In case the kernel does not: the prefix's route is not this address's.
		wanted[i] = rtnl.AddressRequest(a, r.nic.Index, unix.IFA_F_NOPREFIXROUTE)
	}
	if len(r.reform) == 0 {
		return v6
	}
	r.order6 = wanted
	return v6[first:]
}

// unisolate lets the host's stack receive the members' frames.
func (b *giveBack) unisolate() error {
	var errs []error
	hooks, indices := b.h.hooks, []int(nil)
	for _, r := range b.members {
		hooks.Forget(r.was.Index)
		indices = append(indices, r.was.Index)
	}
	hooks.Open(indices)
	for _, r := range b.members {
		l, j := r.nic.hookLink(), hookJournal{b.j, r.was.No}
		err := hooks.DetachAll(l, j)
		if rtnl.IsInjectedCrash(err) {
			return err
		}
		errs = append(errs, err)
		hooks.EndIsolation(r.was.Index)
		hooks.EndIsolation(r.nic.Index)
		if b.afterKill {
			err := hooks.ClearUnrecorded(l, r.was.Clsact, r.was.Method == "" && !r.was.Stripped)
			if rtnl.IsInjectedCrash(err) {
				return err
			}
			errs = append(errs, err)
		}
		if err := hooks.Unisolate(l, j); err != nil {
			if rtnl.IsInjectedCrash(err) {
				return err
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

const (
	// dadPatience bounds the wait until addresses are no longer tentative.
	dadPatience = 2 * time.Second
	// noLinkPatience is the bound without carrier, where they stay tentative.
	noLinkPatience = 500 * time.Millisecond
)

// restoreLateSysctls restores what must wait. The kernel reads accept_dad when its worker handles the new addresses.
func (b *giveBack) restoreLateSysctls() error {
	restore := func(keys ...string) error {
		for _, r := range b.members {
			if !r.was.NeedsRestore() {
				continue
			}
			if slices.Contains(keys, acceptDAD) && r.was.Up {
				b.h.awaitDAD(r.nic)
			}
			if err := b.noteUnlessFatal(b.h.restoreSysctls(r.nic.Name, r.was.Sysctls, keys...)); err != nil {
				return err
			}
		}
		return nil
	}
	// No ARP request is answered before.
	return runAll(func() error { return restore(arpIgnore, rpFilter) }, func() error { return restore(acceptDAD) })
}

// awaitDAD waits until no address is tentative, if duplicate address detection is off.
func (h *Host) awaitDAD(n NIC) {
	if v, ok := readSysctl(n.Name, acceptDAD); !ok || v != "0" {
		return
	}
	patience := dadPatience
	if !h.probe.carrier(n.Index) {
		patience = noLinkPatience
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		list, err := h.rt.Addresses(n.Index)
		tentative := func(a rtnl.Object) bool { return rtnl.AddressFlags(a)&unix.IFA_F_TENTATIVE != 0 }
		if err != nil || !slices.ContainsFunc(list, tentative) {
			return
		}
	}
}
