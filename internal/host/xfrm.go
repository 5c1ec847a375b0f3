package host

import (
	"fmt"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// policies asks for IPsec policies that are for a member only: what goes by the adapter would leave, and be taken in, in the clear.
func (c *check) policies() {
	if !speaksXfrm() {
		return
	}
	list, err := rtnl.RetryDump(func() ([]netlink.XfrmPolicy, error) { return c.h.rt.Handle.XfrmPolicyList(unix.AF_UNSPEC) })
	if err != nil {
		c.warnf("IPsec policies cannot be read, so those for the NICs are not found: %v", err)
		return
	}
	for _, n := range c.chosen {
		var found []string
		for _, p := range list {
			if p.Ifindex == n.Index {
				found = append(found, fmt.Sprintf("%v, from %v to %v", p.Dir, p.Src, p.Dst))
			}
		}
		if len(found) > 0 {
			c.guard(fmt.Sprintf("IPsec policies are for %s and do not hold for what goes by %s: %s", n.Name, c.adapter, cited(found)),
				"make them for all links (leave dev out)")
		}
	}
}

// speaksXfrm reports whether the kernel has IPsec's netlink in this namespace. To open a socket where it has not would load it.
func speaksXfrm() bool {
	text, _ := os.ReadFile("/proc/thread-self/net/netlink")
	return hasProtocol(string(text), unix.NETLINK_XFRM)
}

// hasProtocol reads /proc/net/netlink: the second place of a line is the protocol, and each that the kernel has has a socket of its own.
func hasProtocol(text string, protocol int) bool {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == fmt.Sprint(protocol) {
			return true
		}
	}
	return false
}
