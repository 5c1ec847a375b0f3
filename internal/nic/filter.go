package nic

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// AddFilter makes the NIC take in these unicast addresses as well. On error the rest is tried all the same.
func (s *Socket) AddFilter(macs []frame.MAC) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, m := range macs {
		if slices.Contains(s.filter, m) {
			continue
		}
		if err := s.member(unix.PACKET_ADD_MEMBERSHIP, unix.PACKET_MR_UNICAST, m); err != nil {
			errs = append(errs, fmt.Errorf("filter of %s: add %v: %w", s.opt.Name, m, err))
			continue
		}
		s.filter = append(s.filter, m)
	}
	return errors.Join(errs...)
}

// TrimFilter makes the NIC no more take in the addresses of calls before that are not among these. On error the rest
// is tried all the same.
func (s *Socket) TrimFilter(macs []frame.MAC) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	s.filter = slices.DeleteFunc(s.filter, func(m frame.MAC) bool {
		if slices.Contains(macs, m) {
			return false
		}
		if err := s.member(unix.PACKET_DROP_MEMBERSHIP, unix.PACKET_MR_UNICAST, m); err != nil {
			errs = append(errs, fmt.Errorf("filter of %s: remove %v: %w", s.opt.Name, m, err))
		}
		return true
	})
	return errors.Join(errs...)
}

// SetPromiscuous makes the NIC take in everything, or takes that back.
func (s *Socket) SetPromiscuous(on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.promiscuous == on {
		return nil
	}
	op := unix.PACKET_DROP_MEMBERSHIP
	if on {
		op = unix.PACKET_ADD_MEMBERSHIP
	}
	if err := s.member(op, unix.PACKET_MR_PROMISC, 0); err != nil {
		return fmt.Errorf("set %s promiscuous %v: %w", s.opt.Name, on, err)
	}
	s.promiscuous = on
	return nil
}

// JoinGroup makes the NIC take in frames to a group address, for as long as the socket is open.
func (s *Socket) JoinGroup(m frame.MAC) error {
	if err := s.member(unix.PACKET_ADD_MEMBERSHIP, unix.PACKET_MR_MULTICAST, m); err != nil {
		return fmt.Errorf("join group %v on %s: %w", m, s.opt.Name, err)
	}
	return nil
}

func (s *Socket) member(op int, kind uint16, m frame.MAC) error {
	mreq := unix.PacketMreq{Ifindex: int32(s.opt.Index), Type: kind}
	if m != 0 {
		mreq.Alen = 6
		m.Put(mreq.Address[:], 0)
	}
	err := s.control(func(fd int) error { return unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, op, &mreq) })
	if op == unix.PACKET_DROP_MEMBERSHIP && (errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV)) {
		return nil // went with its NIC
	}
	return err
}
