// SPDX-License-Identifier: MIT

package importer

import (
	"log/slog"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// HostAddresses reads the addresses of a link of this host that people or DHCP configured. What comes of router
// advertisements comes again.
func HostAddresses(link string) (a Addresses, err error) {
	l, err := net.InterfaceByName(link)
	if err != nil {
		return a, err
	}
	c, err := rtnl.Open(slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return a, err
	}
	defer c.Close()
	all, err := c.Addresses(l.Index)
	if err != nil {
		return a, err
	}
	for _, o := range all {
		permanent := rtnl.AddressFlags(o)&unix.IFA_F_PERMANENT != 0
		switch {
		case rtnl.IsLinkLocal(o):
		case permanent:
			a.List = append(a.List, rtnl.AddressPrefix(o))
		case o.Family() == unix.AF_INET:
			a.Leased = true
		}
	}
	gateways, err := c.DefaultGateways(l.Index)
	a.Gateways = slices.DeleteFunc(gateways, func(g netip.Addr) bool { return g.IsLinkLocalUnicast() })
	return a, err
}
