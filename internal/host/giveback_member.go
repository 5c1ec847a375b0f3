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

// giveBack gives members back. Its steps are phases over all members, in an order in which every address is
// held by the adapter or a NIC at each moment, and every route leads somewhere.
type giveBack struct {
	h                *Host
	j                *journal.Journal
	members          []*member
	indexNow         map[int]int              // ifindex as recorded → as it is
	adapter          *NIC                     // nil: gone, or not concerned
	adapterAddresses []rtnl.Object            // the adapter's addresses
	absent           []*journal.MemberState   // whose NICs are not there
	started          map[memberFamily]*member // who has already been given it
	notes            []string

	thorough bool // the journal may not say all that was done
}

// member is a member on its way back.
type member struct {
	was  *journal.MemberState
	link netlink.Link
	nic  NIC

	hasLink bool          // it has a link, or had one a moment ago
	reform  []rtnl.Object // addresses that its kernel is to form again from an advertisement
	order6  []rtnl.Object // IPv6 addresses in their order, where some of them wait for that
}

// acceptsRAs reports whether the NIC's kernel minds routers once it is given back.
func (r *member) acceptsRAs() bool { return r.was.Up && r.was.Sysctls[disableIPv6] == "0" }

func (b *giveBack) addMember(m *journal.MemberState, l netlink.Link, n NIC) {
	b.members = append(b.members, &member{was: m, link: l, nic: n})
}

func (b *giveBack) notef(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

// noteUnlessFatal turns an error that need not stop a return into a note.
func (b *giveBack) noteUnlessFatal(err error) error {
	if err == nil || rtnl.IsInjectedCrash(err) {
		return err
	}
	b.notef("%v", err)
	return nil
}

// restoreLinks puts links back: up or down, MTU, features, IPv6.
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
		// The addresses were this host's a moment ago: duplicate detection would only take them out of use for a second.
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
		// ARP is answered only once the host sees the NIC's frames again, and accept_dad is for the addresses: see settle.
		func() error {
			return b.noteUnlessFatal(h.ignoreReadOnly(h.restoreSysctls(name, m.Sysctls, ipv6MTU, disableIPv6)))
		},
	)
}

// restoreResetSettings gives a NIC the settings back that it has lost by nobody's will: all of them where it went away and came back, those
// of IPv6 where an MTU was too small for that. Then IPv6 began anew, and is not off.
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

// giveLinkLocals gives members the addresses that are good on their own link alone. Those that somebody gave a member by hand
// leave the adapter, unless another member lent it the same.
func (b *giveBack) giveLinkLocals(adapter NIC, down bool) error {
	for _, r := range b.members {
		want := slices.DeleteFunc(slices.Clone(r.was.Addresses), func(a rtnl.Object) bool { return down || !rtnl.IsLinkLocal(a) })
		if err := b.setAddresses(r, want); err != nil {
			return err
		}
		for _, a := range want {
			if r.was.IsKernelLinkLocal(a) || adapter.Index == 0 || b.lentByAnother(r, a) {
				continue
			}
			if err := b.h.rt.DeleteAddress(rtnl.AddressRequest(a, adapter.Index, 0), adapter.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// lentByAnother reports whether the adapter has an address from another member too.
func (b *giveBack) lentByAnother(r *member, a rtnl.Object) bool {
	return slices.ContainsFunc(b.j.State.Members, func(m *journal.MemberState) bool {
		return m != r.was && m.Adopted && rtnl.HasAddress(m.Addresses, a) && !m.IsKernelLinkLocal(a)
	})
}

// restoreUnmoved gives members what never moved to an adapter.
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

// addressesOf are the member's addresses that it is to be given back: those it has on the adapter or on itself. One that
// is on neither was taken away by the user, unless the adapter lost it by going down or away.
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
		case b.adapter == nil: // it has run out
		default:
			b.notef("%s is no longer on %s and is not given back to %s", rtnl.AddressPrefix(a), b.adapter.Name, r.nic.Name)
			continue
		}
		if later, ok := rtnl.Aged(a, (rtnl.BootTime()-r.was.At)/1e9); ok {
			want = append(want, later)
		}
	}
	return want, nil
}

// adapterWentDown reports whether the adapter is down, or was and has not got back what a link loses by that, all its IPv6 addresses
// at once. Those that somebody takes away while the team runs the journal does not know any more.
func (b *giveBack) adapterWentDown() bool {
	return !b.adapter.AdminUp || !slices.ContainsFunc(b.adapterAddresses, func(a rtnl.Object) bool {
		return a.Family() == unix.AF_INET6 && !rtnl.IsLinkLocal(a) && b.ownerOf(a) != nil
	})
}

// setAddresses makes a NIC's addresses what they were, in their order.
func (b *giveBack) setAddresses(r *member, want []rtnl.Object) error {
	h, name := b.h, r.nic.Name
	have, err := h.rt.Addresses(r.nic.Index)
	if err != nil {
		return err
	}
	if r.was.NeedsRestore() && !r.was.Guessed {
		had := slices.ContainsFunc(r.was.Addresses, rtnl.IsLinkLocal) // the kernel makes none without a cable: it is to have one now
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
	// Those for privacy in any order: its kernel makes others beside them as it forms its own.
	if err := h.rt.AddMissingAddresses(slices.Concat(v4, private), have, name); err != nil {
		return err
	}
	return h.rt.AddAddressesInOrder(r.deferFormed(v6), r.nic.Index, name)
}

// deferFormed are the IPv6 addresses that a NIC gets at once. What the kernel had formed from advertisements it forms again,
// see relearnRoutes, and what stood before those comes after them: the kernel puts a new address in front.
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
		// In case that the kernel does not: the prefix's route is not this address's.
		wanted[i] = rtnl.AddressRequest(a, r.nic.Index, unix.IFA_F_NOPREFIXROUTE)
	}
	if len(r.reform) == 0 {
		return v6
	}
	r.order6 = wanted
	return v6[first:]
}

// unisolate lets the host's stack see the members again.
func (b *giveBack) unisolate() error {
	var errs []error
	for _, r := range b.members {
		hooks, l, j := b.h.hooks, r.nic.hookLink(), hookJournal{b.j, r.was.No}
		hooks.Forget(r.was.Index)
		err := hooks.DetachAll(l, j)
		if rtnl.IsInjectedCrash(err) {
			return err
		}
		errs = append(errs, err)
		hooks.EndIsolation(r.was.Index)
		hooks.EndIsolation(r.nic.Index)
		if b.thorough {
			err := hooks.ClearUnrecorded(l, r.was.Clsact, r.was.Method == "" && !r.was.Stripped)
			if rtnl.IsInjectedCrash(err) {
				return err
			}
			errs = append(errs, err)
		}
		if err := hooks.Admit(l, j); err != nil {
			if rtnl.IsInjectedCrash(err) {
				return err
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

const (
	// dadPatience bounds the wait for the kernel to take new addresses for good …
	dadPatience = 2 * time.Second
	// … and noLinkPatience where the NIC has no carrier, without which it does not.
	noLinkPatience = 500 * time.Millisecond
)

// restoreLateSysctls sets what may only be set at the end. The kernel looks at accept_dad when its worker
// comes to the new addresses, so the old value waits for that.
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
	// Nobody waits for an answer by ARP until then.
	return runAll(func() error { return restore(arpIgnore, rpFilter) }, func() error { return restore(acceptDAD) })
}

// awaitDAD waits until no address of a NIC whose duplicate detection is off is tentative.
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
