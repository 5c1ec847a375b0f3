// SPDX-License-Identifier: MIT

package nic

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// memberships are addresses of one kind in the NIC's receive filter. The kernel removes them with the socket.
type memberships struct {
	kind uint16
	macs []frame.MAC
}

// AddFilter adds unicast addresses to the NIC's receive filter. After an error it goes on with the rest.
func (s *Socket) AddFilter(macs []frame.MAC) error { return s.addMemberships(&s.unicast, macs) }

// TrimFilter removes the addresses of AddFilter that are not among these. After an error it goes on with the rest.
func (s *Socket) TrimFilter(macs []frame.MAC) error { return s.trimMemberships(&s.unicast, macs) }

// AddGroups adds group addresses to the NIC's receive filter. After an error it goes on with the rest.
func (s *Socket) AddGroups(groups []frame.MAC) error { return s.addMemberships(&s.groups, groups) }

// TrimGroups removes the groups of AddGroups that are not among these. After an error it goes on with the rest.
func (s *Socket) TrimGroups(groups []frame.MAC) error { return s.trimMemberships(&s.groups, groups) }

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
	return s.setReceiveMode(&s.promiscuous, unix.PACKET_MR_PROMISC, "promiscuous", on)
}

// SetAllMulti switches the reception of all groups.
func (s *Socket) SetAllMulti(on bool) error {
	return s.setReceiveMode(&s.allMulti, unix.PACKET_MR_ALLMULTI, "allmulti", on)
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
	err := s.withFD(func(fd int) error { return unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, op, &mreq) })
	if op == unix.PACKET_DROP_MEMBERSHIP && (errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV)) {
		return nil // went with its NIC
	}
	return err
}
