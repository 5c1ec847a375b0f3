package nic

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// SetFilter makes the NIC take in these unicast addresses besides its own, and no more those of the call before.
// On error the rest is tried all the same.
func (s *Socket) SetFilter(macs []frame.MAC) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.filter[:0:0]
	var errs []error
	for _, m := range s.filter {
		if slices.Contains(macs, m) {
			have = append(have, m)
		} else if err := s.member(unix.PACKET_DROP_MEMBERSHIP, unix.PACKET_MR_UNICAST, m); err != nil {
			errs = append(errs, fmt.Errorf("filter of %s: remove %v: %w", s.opt.Name, m, err))
		}
	}
	for _, m := range macs {
		if m == s.opt.MAC || slices.Contains(have, m) {
			continue
		}
		if err := s.member(unix.PACKET_ADD_MEMBERSHIP, unix.PACKET_MR_UNICAST, m); err != nil {
			errs = append(errs, fmt.Errorf("filter of %s: add %v: %w", s.opt.Name, m, err))
			continue
		}
		have = append(have, m)
	}
	s.filter = have
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
