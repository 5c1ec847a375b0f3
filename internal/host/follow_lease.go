// SPDX-License-Identifier: MIT

package host

import (
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// Lease is an address with a lifetime that somebody must renew.
type Lease struct {
	Address netip.Prefix
	Left    time.Duration
	Total   time.Duration // lease time at the last renewal
}

// leases returns the leased addresses. Router advertisements renew those that the kernel formed, so those are no
// leases.
func (h *Host) leases(list []rtnl.Object) (leases []Lease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range list {
		_, valid := rtnl.Lifetimes(o)
		if valid == rtnl.Forever || rtnl.IsAutoconfigured(o) || rtnl.IsTemporary(o) {
			continue
		}
		left := time.Duration(valid) * time.Second
		total := left + max(0, time.Duration(rtnl.MonotonicTime())-rtnl.RenewedAt(o))
		if was, ok := h.renewedBefore(o, left); ok {
			total = was
		}
		leases = append(leases, Lease{rtnl.AddressPrefix(o), left, total})
	}
	return leases
}

// LeasesOn returns the leases of IPv4 on a link. addressed: it has an IPv4 address that other hosts can reach.
func (h *Host) LeasesOn(index int) (list []Lease, addressed bool, err error) {
	have, err := h.rt.Addresses(index)
	if err != nil {
		return nil, false, err
	}
	have = slices.DeleteFunc(have,
		func(o rtnl.Object) bool { return o.Family() != unix.AF_INET || rtnl.IsLinkLocal(o) })
	return h.leases(have), len(have) > 0, nil
}

// renewedBefore returns the lease time of an address that was last renewed on a NIC.
func (h *Host) renewedBefore(o rtnl.Object, left time.Duration) (total time.Duration, ok bool) {
	if h.journal == nil {
		return 0, false
	}
	const sameEnd = 2 * time.Second // the kernel counts whole seconds
	for _, m := range h.journal.State.Members {
		for _, r := range m.Addresses {
			_, valid := rtnl.Lifetimes(r)
			if valid == rtnl.Forever || !rtnl.SameAddress(r, o) {
				continue
			}
			then := time.Duration(valid) * time.Second
			since := time.Duration(rtnl.BootTime() - m.At)
			if d := then - since - left; d < -sameEnd || d > sameEnd {
				continue
			}
			recorded := time.Duration(rtnl.MonotonicTime()) - since
			return then + recorded - rtnl.RenewedAt(r), true // one that came later was renewed after recorded
		}
	}
	return 0, false
}
