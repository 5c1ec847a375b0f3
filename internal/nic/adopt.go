// SPDX-License-Identifier: MIT

package nic

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nicteam/internal/descriptors"
)

// ErrForeign says that a descriptor is not a Socket's of this NIC, or of a version that reads frames in another form.
var ErrForeign = errors.New("not a socket of this NIC")

// Adopt goes on with the socket that the process before this one left for the NIC: what waits in it is received next.
// filter is that process's receive filter, -1: there is none. It stays in force until ReleaseInherited. The socket
// filter stays if o has none, and the backlog's bound stays. Adopt owns both descriptors, and on an error closes them.
func Adopt(fd, filter int, o Options) (_ *Socket, err error) {
	s := newSocket(o)
	if filter >= 0 {
		unix.CloseOnExec(filter)
		s.filter.inherited = os.NewFile(uintptr(filter), "receive filter of the process before")
	}
	listens, err := checkSocket(fd, o.Index)
	if err == nil && !listens {
		s.PrepareStop()
	}
	if err = errors.Join(err, s.setFirstFilter(fd)); err == nil {
		unix.CloseOnExec(fd)
		if err = unix.SetNonblock(fd, true); err == nil {
			if err = s.own(fd); err == nil {
				if err = s.openOthers(); err == nil {
					if s.filter.inherited == nil {
						s.storeFilter() // the store has the rest
					}
					return s, nil
				}
			}
			fd = -1
		}
	}
	if fd >= 0 {
		unix.Close(fd)
	}
	if s.filter.inherited != nil {
		s.filter.inherited.Close()
	}
	return nil, fmt.Errorf("adopt socket of %s: %w", o.Name, err)
}

// checkSocket checks that fd is a socket that Open made, bound to the NIC, and reports whether it listens.
func checkSocket(fd, index int) (listens bool, err error) {
	for _, want := range []struct {
		name     string
		key, val int
	}{{"SO_DOMAIN", unix.SO_DOMAIN, unix.AF_PACKET}, {"SO_TYPE", unix.SO_TYPE, unix.SOCK_RAW}} {
		v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, want.key)
		if err != nil {
			return false, fmt.Errorf("%w: get %s: %w", ErrForeign, want.name, err)
		}
		if v != want.val {
			return false, fmt.Errorf("%w: %s is %d", ErrForeign, want.name, v)
		}
	}
	if err := checkModes(fd); err != nil {
		return false, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	switch ll, ok := sa.(*unix.SockaddrLinklayer); {
	case !ok:
		return false, ErrForeign
	case ll.Ifindex <= 0:
		return false, ErrGone // the kernel unbinds the socket when it removes the NIC
	case ll.Ifindex != index || ll.Protocol != htons(unix.ETH_P_ALL) && ll.Protocol != htons(unusedEtherType):
		return false, fmt.Errorf("%w: it is bound to ifindex %d, protocol %#x", ErrForeign, ll.Ifindex,
			htons(ll.Protocol))
	default:
		return ll.Protocol == htons(unix.ETH_P_ALL), nil
	}
}

// store keeps the descriptors for the next process. A store that is full costs that process a moment, not this one.
func (s *Socket) store() {
	_ = s.withFD(func(fd int) error { return s.opt.Store.Put(descriptors.Of(descriptors.Socket, s.opt.Index), fd) })
	s.storeFilter()
}

func (s *Socket) storeFilter() {
	_ = s.withFilter(func(fd int) error { return s.opt.Store.Put(descriptors.Of(descriptors.Groups, s.opt.Index), fd) })
}

func (s *Socket) unstore() {
	for _, kind := range []string{descriptors.Socket, descriptors.Groups} {
		_ = s.opt.Store.Remove(descriptors.Of(kind, s.opt.Index))
	}
}
