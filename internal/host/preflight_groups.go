// SPDX-License-Identifier: MIT

package host

import (
	"net/netip"
	"os"
	"slices"
	"strings"

	"nicteam/internal/rtnl"
)

// groupNames are groups that identify the program that joined them.
var groupNames = map[string]string{
	"224.0.0.2": "all routers", "224.0.0.5": "OSPF", "224.0.0.6": "OSPF", "224.0.0.9": "RIP", "224.0.0.10": "EIGRP",
	"224.0.0.13": "PIM",
	"224.0.0.18": "VRRP", "224.0.0.102": "HSRP", "224.0.0.107": "PTP", "224.0.0.251": "mDNS", "224.0.0.252": "LLMNR",
	"224.0.1.1": "NTP", "224.0.1.129": "PTP", "239.255.255.250": "SSDP", "239.255.255.253": "SLP",
	"ff02::5": "OSPF", "ff02::6": "OSPF", "ff02::9": "RIP", "ff02::12": "VRRP", "ff02::d": "PIM", "ff02::fb": "mDNS",
	"ff02::1:2": "DHCPv6", "ff02::1:3": "LLMNR", "ff02::c": "SSDP", "ff02::101": "NTP",
}

// multicastGroups names groups that programs have joined on members. They receive nothing until they join on the
// adapter.
func (c *preflight) multicastGroups() {
	joined := readListening().groups
	for _, n := range c.nics {
		proxies, _ := c.h.rt.Proxies(n.Index)
		var names []string
		for _, g := range joined[n.Name] {
			if isKernelGroup(g, n.Addresses) || slices.ContainsFunc(proxies, func(p rtnl.Object) bool {
				return isKernelGroup(g, []netip.Prefix{netip.PrefixFrom(rtnl.NeighbourAddr(p), 128)})
			}) {
				continue
			}
			text, name := g.String(), groupNames[g.String()]
			if name == "LLMNR" && slices.Contains(c.toldOnce(), "systemd-resolve") {
				continue // it joins on the adapter
			}
			if name != "" {
				text += " (" + name + ")"
			}
			names = append(names, text)
		}
		if len(names) > 0 {
			c.warnf("programs have joined multicast groups on %s and receive nothing until they join on %s: %s", n.Name,
				c.adapter, joinNames(names))
		}
	}
}

// isKernelGroup reports whether the kernel itself joins the group on a link with these addresses.
func isKernelGroup(g netip.Addr, have []netip.Prefix) bool {
	if g.Is4() {
		return g == netip.AddrFrom4([4]byte{224, 0, 0, 1})
	}
	switch g.String() {
	case "ff01::1", "ff02::1", "ff01::2", "ff02::2", "ff05::2":
		return true // all nodes; all routers, where it forwards
	}
	b := g.As16()
	if b[0] != 0xff || b[1] != 2 || [9]byte(b[2:11]) != [9]byte{} || b[11] != 1 || b[12] != 0xff {
		return false
	}
	// Solicited-node groups end in the last three bytes of an address; zero is the subnet-router anycast address of a
	// router.
	last := [3]byte(b[13:])
	return last == [3]byte{} || slices.ContainsFunc(have, func(p netip.Prefix) bool {
		a := p.Addr().As16()
		return p.Addr().Is6() && [3]byte(a[13:]) == last
	})
}

// multicastRouters warns of members that a multicast router (pimd, igmpproxy) uses.
func (c *preflight) multicastRouters() {
	var routed []string
	for _, name := range []string{"ip_mr_vif", "ip6_mr_vif"} {
		text, _ := os.ReadFile("/proc/thread-self/net/" + name)
		routed = append(routed, parseVIFs(string(text))...)
	}
	for _, n := range c.nics {
		if slices.Contains(routed, n.Name) {
			c.warnf("a multicast router uses %s and will not see the team's traffic: configure it for %s", n.Name,
				c.adapter)
		}
	}
}

// parseVIFs parses /proc/net/ip_mr_vif: a header line, then number and link of each virtual interface.
func parseVIFs(text string) (names []string) {
	for i, line := range slices.Collect(strings.Lines(text)) {
		if f := strings.Fields(line); i > 0 && len(f) >= 2 {
			names = append(names, f[1])
		}
	}
	return names
}
