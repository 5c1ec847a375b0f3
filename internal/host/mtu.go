// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
)

// MinMTUIPv6 is the smallest MTU of an IPv6 link (RFC 8200, section 5).
const MinMTUIPv6 = 1280

// SetMTU sets the MTU of the adapter and all members, or of none. Meanwhile the members' MTU is never the smaller one,
// so every frame fits its member. Members change one after the other, once the previous one has its link again.
// changed, if not nil, is called after each, without the lock. The error is a *api.Problem if nothing was changed.
func (h *Host) SetMTU(adapter, mtu int, changed func()) (err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, links, members, err := h.linksForMTU(adapter, mtu)
	if err != nil {
		return err
	}
	if mtu > a.Attrs().MTU { // adapter last
		links = append(links, a)
	} else {
		links = append([]netlink.Link{a}, links...)
	}
	for i, l := range links {
		err := h.rt.SetMTU(l, mtu)
		if err == nil && l != a {
			err = h.keepIPv6Off(l, members[l], mtu)
			if i+1 < len(links) && links[i+1] != a && l.Attrs().MTU != mtu {
				h.waitForLink(l)
			}
			if changed != nil {
				h.unlocked(changed)
			}
		}
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return errors.Join(err, h.restoreMTUs(links[:i+1]))
		}
	}
	return nil
}

// CheckMTU returns the error by which SetMTU would change nothing.
func (h *Host) CheckMTU(adapter, mtu int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, _, _, err := h.linksForMTU(adapter, mtu)
	return err
}

// linksForMTU returns the adapter and the members' links, all of which take the MTU.
func (h *Host) linksForMTU(adapter, mtu int) (a netlink.Link, links []netlink.Link,
	members map[netlink.Link]*journal.MemberState, err error) {
	j, err := h.currentJournal()
	if err != nil {
		return nil, nil, nil, err
	}
	if a, err = h.rt.Handle.LinkByIndex(adapter); err != nil {
		return nil, nil, nil, fmt.Errorf("set MTU: %w", err)
	}
	if p := h.checkKeepsIPv6(a, mtu); p != nil {
		return nil, nil, nil, p
	}
	members = map[netlink.Link]*journal.MemberState{}
	for _, m := range j.State.Members {
		if !m.Stripped {
			continue
		}
		l, n, err := h.memberLink(m)
		if err != nil {
			continue
		}
		if !n.takesMTU(mtu) {
			return nil, nil, nil, badMTU(mtu, fmt.Sprintf("NIC %s takes %d to %d", n.Name, n.MinMTU, n.MaxMTU),
				fmt.Sprintf("choose one that all NICs take, or remove %s first", n.Name))
		}
		links, members[l] = append(links, l), m
	}
	return a, links, members, nil
}

const (
	// resetBegins is within what time a NIC that resets loses its link.
	resetBegins = 100 * time.Millisecond
	// resetTime bounds the wait for the link. Autonegotiation on copper takes two to four seconds.
	resetTime = 5 * time.Second
)

// waitForLink waits until a NIC has its link again. Many drivers reset on an MTU change, and the members must not all
// lose their link at once.
func (h *Host) waitForLink(was netlink.Link) {
	a := was.Attrs()
	if a.RawFlags&unix.IFF_LOWER_UP == 0 {
		return
	}
	linked := func() bool { return h.probe.carrier(a.Index) }
	for end := time.Now().Add(resetBegins); linked() && time.Now().Before(end); {
		time.Sleep(2 * time.Millisecond)
	}
	for end := time.Now().Add(resetTime); !linked() && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
}

// restoreMTUs restores the MTU that links had when they were read.
func (h *Host) restoreMTUs(links []netlink.Link) error {
	var errs []error
	for _, was := range slices.Backward(links) {
		l, err := h.rt.Handle.LinkByIndex(was.Attrs().Index)
		if err == nil {
			err = h.rt.SetMTU(l, was.Attrs().MTU)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// checkKeepsIPv6 refuses an MTU with which the adapter would lose its IPv6 addresses.
func (h *Host) checkKeepsIPv6(a netlink.Link, mtu int) *api.Problem {
	if mtu >= MinMTUIPv6 {
		return nil
	}
	have, err := h.rt.Addresses(a.Attrs().Index)
	if err != nil {
		return nil // unreadable: assume none is lost
	}
	for _, o := range have {
		if o.Family() == unix.AF_INET6 {
			name := a.Attrs().Name
			return badMTU(mtu, fmt.Sprintf("IPv6 needs at least %d, and %s has %s", MinMTUIPv6, name,
				rtnl.AddressPrefix(o)),
				fmt.Sprintf("choose %d or more, or do without IPv6 first: sysctl -w net.ipv6.conf.%s.disable_ipv6=1",
					MinMTUIPv6, name))
		}
	}
	return nil
}

// keepIPv6Off disables IPv6 again on a member: the kernel restarts IPv6 with this host's defaults when the MTU reaches
// IPv6's minimum.
func (h *Host) keepIPv6Off(l netlink.Link, m *journal.MemberState, mtu int) error {
	if l.Attrs().MTU >= MinMTUIPv6 || mtu < MinMTUIPv6 {
		return nil
	}
	if err := h.disableMemberIPv6(l.Attrs().Name, l.Attrs().Index); err != nil {
		return err
	}
	return h.ignoreReadOnly(h.restoreDefaults(l.Attrs().Name, &m.Member, "ipv6/"))
}
