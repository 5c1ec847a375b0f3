package host

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nicteam/team"
)

// capable checks the capabilities that a team cannot do without, and that they are not those of a user namespace.
func capable() *team.Problem {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return nil // what fails later says so itself
	}
	for _, c := range []struct {
		bit  uint
		name string
	}{{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_NET_RAW, "CAP_NET_RAW"}} {
		if data[c.bit/32].Effective>>(c.bit%32)&1 == 0 {
			return &team.Problem{Kind: team.NotPermitted, What: "not permitted",
				Why: fmt.Sprintf("this process has no %s", c.name), Fix: "run it as root: sudo nicteam …", Err: os.ErrPermission}
		}
	}
	if !initialUser() {
		return &team.Problem{Kind: team.NotPermitted, What: "not permitted",
			Why: "this process is root in a user namespace only (a container without privileges), and there the kernel lets nobody set how much a packet socket holds",
			Fix: "run it as root of the host, or in a container that has the host's users", Err: os.ErrPermission}
	}
	return nil
}

const tunDevice = "/dev/net/tun"

// device checks that TAPs can be made.
func (c *check) device() *team.Problem {
	f, err := os.OpenFile(tunDevice, os.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		f.Close()
		return nil
	}
	p := &team.Problem{Kind: team.Failed, What: "no TAP can be made", Why: err.Error(), Err: err}
	switch {
	case os.IsPermission(err):
		p.Kind, p.Fix = team.NotPermitted, "run it as root; in a container, allow the device /dev/net/tun"
	default:
		p.Fix = "modprobe tun; if the file is missing: mkdir -p /dev/net && mknod /dev/net/tun c 10 200"
	}
	return p
}
