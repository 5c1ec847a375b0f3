// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/host/journal"
	"nicteam/internal/tchook"
)

// capabilities checks the capabilities that a team needs, and that they are those of the initial user namespace.
func capabilities() *api.Problem {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return nil // a later failure will say so
	}
	var missing, add []string
	for _, c := range []struct {
		bit  uint
		name string
	}{{unix.CAP_NET_ADMIN, "NET_ADMIN"}, {unix.CAP_NET_RAW, "NET_RAW"}} {
		if data[c.bit/32].Effective>>(c.bit%32)&1 == 0 {
			missing, add = append(missing, "CAP_"+c.name), append(add, "--cap-add "+c.name)
		}
	}
	if len(missing) > 0 {
		return &api.Problem{Kind: api.NotPermitted, What: "not permitted",
			Why: fmt.Sprintf("this process has no %s", strings.Join(missing, " and no ")),
			Fix: "run as root: sudo nicteam …; a container needs " + strings.Join(add, " "), Err: os.ErrPermission}
	}
	if !tchook.InitialUserNamespace() {
		return &api.Problem{Kind: api.NotPermitted, What: "not permitted",
			Why: "this process is root only in a user namespace (an unprivileged container), where packet sockets " +
				"cannot get the buffers they need",
			Fix: "run as root of the host, or in a container without a user namespace", Err: os.ErrPermission}
	}
	return nil
}

// procReadable checks the files of /proc that the journal needs: boot id and network namespace.
func (c *preflight) procReadable() *api.Problem {
	_, err := journal.Here()
	if err == nil {
		return nil
	}
	return &api.Problem{Kind: api.NotPermitted, What: "/proc cannot be read", Why: err.Error(),
		Fix: "mount it: mount -t proc proc /proc; in a container, let it see /proc/sys/kernel/random/boot_id and " +
			"/proc/thread-self/ns/net", Err: err}
}

// canIsolate checks that a member can be isolated: by a BPF program, which is loaded as a test, or by nft.
func (c *preflight) canIsolate() *api.Problem {
	err := tchook.CanIsolate()
	if err == nil {
		return nil
	}
	if _, e := exec.LookPath("nft"); e == nil {
		return nil
	}
	problem := &api.Problem{Kind: api.Failed, What: "NICs cannot be isolated from the host's stack",
		Why: fmt.Sprintf("this kernel refuses BPF programs (%v), and nft is not installed", errors.Unwrap(err)),
		Fix: "install nftables", Err: err}
	if errors.Is(err, os.ErrPermission) {
		problem.Kind, problem.Why = api.NotPermitted,
			"this process may not load BPF programs (no CAP_BPF), and nft is not installed"
		problem.Fix = "install nftables; or in a container: --cap-add BPF --cap-add PERFMON"
	}
	return problem
}

// CheckCapabilities returns which capability for changing the host this process lacks, nil if none. what names the
// change.
func CheckCapabilities(what string) *api.Problem {
	p := capabilities()
	if p != nil {
		p.What = what + ": " + p.What
	}
	return p
}

const tunDevice = "/dev/net/tun"

// tunDevice checks that a TAP can be created.
func (c *preflight) tunDevice() *api.Problem {
	f, err := os.OpenFile(tunDevice, os.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		f.Close()
		return nil
	}
	p := &api.Problem{Kind: api.Failed, What: "cannot create a TAP device", Why: err.Error(), Err: err}
	switch {
	case os.IsPermission(err):
		p.Kind, p.Fix = api.NotPermitted, "run it as root; in a container, allow the device /dev/net/tun"
	default:
		p.Fix = "modprobe tun; if the file is missing: mkdir -p /dev/net && mknod /dev/net/tun c 10 200"
	}
	return p
}

// readOnlySysctls warns of the consequences of a read-only /proc/sys.
func (c *preflight) readOnlySysctls() {
	for _, n := range c.nics {
		if v, ok := readSysctl(n.Name, arpIgnore); !ok || v == memberARPIgnore {
			continue
		}
		if err := unwritable(n.Name, arpIgnore); err != nil {
			why := errors.Unwrap(err)
			c.warnf(
				"/proc/sys cannot be written (%v), so arp_ignore stays: while the process of %s is dead, its NICs "+
					"may answer ARP for its addresses", why, c.cfg.Team)
			return
		}
	}
}
