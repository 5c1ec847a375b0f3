// SPDX-License-Identifier: MIT

package ssh

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// Links lists what the connection's packets leave by: the link of the route to the client, then the links that it is
// made of (the NIC of a VLAN, the ports of a bridge). The connection through a team goes by its adapter.
func (c Connection) Links() []string {
	index, _, err := c.NextHop()
	if err != nil {
		return nil
	}
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil
	}
	return below(links, index)
}

// NextHop returns the link and the neighbour by which the connection's packets leave: a gateway, or the client itself.
func (c Connection) NextHop() (link int, neighbour netip.Addr, err error) {
	if zone := c.Client.Addr().Zone(); zone != "" {
		l, err := netlink.LinkByName(zone)
		if err != nil {
			return 0, netip.Addr{}, err
		}
		return l.Attrs().Index, c.Client.Addr().WithZone(""), nil
	}
	to, from := c.Client.Addr().Unmap(), c.Server.Addr().Unmap()
	routes, err := netlink.RouteGetWithOptions(to.AsSlice(), &netlink.RouteGetOptions{SrcAddr: from.AsSlice()})
	if err != nil {
		return 0, netip.Addr{}, err
	}
	if len(routes) == 0 {
		return 0, netip.Addr{}, errors.New("no route to " + to.String())
	}
	r := routes[0]
	gateway := r.Gw
	if via, ok := r.Via.(*netlink.Via); ok && gateway == nil {
		gateway = via.Addr
	}
	if g, ok := netip.AddrFromSlice(gateway); ok {
		return r.LinkIndex, g.Unmap(), nil
	}
	return r.LinkIndex, to, nil
}

// below lists a link and those that it is made of, by name.
func below(links []netlink.Link, index int) (names []string) {
	seen := map[int]bool{}
	var visit func(index int)
	visit = func(index int) {
		i := slices.IndexFunc(links, func(l netlink.Link) bool { return l.Attrs().Index == index })
		if i < 0 || seen[index] {
			return
		}
		seen[index] = true
		a := links[i].Attrs()
		names = append(names, a.Name)
		if _, pair := links[i].(*netlink.Veth); !pair && a.ParentIndex != 0 && a.NetNsID < 0 {
			visit(a.ParentIndex)
		}
		for _, l := range links {
			if l.Attrs().MasterIndex == index {
				visit(l.Attrs().Index)
			}
		}
	}
	visit(index)
	return names
}
