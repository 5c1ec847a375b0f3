// SPDX-License-Identifier: MIT

package lab

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// settleTime bounds the waits for work that the kernel has queued. That of a carrier change takes up to a second.
const settleTime = 3 * time.Second

// SetAddr gives a device an address such as 10.9.0.1/24 or fd09::1/64. IPv6 addresses skip
// duplicate address detection, so they work at once.
func (h *Host) SetAddr(name string, cidrs ...string) error {
	for _, c := range cidrs {
		a, err := netlink.ParseAddr(c)
		if err != nil {
			return fmt.Errorf("add %s to %s: %w", c, name, err)
		}
		if a.IP.To4() == nil {
			a.Flags |= unix.IFA_F_NODAD
		}
		if err := h.withLink(name, "add "+c, func(l netlink.Link) error {
			return h.handle.AddrReplace(l, a)
		}); err != nil {
			return err
		}
		if a.IP.To4() == nil {
			if err := h.awaitGroup(name, a.IP); err != nil {
				return err
			}
		}
	}
	return nil
}

// awaitGroup waits until a host that has a carrier receives the solicitations for an IPv6 address. The kernel joins
// their group later than it shows the address, and a lost solicitation costs a second.
func (h *Host) awaitGroup(name string, ip net.IP) error {
	group := fmt.Sprintf("ff0200000000000000000001ff%02x%02x%02x", ip[13], ip[14], ip[15])
	deadline := time.Now().Add(settleTime)
	for {
		l, err := h.handle.LinkByName(name)
		if err != nil {
			return fmt.Errorf("wait for %s on %s: %w", ip, name, err)
		}
		if l.Attrs().RawFlags&unix.IFF_LOWER_UP == 0 {
			return nil
		}
		joined, err := h.inGroup(name, group)
		if err != nil {
			return fmt.Errorf("wait for %s on %s: %w", ip, name, err)
		}
		if joined {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for %s on %s: group %s not joined in %v", ip, name, group, settleTime)
		}
		time.Sleep(200 * time.Microsecond)
	}
}

func (h *Host) inGroup(name, group string) (joined bool, err error) {
	err = h.Do(func() error {
		f, err := os.Open("/proc/thread-self/net/igmp6")
		if err != nil {
			return err
		}
		defer f.Close()
		s := bufio.NewScanner(f)
		for s.Scan() {
			// index, device, group, users, flags, timer
			fields := strings.Fields(s.Text())
			joined = joined || len(fields) > 3 && fields[1] == name && fields[2] == group
		}
		return s.Err()
	})
	return joined, err
}

// awaitUp waits until the kernel has finished setting a device up: before, the device drops frames and its bridge does
// not forward.
func (h *Host) awaitUp(name string, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		l, err := h.handle.LinkByName(name)
		if err != nil {
			return fmt.Errorf("wait for %s in %s: %w", name, h.Name, err)
		}
		if l.Attrs().OperState == netlink.OperUp {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for %s in %s: state is %v, want up", name, h.Name, l.Attrs().OperState)
		}
		time.Sleep(200 * time.Microsecond)
	}
}
