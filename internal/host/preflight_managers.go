// SPDX-License-Identifier: MIT

package host

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/managers"
)

// leaseClients are DHCP clients of single links, by comm. What those that the team follows cannot renew, it renews.
var leaseClients = append([]string{"udhcpc6", "dhcp6c", "odhcp6c", "wickedd-dhcp4", "wickedd-dhcp6"},
	followedClients...)

var followedClients = []string{"dhclient", "udhcpc"}

// leaseHolders are all programs that renew leases.
var leaseHolders = append([]string{"NetworkManager", "systemd-network", "dhcpcd", "connmand", "netifd"},
	leaseClients...)

// networkManagers warns of programs in this namespace that configure NICs and may undo what the team moves.
func (c *preflight) networkManagers() {
	var nics []string
	for _, n := range c.nics {
		nics = append(nics, n.Name)
	}
	names := joinNames(nics)
	for _, p := range processes() {
		switch name := p.name(); {
		case slices.Contains(c.toldOnce(), name):
		case name == "NetworkManager":
			c.warnf("NetworkManager may configure %s again: nmcli device set NIC managed no", names)
		case name == "systemd-network":
			c.warnf("systemd-networkd may configure %s again: set Unmanaged=yes for them", names)
		case slices.Contains([]string{"connmand", "wickedd", "wickedd-nanny", "netifd", "ifplugd", "netplugd"}, name):
			c.warnf("%s may configure %s again: exclude them there", name, names)
		case name == "avahi-autoipd" || slices.Contains(leaseClients, name):
			if !p.serves(c.nics, c.all) || slices.Contains(followedClients, name) && !slices.Contains(p.args, "-6") {
				continue
			}
			c.warnf("%s renews the lease of %s there, not on %s: run it for %s instead", name, names, c.adapter,
				c.adapter)
		}
	}
}

// toldOnce returns the managers that will be told of the adapter, so that they need no warnings.
func (c *preflight) toldOnce() []string {
	if c.told == nil {
		c.told = append([]string{}, managers.Told(context.Background())...)
	}
	return c.told
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

// HasLeaseClient reports whether a program in this network namespace could renew leases. One whose namespace it may not
// see counts; where it sees no other processes, there may be one.
func HasLeaseClient() bool {
	if _, err := os.ReadFile("/proc/1/comm"); err != nil {
		return true
	}
	return slices.ContainsFunc(processesOf(true), func(p process) bool {
		return slices.Contains(leaseHolders, p.name())
	})
}

// LeaseClient is a running DHCP client.
type LeaseClient struct {
	Program string
	Args    []string
}

// LeaseClients returns the running DHCP clients of this network namespace, and those whose namespace it may not see.
func (h *Host) LeaseClients() (list []LeaseClient) {
	for _, p := range processesOf(true) {
		if slices.Contains(leaseHolders, p.name()) {
			list = append(list, LeaseClient{p.name(), p.args})
		}
	}
	return list
}

// HasLeaseWatcher reports whether there is a DHCP client that begins anew when its address is removed.
func (h *Host) HasLeaseWatcher() bool {
	return slices.ContainsFunc(h.LeaseClients(), func(c LeaseClient) bool { return c.Program == "dhcpcd" })
}

// processes lists the processes in this network namespace. It needs the right to see all.
func processes() []process { return processesOf(false) }

// processesOf lists the processes in this network namespace. doubtful: also those whose namespace it may not see.
func processesOf(doubtful bool) (list []process) {
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
		if e.Name()[0] < '1' || e.Name()[0] > '9' {
			continue
		}
		if err := unix.Stat(dir+"/ns/net", &there); err != nil && !(doubtful && errors.Is(err, unix.EACCES)) ||
			err == nil && there.Ino != here.Ino {
			continue
		}
		if comm, err := os.ReadFile(dir + "/comm"); err == nil {
			args, _ := os.ReadFile(dir + "/cmdline")
			list = append(list, process{strings.TrimSpace(string(comm)), strings.Split(string(args), "\x00")})
		}
	}
	return list
}
