// SPDX-License-Identifier: MIT

package tap

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The kernel asks for a neighbour once a second (retrans_time). Without a carrier its request is lost, so after a
// carrier of a moment's absence the host would be silent for a second towards each neighbour that it asks for.

const (
	// runningPatience bounds the wait for the kernel to act on a carrier (net/core/link_watch.c): until then it drops
	// what the host sends.
	runningPatience = 200 * time.Millisecond
	runningLook     = time.Millisecond
)

// ResolveAgain has the kernel ask at once for the neighbours that it is waiting for. Call it after the carrier came on.
func (a *Adapter) ResolveAgain() error {
	for end := time.Now().Add(runningPatience); ; time.Sleep(runningLook) {
		l, err := netlink.LinkByIndex(a.index)
		if err != nil {
			return fmt.Errorf("resolve neighbours of %s: %w", a.name, err)
		}
		if l.Attrs().RawFlags&unix.IFF_RUNNING != 0 {
			break
		}
		if time.Now().After(end) {
			return nil // down, or without a carrier again
		}
	}
	var errs []error
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := netlink.NeighList(a.index, family)
		if err != nil {
			errs = append(errs, err)
		}
		for _, n := range list {
			if n.State == netlink.NUD_INCOMPLETE {
				errs = append(errs, askAgain(n))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("resolve neighbours of %s: %w", a.name, err)
	}
	return nil
}

// askAgain takes a neighbour back to NUD_NONE, with the packets that wait for it, and uses it (NTF_USE): the kernel
// asks as for a new one. A neighbour that answered or vanished meanwhile is no error.
func askAgain(n netlink.Neigh) error {
	ask := netlink.Neigh{LinkIndex: n.LinkIndex, Family: n.Family, IP: n.IP, State: netlink.NUD_NONE}
	for _, flags := range []int{0, netlink.NTF_USE} {
		ask.Flags = flags
		if err := netlink.NeighSet(&ask); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}
