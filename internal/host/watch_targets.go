// SPDX-License-Identifier: MIT

package host

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/rtnl"
	"nicteam/monitor"
)

const (
	heardWithin = 10 * time.Second // so long a neighbour that is not reachable any more counts as heard from …
	keptWithin  = 5 * time.Minute  // … and so long if it is a target: asks do not refresh what the kernel knows
	maxHosts    = 8
)

// TargetOptions say which targets are wanted.
type TargetOptions struct {
	Hosts bool            // neighbours too, not gateways only
	Asked []netip.Addr    // that are asked in any case
	Was   monitor.Targets // the last ones: those that are still fit stay, as a change has to be asked anew
}

// WatchTargets reads whom link watches can ask over links and over what is on top of them: the gateways of default
// routes, and hosts, which are neighbours that were heard from lately, and those of the asked that are in a VLAN.
func (h *Host) WatchTargets(o TargetOptions, of ...int) (t monitor.Targets, err error) {
	links, err := rtnl.RetryDump(h.rt.Handle.LinkList)
	if err != nil {
		return t, err
	}
	heard := map[monitor.Target]time.Duration{} // and how long ago
	known := map[monitor.Target]frame.MAC{}
	own := map[monitor.Target]bool{}
	var inVLAN []monitor.Target
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
			asked, err := h.askedOn(on, o.Asked)
			if err != nil {
				return t, err
			}
			inVLAN = append(inVLAN, asked...)
			if o.Hosts {
				err = h.heardOn(on, o.Was.Hosts, func(target monitor.Target, ago time.Duration) {
					if !slices.Contains(gateways, target.IP) && !slices.Contains(o.Asked, target.IP) {
						heard[target] = ago
					}
				})
			}
			if err != nil {
				return t, err
			}
			if err := h.macsOn(on, known); err != nil {
				return t, err
			}
			list, err := h.rt.Addresses(on.index)
			if err != nil {
				return t, err
			}
			for _, a := range list {
				ip := rtnl.AddressPrefix(a).Addr()
				own[monitor.Target{IP: ip, VLAN: on.vlan}] = true
				if ip.Is4() && !slices.Contains(t.Own, ip) {
					t.Own = append(t.Own, ip)
				}
			}
		}
	}
	for target := range heard {
		if !own[target] { // VRRP has moved it here: a moment ago it was another host
			t.Hosts = append(t.Hosts, target)
		}
	}
	rank := func(target monitor.Target) int {
		if i := slices.Index(o.Was.Hosts, target); i >= 0 {
			return i
		}
		return len(o.Was.Hosts)
	}
	slices.SortFunc(t.Hosts, func(a, b monitor.Target) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(heard[a], heard[b]), a.IP.Compare(b.IP),
			cmp.Compare(a.VLAN, b.VLAN))
	})
	t.Hosts = append(t.Hosts[:min(len(t.Hosts), maxHosts)], inVLAN...)
	for _, list := range [][]monitor.Target{t.Gateways, t.Hosts, asTargets(o.Asked)} {
		for _, target := range list {
			if mac := known[target]; mac != 0 {
				t.Neighbours = append(t.Neighbours, monitor.Neighbour{Target: target, MAC: mac})
			}
		}
	}
	return t, nil
}

func asTargets(list []netip.Addr) (out []monitor.Target) {
	for _, ip := range list {
		out = append(out, monitor.Target{IP: ip})
	}
	return out
}

// macsOn adds the MACs that the stack has of neighbours on a link. Of several links the first one counts.
func (h *Host) macsOn(on upperLink, known map[monitor.Target]frame.MAC) error {
	near, err := h.rt.HeardNeighbours(on.index)
	for _, n := range near {
		target := monitor.Target{IP: rtnl.NeighbourAddr(n), VLAN: on.vlan}
		if known[target] == 0 {
			known[target] = rtnl.NeighbourMAC(n)
		}
	}
	return err
}

// gatewaysOn lists the gateways of default routes over a link. Of a bridge, those that it has learned behind the port.
func (h *Host) gatewaysOn(on upperLink) ([]netip.Addr, error) {
	list, err := h.rt.DefaultGateways(on.index)
	if err != nil || on.port == 0 || len(list) == 0 {
		return list, err
	}
	near, err := h.behindPort(on)
	return slices.DeleteFunc(list, func(g netip.Addr) bool {
		return !slices.ContainsFunc(near, func(n rtnl.Object) bool { return rtnl.NeighbourAddr(n) == g })
	}), err
}

// heardOn calls found for the neighbours of a link that were heard from lately.
func (h *Host) heardOn(on upperLink, was []monitor.Target, found func(monitor.Target, time.Duration)) error {
	near, err := h.behindPort(on)
	for _, n := range near {
		target := monitor.Target{IP: rtnl.NeighbourAddr(n), VLAN: on.vlan}
		ago := rtnl.ConfirmedAgo(n)
		if rtnl.IsReachable(n) || ago <= heardWithin || ago <= keptWithin && slices.Contains(was, target) {
			found(target, ago)
		}
	}
	return err
}

// behindPort lists the neighbours on a link that are reached through the members. Others of a bridge may be guests of
// this host.
func (h *Host) behindPort(on upperLink) ([]rtnl.Object, error) {
	near, err := h.rt.HeardNeighbours(on.index)
	if err != nil || on.port == 0 || len(near) == 0 {
		return near, err
	}
	learned, err := h.rt.LearnedAtPort(on.port)
	return slices.DeleteFunc(near, func(n rtnl.Object) bool { return !learned[rtnl.NeighbourMAC(n)] }), err
}

// askedOn returns those addresses that are on a subnet of a VLAN.
func (h *Host) askedOn(on upperLink, asked []netip.Addr) (list []monitor.Target, err error) {
	if on.vlan == 0 || len(asked) == 0 {
		return nil, nil
	}
	own, err := h.rt.Addresses(on.index)
	for _, ip := range asked {
		if !ip.IsLinkLocalUnicast() && slices.ContainsFunc(own, func(a rtnl.Object) bool {
			return rtnl.AddressPrefix(a).Contains(ip)
		}) {
			list = append(list, monitor.Target{IP: ip, VLAN: on.vlan})
		}
	}
	return list, err
}
