// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// announceAddresses announces each NIC's addresses with its own MAC. Peers of an elb team hold the MACs of other NICs,
// and would send there until they resolve again: to a NIC that is down, or one that answers only under the weak host
// model.
func (b *giveBack) announceAddresses() error {
	fd := -1
	defer func() {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}()
	links, err := rtnl.RetryDump(b.h.rt.Handle.LinkList)
	if err != nil {
		return b.noteUnlessFatal(fmt.Errorf("announce addresses: %w", err))
	}
	heard := readListening()
	for _, r := range b.members {
		if !r.was.Up {
			continue
		}
		what, err := b.h.announcementOf(r.nic.Index, links, heard)
		if err != nil {
			return b.noteUnlessFatal(fmt.Errorf("announce addresses of %s: %w", r.nic.Name, err))
		}
		for _, a := range what.Addresses {
			mac := a.MAC
			if mac == 0 {
				mac = r.nic.MAC
			}
			if fd < 0 { // protocol 0: receives nothing
				if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK,
					0); err != nil {
					return b.noteUnlessFatal(fmt.Errorf("announce addresses: %w", err))
				}
			}
			err := unix.Sendto(fd, a.Announce(mac), 0, &unix.SockaddrLinklayer{Ifindex: r.nic.Index})
			// no link: nobody to tell
			if err != nil && !errors.Is(err, unix.ENETDOWN) && !errors.Is(err, unix.ENOBUFS) {
				b.notef("the address %v of %s was not announced: %v", a.IP, r.nic.Name, err)
			}
		}
	}
	return nil
}

// noteUppers names what vanishes with the adapter.
func (b *giveBack) noteUppers() {
	if b.adapter == nil {
		return
	}
	if what, err := b.h.Dependents(b.adapter.Name); err == nil && len(what) > 0 {
		b.notef("removed with %s: %s", b.adapter.Name, joinNames(what))
	}
}
