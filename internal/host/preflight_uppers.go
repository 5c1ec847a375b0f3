// SPDX-License-Identifier: MIT

package host

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// A VLAN, macvlan, ipvlan or tunnel may be in another network namespace than its lower link, as those of a Docker
// macvlan network. It is not visible here, so the other namespaces are searched.

// upper is a link of another namespace on top of one of ours.
type upper struct {
	index      int // ifindex of its lower link
	name, kind string
	where      string // the namespace: its name, or a process in it
}

func (u upper) String() string { return fmt.Sprintf("%s %s (in %s)", u.kind, u.name, u.where) }

// namedNamespaces are the mounts of network namespaces.
var namedNamespaces = []string{"/run/netns/*", "/run/docker/netns/*"}

// uppersElsewhere finds links of other namespaces on top of ours. It enters them, which needs CAP_SYS_ADMIN; it skips
// those that it cannot enter.
func uppersElsewhere() (list []upper) {
	var here unix.Stat_t
	if unix.Stat("/proc/thread-self/ns/net", &here) != nil {
		return nil
	}
	type id struct{ dev, ino uint64 }
	seen := map[id]bool{{here.Dev, here.Ino}: true}
	look := func(path, where string) {
		var st unix.Stat_t
		if unix.Stat(path, &st) != nil || seen[id{st.Dev, st.Ino}] {
			return
		}
		seen[id{st.Dev, st.Ino}] = true
		found, err := uppersIn(path)
		if err != nil {
			return
		}
		for _, u := range found {
			u.where = where
			list = append(list, u)
		}
	}
	for _, pattern := range namedNamespaces {
		paths, _ := filepath.Glob(pattern)
		for _, p := range paths {
			look(p, "namespace "+filepath.Base(p))
		}
	}
	processes, _ := filepath.Glob("/proc/[1-9]*")
	for _, p := range processes {
		var st unix.Stat_t
		if unix.Stat(p+"/ns/net", &st) != nil || seen[id{st.Dev, st.Ino}] {
			continue
		}
		comm, _ := os.ReadFile(p + "/comm")
		look(p+"/ns/net", fmt.Sprintf("the namespace of %s, pid %s", strings.TrimSpace(string(comm)), filepath.Base(p)))
	}
	return list
}

// uppersIn lists the links of a namespace on top of ours.
func uppersIn(path string) (list []upper, err error) {
	own, err := netns.Get()
	if err != nil {
		return nil, err
	}
	defer own.Close()
	there, err := netns.GetFromPath(path)
	if err != nil {
		return nil, err
	}
	defer there.Close()
	h, err := netlink.NewHandleAt(there, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	// The other namespace's id of this one; −1 if it has none, and then no link there is on top of ours.
	us, err := h.GetNetNsIdByFd(int(own))
	if err != nil || us < 0 {
		return nil, err
	}
	links, err := rtnl.RetryDump(func() ([]netlink.Link, error) { return h.LinkList() })
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, err
	}
	for _, l := range links {
		a := l.Attrs()
		if a.NetNsID == us && lowerIndex(l) != 0 && l.Type() != "veth" {
			list = append(list, upper{index: lowerIndex(l), name: a.Name, kind: l.Type()})
		}
	}
	return list, nil
}

// uppersElsewhere finds NICs with upper links in other namespaces: they would receive nothing.
func (c *preflight) uppersElsewhere() {
	all := c.uppersElsewhereOnce()
	for _, n := range c.nics {
		var on []string
		for _, u := range all {
			if u.index == n.Index {
				on = append(on, u.String())
			}
		}
		if len(on) > 0 {
			c.addUpperRisk(n, on, fmt.Sprintf(
				"remove what they belong to (a container network: docker network rm) and create it on %s afterwards",
				c.adapter))
		}
	}
}

// uppers finds what of others needs a NIC itself: upper links, PPPoE sessions and clients.
func (c *preflight) uppers() {
	sessions := pppoeSessions()
	for _, n := range c.nics {
		if len(n.Uppers) > 0 {
			c.addUpperRisk(n, n.Uppers, fmt.Sprintf(
				"remove them (ip link del %s) and create them on %s afterwards", n.Uppers[0], c.adapter))
		}
		stop := fmt.Sprintf("stop PPPoE on %s and start it on %s afterwards", n.Name, c.adapter)
		cut := risk{nic: n.Name, fix: stop, needsForce: true,
			accepted: fmt.Sprintf("PPPoE on %s is cut while it is a member; %s", n.Name, stop)}
		if slices.Contains(sessions, n.Name) {
			cut.why = n.Name + " carries a PPPoE session, which would be cut"
			c.risks = append(c.risks, cut)
			continue
		}
		for _, s := range c.packetSocketsOnce() {
			if s.index == n.Index && (s.proto == unix.ETH_P_PPP_DISC || s.proto == unix.ETH_P_PPP_SES) {
				who := cmp.Or(socketOwners(map[uint32]bool{s.inode: true})[s.inode], someProgram)
				cut.why = who + " runs PPPoE on " + n.Name
				c.risks = append(c.risks, cut)
				break
			}
		}
	}
}

// addUpperRisk adds links on a NIC that receive nothing while it is a member.
func (c *preflight) addUpperRisk(n NIC, uppers []string, fix string) {
	whose, receive := "its", "receives"
	if len(uppers) > 1 {
		whose, receive = "their", "receive"
	}
	c.risks = append(c.risks, risk{nic: n.Name, fix: fix, needsForce: true,
		why: fmt.Sprintf("%s on %s would lose %s traffic", joinNames(uppers), n.Name, whose),
		accepted: fmt.Sprintf("%s on %s %s nothing while that NIC is a member; %s", joinNames(uppers), n.Name, receive,
			fix)})
}

// uppersElsewhereOnce looks into the other namespaces once.
func (c *preflight) uppersElsewhereOnce() []upper {
	if c.elsewhere == nil {
		c.elsewhere = append([]upper{}, uppersElsewhere()...)
	}
	return c.elsewhere
}

// Dependents names what ends with a link: upper links here and, as far as visible, in other namespaces, PPPoE sessions,
// its bridge or bond.
func (h *Host) Dependents(name string) (what []string, err error) {
	all, err := h.links()
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		if n.Name != name {
			continue
		}
		for _, u := range n.Uppers {
			for _, o := range all {
				if o.Name == u {
					what = append(what, fmt.Sprintf("%s %s", o.Kind, u))
				}
			}
		}
		if n.Master != "" {
			what = append(what, fmt.Sprintf("%s %s, which it is in", n.MasterKind, n.Master))
		}
		for _, u := range uppersElsewhere() {
			if u.index == n.Index {
				what = append(what, u.String())
			}
		}
		if slices.Contains(pppoeSessions(), n.Name) {
			what = append(what, "a PPPoE session")
		}
	}
	return what, nil
}
