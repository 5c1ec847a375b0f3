// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"nicteam/internal/api"
)

// remoteRoot refuses a NIC by which the root file system comes: the team's process would wait for pages of its own to
// arrive by the NIC that it serves.
func (c *preflight) remoteRoot() *api.Problem {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil
	}
	server, how := nfsRoot(string(mounts))
	if !server.IsValid() {
		server, how = iscsiRoot(string(mounts))
	}
	if !server.IsValid() {
		return nil
	}
	routes, err := c.h.rt.Handle.RouteGet(net.IP(server.AsSlice()))
	if err != nil {
		return nil
	}
	for _, r := range routes {
		for _, n := range c.nics {
			if r.LinkIndex == n.Index {
				return &api.Problem{Kind: api.Conflict, What: fmt.Sprintf("NIC %s cannot be a member", n.Name),
					Why: fmt.Sprintf("the root file system is mounted over it (%s from %s)", how, server),
					Fix: "leave this NIC out of the team"}
			}
		}
	}
	return nil
}

// nfsRoot returns the NFS server of / in /proc/self/mounts.
func nfsRoot(mounts string) (netip.Addr, string) {
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 4 || f[1] != "/" || !strings.HasPrefix(f[2], "nfs") {
			continue
		}
		for o := range strings.SplitSeq(f[3], ",") {
			if v, ok := strings.CutPrefix(o, "addr="); ok {
				if a, err := netip.ParseAddr(v); err == nil {
					return a, "NFS"
				}
			}
		}
	}
	return netip.Addr{}, ""
}

// iscsiRoot returns the iSCSI target of the root disk, whose sysfs path names the session.
func iscsiRoot(mounts string) (netip.Addr, string) {
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 4 || f[1] != "/" || !strings.HasPrefix(f[0], "/dev/") {
			continue
		}
		real, err := filepath.EvalSymlinks("/sys/class/block/" + filepath.Base(f[0]))
		if err != nil {
			continue
		}
		for part := range strings.SplitSeq(real, "/") {
			id, ok := strings.CutPrefix(part, "session")
			if !ok {
				continue
			}
			b, err := os.ReadFile("/sys/class/iscsi_connection/connection" + id + ":0/address")
			if err != nil {
				continue
			}
			if a, err := netip.ParseAddr(strings.TrimSpace(string(b))); err == nil {
				return a, "iSCSI"
			}
		}
	}
	return netip.Addr{}, ""
}
