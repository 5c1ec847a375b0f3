package host

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// Attributes of IFLA_XDP.
const (
	iflaXDPAttached = 2
	iflaXDPProgram  = 4
)

// shapers are qdiscs that treat frames by what the host has written on them, or by classes.
var shapers = []string{"htb", "hfsc", "cbq", "drr", "prio", "qfq", "ets", "sfq", "tbf", "cake", "taprio", "mqprio", "red", "choke", "netem"}

// filters warns of what others have hung on the members.
func (c *check) filters() {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	for _, n := range c.chosen {
		if in := c.h.hooks.Foreign(n.hookLink(), ebpf.AttachTCXIngress); len(in) > 0 {
			c.guard(fmt.Sprintf("the ingress of %s has %s, which will not see what comes by the team", n.Name, list(in)),
				fmt.Sprintf("hang it on %s once that is there", c.adapter))
		}
		if out := c.h.hooks.Foreign(n.hookLink(), ebpf.AttachTCXEgress); len(out) > 0 {
			c.warnf("the egress of %s has %s, which goes on seeing frames, but not the marks, priorities and sockets of what %s sends", n.Name, list(out), c.adapter)
		}
		if kind := c.h.shaper(n); kind != "" {
			c.warnf("the qdisc %s of %s goes on working, but does not see the marks, priorities and sockets of what %s sends", kind, n.Name, c.adapter)
		}
		if xdp := n.raw.Nest(unix.IFLA_XDP); len(xdp.Get(iflaXDPAttached)) == 1 && xdp.Get(iflaXDPAttached)[0] != 0 {
			c.warnf("an XDP program (id %d) on %s goes on having every frame first: the team gets what it passes", xdp.Get32(iflaXDPProgram), n.Name)
		}
	}
}

// shaper is the kind of a NIC's root qdisc where it is not one of those that all frames are equal to.
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
