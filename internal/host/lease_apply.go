// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/rtnl"
)

// LeaseRoute is a route of a lease.
type LeaseRoute struct {
	To  netip.Prefix
	Via netip.Addr // zero: on the link
}

// ApplyLease gives the adapter a leased address for so long (0: forever), or prolongs the one that it has. It adds the
// routes that the adapter does not have yet and removes those of was that are not among them.
func (h *Host) ApplyLease(adapter int, address netip.Prefix, left time.Duration, routes, was []LeaseRoute) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	to, err := h.nicAt(adapter)
	if err != nil {
		return err
	}
	have, err := h.rt.Addresses(adapter)
	if err != nil {
		return err
	}
	next := rtnl.NewAddress(address, adapter)
	for _, a := range have {
		if rtnl.AddressPrefix(a) == address {
			next = rtnl.AddressRequest(a, adapter, 0) // with its label, metric and flags
		}
	}
	seconds := rtnl.Forever
	if left > 0 {
		seconds = uint32(min(max((left+time.Second-1)/time.Second, 1), math.MaxUint32-1))
	}
	what := fmt.Sprintf("lease %s on %s", address, to.Name)
	if err := h.rt.Change(what, unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE,
		rtnl.WithLifetime(next, seconds)); err != nil {
		return err
	}
	return errors.Join(h.removeLeaseRoutes(adapter, subtract(was, routes)), h.addLeaseRoutes(adapter, routes))
}

// RemoveLease removes a leased address and its routes from the adapter.
func (h *Host) RemoveLease(adapter int, address netip.Prefix, routes []LeaseRoute) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	to, err := h.nicAt(adapter)
	if err != nil {
		return err
	}
	err = h.removeLeaseRoutes(adapter, routes)
	have, e := h.rt.Addresses(adapter)
	for _, a := range have {
		if rtnl.AddressPrefix(a) == address {
			e = h.rt.DeleteAddress(a, to.Name)
		}
	}
	return errors.Join(err, e)
}

// addLeaseRoutes adds routes, those that make a gateway reachable first. One with the same gateway is left as it is,
// whoever made it.
func (h *Host) addLeaseRoutes(adapter int, routes []LeaseRoute) error {
	if len(routes) == 0 {
		return nil
	}
	var list []rtnl.Object
	for _, r := range routes {
		list = append(list, rtnl.NewLeaseRoute(r.To, r.Via, adapter))
	}
	rtnl.SortByDependence(list)
	all, err := h.rt.Routes()
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range list {
		if !slices.ContainsFunc(rtnl.RoutesVia(all, adapter),
			func(o rtnl.Object) bool { return sameWay(o, r, adapter) }) {
			errs = append(errs, h.rt.AddRoute(r))
		}
	}
	return errors.Join(errs...)
}

func (h *Host) removeLeaseRoutes(adapter int, routes []LeaseRoute) error {
	if len(routes) == 0 {
		return nil
	}
	all, err := h.rt.Routes()
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range routes {
		r := rtnl.NewLeaseRoute(l.To, l.Via, adapter)
		for _, o := range rtnl.RoutesVia(all, adapter) {
			if sameWay(o, r, adapter) && rtnl.RouteProtocol(o) == unix.RTPROT_DHCP {
				errs = append(errs, h.rt.DeleteRoute(rtnl.RouteRequest(o, nil)))
			}
		}
	}
	return errors.Join(errs...)
}

// sameWay reports whether two routes of the main table lead to the same destination by the same gateway.
func sameWay(a, b rtnl.Object, link int) bool {
	return rtnl.Destination(a) == rtnl.Destination(b) && rtnl.RouteTable(a) == rtnl.RouteTable(b) &&
		slices.Equal(rtnl.Gateways(a, link), rtnl.Gateways(b, link))
}

func subtract(a, b []LeaseRoute) (list []LeaseRoute) {
	for _, r := range a {
		if !slices.Contains(b, r) {
			list = append(list, r)
		}
	}
	return list
}

// LentForever returns the IPv4 addresses without a lifetime that a member lent to the adapter.
func (h *Host) LentForever(nic string) (list []netip.Prefix) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.journal == nil {
		return nil
	}
	m := h.journal.State.ByName(nic)
	if m == nil || !m.Adopted {
		return nil
	}
	for _, a := range m.Addresses {
		if _, valid := rtnl.Lifetimes(a); a.Family() == unix.AF_INET && valid == rtnl.Forever && !rtnl.IsLinkLocal(a) {
			list = append(list, rtnl.AddressPrefix(a))
		}
	}
	return list
}

// AddressMember returns the member that lent an address to the adapter, with its MAC; ok is false if it is no member's.
func (h *Host) AddressMember(ip netip.Addr) (nic string, mac frame.MAC, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.journal == nil {
		return "", 0, false
	}
	for _, m := range h.journal.State.Members {
		for _, a := range m.Addresses {
			if rtnl.AddressPrefix(a).Addr() == ip {
				return m.Name, m.MAC, true
			}
		}
	}
	return "", 0, false
}
