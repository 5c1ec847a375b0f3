// SPDX-License-Identifier: MIT

package host

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"nicteam/internal/rtnl"
	"nicteam/monitor"
)

const (
	heardWithin = 10 * time.Second // so long a neighbour that is not reachable any more counts as heard from
	maxHosts    = 8
)

// WatchTargets reads whom link watches can ask over links and over what is on top of them: the gateways of default
// routes and, with hosts, neighbours that were heard from lately.
func (h *Host) WatchTargets(hosts bool, of ...int) (t monitor.Targets, err error) {
	links, err := rtnl.RetryDump(h.rt.Handle.LinkList)
	if err != nil {
		return t, err
	}
	heard := map[monitor.Target]time.Duration{} // and how long ago
	for _, link := range of {
		for _, on := range uppersOf(links, link) {
			gateways, err := h.gatewaysOn(on)
			if err != nil {
				return t, err
			}
			for _, g := range gateways {
				if target := (monitor.Target{IP: g, VLAN: on.vlan}); !slices.Contains(t.Gateways, target) {
					t.Gateways = append(t.Gateways, target)
				}
			}
			if !hosts {
				continue
			}
			near, err := h.rt.ConfirmedNeighbours(on.index, heardWithin)
			if err == nil {
				near, err = h.behindPort(on, near)
			}
			if err != nil {
				return t, err
			}
			for _, n := range near {
				if ip := rtnl.NeighbourAddr(n); !slices.Contains(gateways, ip) {
					heard[monitor.Target{IP: ip, VLAN: on.vlan}], _ = rtnl.ConfirmedAgo(n)
				}
			}
		}
	}
	for target := range heard {
		t.Hosts = append(t.Hosts, target)
	}
	slices.SortFunc(t.Hosts, func(a, b monitor.Target) int {
		return cmp.Or(cmp.Compare(heard[a], heard[b]), a.IP.Compare(b.IP), cmp.Compare(a.VLAN, b.VLAN))
	})
	t.Hosts = t.Hosts[:min(len(t.Hosts), maxHosts)]
	return t, nil
}

// gatewaysOn lists the gateways of default routes over a link. Of a bridge, those that it has learned behind the port.
func (h *Host) gatewaysOn(on upperLink) ([]netip.Addr, error) {
	list, err := h.rt.DefaultGateways(on.index)
	if err != nil || on.port == 0 || len(list) == 0 {
		return list, err
	}
	near, err := h.rt.LearnedNeighbours(on.index)
	if err == nil {
		near, err = h.behindPort(on, near)
	}
	return slices.DeleteFunc(list, func(g netip.Addr) bool {
		return !slices.ContainsFunc(near, func(n rtnl.Object) bool { return rtnl.NeighbourAddr(n) == g })
	}), err
}

// behindPort returns those neighbours that are reached through the members. Others of a bridge may be guests of this
// host.
func (h *Host) behindPort(on upperLink, near []rtnl.Object) ([]rtnl.Object, error) {
	if on.port == 0 || len(near) == 0 {
		return near, nil
	}
	learned, err := h.rt.LearnedAtPort(on.port)
	return slices.DeleteFunc(near, func(n rtnl.Object) bool { return !learned[rtnl.NeighbourMAC(n)] }), err
}
