// SPDX-License-Identifier: MIT

package nic

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// receiveFilter is what the team adds to the NIC's receive filter. The kernel removes the memberships of a packet
// socket with it. They are those of a socket that receives nothing, because the main one may belong to one process
// after the other: the next process makes a filter with all that its Plan has, then lets this one go, and never has to
// know what is in it.
type receiveFilter struct {
	file            *os.File // closed by Close only
	inherited       *os.File // of the process before; nil: there is none
	unicast, groups memberships
	promiscuous     bool
	allMulti        bool
}

// memberships are addresses of one kind.
type memberships struct {
	kind uint16
	macs []frame.MAC
}

func newReceiveFilter() receiveFilter {
	return receiveFilter{unicast: memberships{kind: unix.PACKET_MR_UNICAST},
		groups: memberships{kind: unix.PACKET_MR_MULTICAST}}
}

// open opens the socket. Protocol 0 receives nothing.
func (f *receiveFilter) open() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open receive filter: %w", err)
	}
	f.file = os.NewFile(uintptr(fd), "receive filter")
	return nil
}

// ReleaseInherited ends the receive filter of the process before. The one of this process has all that the Plan wants.
func (s *Socket) ReleaseInherited() {
	s.mu.Lock()
	old := s.filter.inherited
	s.filter.inherited = nil
	s.mu.Unlock()
	if old == nil || s.closed.Load() {
		return
	}
	s.storeFilter()
	_ = old.Close()
}

// closeFilter closes the receive filter, also that of the process before.
func (s *Socket) closeFilter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.filter.file.Close()
	if old := s.filter.inherited; old != nil {
		s.filter.inherited = nil
		err = errors.Join(err, old.Close())
	}
	return err
}

// AddFilter adds unicast addresses to the NIC's receive filter. After an error it goes on with the rest.
func (s *Socket) AddFilter(macs []frame.MAC) error { return s.addMemberships(&s.filter.unicast, macs) }

// TrimFilter removes the addresses of AddFilter that are not among these. After an error it goes on with the rest.
func (s *Socket) TrimFilter(macs []frame.MAC) error {
	return s.trimMemberships(&s.filter.unicast, macs)
}

// AddGroups adds group addresses to the NIC's receive filter. After an error it goes on with the rest.
func (s *Socket) AddGroups(groups []frame.MAC) error {
	return s.addMemberships(&s.filter.groups, groups)
}

// TrimGroups removes the groups of AddGroups that are not among these. After an error it goes on with the rest.
func (s *Socket) TrimGroups(groups []frame.MAC) error {
	return s.trimMemberships(&s.filter.groups, groups)
}

func (s *Socket) addMemberships(list *memberships, macs []frame.MAC) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, m := range macs {
		if slices.Contains(list.macs, m) {
			continue
		}
		if err := s.setMembership(unix.PACKET_ADD_MEMBERSHIP, list.kind, m); err != nil {
			errs = append(errs, fmt.Errorf("filter of %s: add %v: %w", s.opt.Name, m, err))
			continue
		}
		list.macs = append(list.macs, m)
	}
	return errors.Join(errs...)
}

func (s *Socket) trimMemberships(list *memberships, macs []frame.MAC) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	list.macs = slices.DeleteFunc(list.macs, func(m frame.MAC) bool {
		if slices.Contains(macs, m) {
			return false
		}
		if err := s.setMembership(unix.PACKET_DROP_MEMBERSHIP, list.kind, m); err != nil {
			errs = append(errs, fmt.Errorf("filter of %s: remove %v: %w", s.opt.Name, m, err))
		}
		return true
	})
	return errors.Join(errs...)
}

// SetPromiscuous switches the NIC's promiscuous mode.
func (s *Socket) SetPromiscuous(on bool) error {
	return s.setReceiveMode(&s.filter.promiscuous, unix.PACKET_MR_PROMISC, "promiscuous", on)
}

// SetAllMulti switches the reception of all groups.
func (s *Socket) SetAllMulti(on bool) error {
	return s.setReceiveMode(&s.filter.allMulti, unix.PACKET_MR_ALLMULTI, "allmulti", on)
}

func (s *Socket) setReceiveMode(state *bool, kind uint16, name string, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *state == on {
		return nil
	}
	op := unix.PACKET_DROP_MEMBERSHIP
	if on {
		op = unix.PACKET_ADD_MEMBERSHIP
	}
	if err := s.setMembership(op, kind, 0); err != nil {
		return fmt.Errorf("set %s %s %v: %w", s.opt.Name, name, on, err)
	}
	*state = on
	return nil
}

// JoinGroup adds a group address to the NIC's receive filter for as long as the socket is open.
func (s *Socket) JoinGroup(m frame.MAC) error {
	if err := s.setMembership(unix.PACKET_ADD_MEMBERSHIP, unix.PACKET_MR_MULTICAST, m); err != nil {
		return fmt.Errorf("join group %v on %s: %w", m, s.opt.Name, err)
	}
	return nil
}

func (s *Socket) setMembership(op int, kind uint16, m frame.MAC) error {
	mreq := unix.PacketMreq{Ifindex: int32(s.opt.Index), Type: kind}
	if m != 0 {
		mreq.Alen = 6
		m.Put(mreq.Address[:], 0)
	}
	err := s.withFilter(func(fd int) error { return unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, op, &mreq) })
	if op == unix.PACKET_DROP_MEMBERSHIP && (errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV)) {
		return nil // went with its NIC
	}
	return err
}

// withFilter calls f with the descriptor of the receive filter, which stays open meanwhile.
func (s *Socket) withFilter(f func(fd int) error) error {
	raw, err := s.filter.file.SyscallConn()
	if err == nil {
		if cerr := raw.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
			err = cerr
		}
	}
	if errors.Is(err, os.ErrClosed) || err != nil && s.closed.Load() {
		return ErrClosed
	}
	return err
}
