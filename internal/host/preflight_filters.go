// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/nfnl"
	"nicteam/internal/rtnl"
)

func ifaceOf(n NIC) nfnl.Iface {
	f := nfnl.Iface{Name: n.Name, Index: uint32(n.Index), Kind: n.Kind, Group: n.raw.Get32(unix.IFLA_GROUP)}
	if f.Kind == "device" {
		f.Kind = ""
	}
	return f
}

// adapterIface is the present or future adapter as rules see it.
func (c *preflight) adapterIface() nfnl.Iface {
	for _, n := range c.all {
		if n.Name == c.adapter {
			return ifaceOf(n)
		}
	}
	return nfnl.Iface{Name: c.adapter, Kind: "tun", Index: math.MaxInt32}
}

// maxShown bounds the rules that a warning quotes.
const maxShown = 3

// firewallRules finds rules that match members' traffic and not the adapter's, or the other way round.
func (c *preflight) firewallRules() {
	nft, err := nfnl.ReadRuleset()
	if err != nil {
		c.warnf("nftables cannot be read, so rules for the NICs are not found: %v", err)
	}
	tables := nfnl.ReadXtables()
	sets, err := nfnl.InterfaceSets()
	if err != nil {
		c.warnf("ipsets cannot be read, so those with the NICs are not found: %v", err)
	}
	adapter := c.adapterIface()
	for _, n := range c.nics {
		var ends, begins []string
		note := func(list *[]string, deeds []nfnl.Effect) {
			for _, d := range deeds {
				if line := d.Chain + ": " + d.Text; !slices.Contains(*list, line) {
					*list = append(*list, line)
				}
			}
		}
		for _, dir := range []nfnl.Direction{nfnl.Incoming, nfnl.Outgoing} {
			e, b := nfnl.DiffEffects(nft.Effects(ifaceOf(n), dir), nft.Effects(adapter, dir))
			note(&ends, e)
			note(&begins, b)
			e, b = nfnl.DiffEffects(tables.Effects(ifaceOf(n), dir), tables.Effects(adapter, dir))
			note(&ends, e)
			note(&begins, b)
		}
		if len(ends) > 0 {
			c.addRisk(n.Name, fmt.Sprintf("firewall rules match traffic of %s, but not of %s: %s", n.Name, c.adapter,
				joinShown(ends)),
				fmt.Sprintf("add the same rules for %s", c.adapter))
		}
		// If the NIC had no traffic, rules that match the adapter are intended.
		if len(begins) > 0 && n.inUse() {
			c.addRisk(n.Name, fmt.Sprintf("firewall rules match traffic of %s, but not of %s: %s", c.adapter, n.Name,
				joinShown(begins)),
				fmt.Sprintf("exclude %s from them", c.adapter))
		}
		if only := nfnl.SetsWithout(sets, n.Name, adapter.Name); len(only) > 0 {
			c.addRisk(n.Name,
				fmt.Sprintf("firewall sets contain %s, but not %s: %s", n.Name, c.adapter, joinShown(only)),
				fmt.Sprintf("add %s to them", c.adapter))
		}
		if hooks := nft.HooksOn(n.Name); len(hooks) > 0 {
			c.addRisk(n.Name,
				fmt.Sprintf("nftables hooks on %s will not see the team's traffic: %s", n.Name, joinShown(hooks)),
				fmt.Sprintf("hook %s instead", c.adapter))
		}
	}
}

func joinShown(lines []string) string {
	if len(lines) > maxShown {
		return fmt.Sprintf("%s; and %d more", strings.Join(lines[:maxShown], "; "), len(lines)-maxShown)
	}
	return strings.Join(lines, "; ")
}

// Attributes of IFLA_XDP.
const (
	iflaXDPAttached = 2
	iflaXDPProgram  = 4
)

// shapers are qdiscs that depend on skb metadata or on classes.
var shapers = []string{"htb", "hfsc", "cbq", "drr", "prio", "qfq", "ets", "sfq", "tbf", "cake", "taprio", "mqprio",
	"red", "choke", "netem"}

// tcFilters warns of programs, filters and qdiscs on the members.
func (c *preflight) tcFilters() {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	for _, n := range c.nics {
		if in := c.h.hooks.ForeignPrograms(n.hookLink(), ebpf.AttachTCXIngress); len(in) > 0 {
			c.addRisk(n.Name,
				fmt.Sprintf("%s on ingress of %s will not see the team's traffic", joinNames(in), n.Name),
				fmt.Sprintf("attach it to %s afterwards", c.adapter))
		}
		if out := c.h.hooks.ForeignPrograms(n.hookLink(), ebpf.AttachTCXEgress); len(out) > 0 {
			c.warnf(
				"%[2]s on egress of %[1]s still sees frames, but not the marks, priorities and sockets of packets "+
					"from %[3]s", n.Name, joinNames(out), c.adapter)
		}
		if kind := c.h.shaper(n); kind != "" {
			c.warnf("qdisc %s of %s still works, but does not see the marks, priorities and sockets of packets from %s",
				kind, n.Name, c.adapter)
		}
		if xdp := n.raw.Nest(unix.IFLA_XDP); len(xdp.Get(iflaXDPAttached)) == 1 && xdp.Get(iflaXDPAttached)[0] != 0 {
			c.warnf("an XDP program (id %d) on %s still sees every frame first: the team receives what it passes",
				xdp.Get32(iflaXDPProgram), n.Name)
		}
	}
}

// shaper returns the kind of a NIC's root qdisc if it is one of shapers.
func (h *Host) shaper(n NIC) string {
	l, err := h.rt.Handle.LinkByIndex(n.Index)
	if err != nil {
		return ""
	}
	qdiscs, err := rtnl.RetryDump(func() ([]netlink.Qdisc, error) { return h.rt.Handle.QdiscList(l) })
	if err != nil {
		return ""
	}
	for _, q := range qdiscs {
		if q.Attrs().Parent == netlink.HANDLE_ROOT && slices.Contains(shapers, q.Type()) {
			return q.Type()
		}
	}
	return ""
}

// ipsecPolicies finds IPsec policies bound to a member: the adapter's traffic would be in the clear.
func (c *preflight) ipsecPolicies() {
	if !speaksXfrm() {
		return
	}
	list, err := rtnl.RetryDump(func() ([]netlink.XfrmPolicy, error) {
		return c.h.rt.Handle.XfrmPolicyList(unix.AF_UNSPEC)
	})
	if err != nil {
		c.warnf("IPsec policies cannot be read, so those of the NICs are not found: %v", err)
		return
	}
	for _, n := range c.nics {
		var found []string
		for _, p := range list {
			if p.Ifindex == n.Index {
				found = append(found, fmt.Sprintf("%v, from %v to %v", p.Dir, p.Src, p.Dst))
			}
		}
		if len(found) > 0 {
			c.addRisk(n.Name,
				fmt.Sprintf("IPsec policies apply to %s, but not to %s: %s", n.Name, c.adapter, joinShown(found)),
				"make them for all links (omit dev)")
		}
	}
}

// speaksXfrm reports whether XFRM netlink exists in this namespace. Opening a socket would load it.
func speaksXfrm() bool {
	text, _ := os.ReadFile("/proc/thread-self/net/netlink")
	return hasProtocol(string(text), unix.NETLINK_XFRM)
}

// hasProtocol parses /proc/net/netlink: the second field is the protocol. Each protocol has a kernel socket.
func hasProtocol(text string, protocol int) bool {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == fmt.Sprint(protocol) {
			return true
		}
	}
	return false
}
