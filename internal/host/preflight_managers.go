// SPDX-License-Identifier: MIT

package host

import (
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// leaseClients are DHCP clients of single links, by comm.
var leaseClients = []string{"dhclient", "udhcpc", "udhcpc6", "dhcp6c", "odhcp6c", "wickedd-dhcp4", "wickedd-dhcp6"}

// leaseHolders are all programs that renew leases.
var leaseHolders = append([]string{"NetworkManager", "systemd-network", "dhcpcd", "connmand", "netifd"},
	leaseClients...)

// networkManagers warns of programs in this namespace that configure NICs and may undo what the team moves.
func (c *preflight) networkManagers() {
	var nics []string
	for _, n := range c.nics {
		nics = append(nics, n.Name)
	}
	names, renewed := joinNames(nics), false
	for _, p := range processes() {
		switch name := p.name(); {
		case name == "NetworkManager":
			c.warnf("NetworkManager may configure %s again: nmcli device set NIC managed no", names)
		case name == "systemd-network":
			c.warnf("systemd-networkd may configure %s again: set Unmanaged=yes for them", names)
		case name == "dhcpcd":
			c.warnf("dhcpcd may configure %s again: add \"denyinterfaces %s\" to dhcpcd.conf", names,
				strings.Join(nics, " "))
		case slices.Contains([]string{"connmand", "wickedd", "wickedd-nanny", "netifd", "ifplugd", "netplugd"}, name):
			c.warnf("%s may configure %s again: exclude them there", name, names)
		case name == "avahi-autoipd" || slices.Contains(leaseClients, name):
			if !p.serves(c.nics, c.all) {
				continue
			}
			c.warnf("%s renews the lease of %s there, not on %s: run it for %s instead", name, names, c.adapter,
				c.adapter)
		default:
			continue
		}
		renewed = true
	}
	if leased := c.leasedNICs(); !renewed && len(leased) > 0 {
		c.warnf(
			"an address of %s is a DHCP lease: it moves to %s with its remaining lifetime, and no DHCP client "+
				"renews it", joinNames(leased), c.adapter)
	}
}

// serves reports whether a client of single links was started for one of chosen, or for no link of all.
func (p process) serves(chosen, all []NIC) bool {
	named := func(nics []NIC) bool {
		return slices.ContainsFunc(nics, func(n NIC) bool { return slices.Contains(p.args, n.Name) })
	}
	return named(chosen) || !named(all)
}

// process is a process in this network namespace.
type process struct {
	comm string
	args []string
}

// name returns the process's comm, or the applet of busybox.
func (p process) name() string {
	if p.comm == "busybox" && len(p.args) > 1 {
		return p.args[1]
	}
	return p.comm
}

// HasLeaseClient reports whether a program in this network namespace could renew leases. A process without the right to
// see all others believes that there is one.
func (h *Host) HasLeaseClient() bool {
	var st unix.Stat_t
	if unix.Stat("/proc/1/ns/net", &st) != nil {
		return true
	}
	return slices.ContainsFunc(processes(), func(p process) bool { return slices.Contains(leaseHolders, p.name()) })
}

// processes lists the processes in this network namespace.
func processes() (list []process) {
	var here, there unix.Stat_t
	if unix.Stat("/proc/thread-self/ns/net", &here) != nil {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		dir := "/proc/" + e.Name()
		if e.Name()[0] < '1' || e.Name()[0] > '9' || unix.Stat(dir+"/ns/net", &there) != nil || there.Ino != here.Ino {
			continue
		}
		if comm, err := os.ReadFile(dir + "/comm"); err == nil {
			args, _ := os.ReadFile(dir + "/cmdline")
			list = append(list, process{strings.TrimSpace(string(comm)), strings.Split(string(args), "\x00")})
		}
	}
	return list
}

// leasedNICs returns members with an IPv4 address that expires, or a route by DHCP.
func (c *preflight) leasedNICs() (nics []string) {
	all, err := c.h.rt.Routes()
	if err != nil {
		return nil
	}
	for _, n := range c.nics {
		have, _ := c.h.rt.Addresses(n.Index)
		if slices.ContainsFunc(have, func(a rtnl.Object) bool {
			_, valid := rtnl.Lifetimes(a)
			return a.Family() == unix.AF_INET && valid != rtnl.Forever
		}) || slices.ContainsFunc(rtnl.RoutesVia(all, n.Index),
			func(r rtnl.Object) bool { return rtnl.RouteProtocol(r) == unix.RTPROT_DHCP }) {
			nics = append(nics, n.Name)
		}
	}
	return nics
}
