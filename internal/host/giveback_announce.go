package host

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// announceAddresses tells the neighbours of each NIC that its addresses are to be had at its own MAC. Those of a team that balanced what it
// received were told the MACs of other NICs, and would go on sending there until they ask anew: to a NIC that is down again
// by now, or that answers only because the host's stack is lenient.
func (b *giveBack) announceAddresses() error {
	fd := -1
	defer func() {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}()
	for _, r := range b.members {
		if !r.was.Up {
			continue
		}
		what, err := b.h.Announcement(r.nic.Index)
		if err != nil {
			return b.noteUnlessFatal(fmt.Errorf("announce addresses of %s: %w", r.nic.Name, err))
		}
		for _, a := range what.Addresses {
			mac := a.MAC
			if mac == 0 {
				mac = r.nic.MAC
			}
			if fd < 0 { // of no protocol: it receives nothing
				if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
					return b.noteUnlessFatal(fmt.Errorf("announce addresses: %w", err))
				}
			}
			err := unix.Sendto(fd, a.Announce(mac), 0, &unix.SockaddrLinklayer{Ifindex: r.nic.Index})
			if err != nil && !errors.Is(err, unix.ENETDOWN) && !errors.Is(err, unix.ENOBUFS) { // without link nobody has to be told
				b.notef("the address %v of %s was not announced: %v", a.IP, r.nic.Name, err)
			}
		}
	}
	return nil
}

// noteUppers says what others will lose with the adapter.
func (b *giveBack) noteUppers() {
	if b.adapter == nil {
		return
	}
	if what, err := b.h.Dependents(b.adapter.Name); err == nil && len(what) > 0 {
		b.notef("with %s ends what others had on it: %s", b.adapter.Name, joinNames(what))
	}
}
