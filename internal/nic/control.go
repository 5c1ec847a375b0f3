package nic

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// controlSocket is a Socket's second way out, for single frames on which the link's life depends. Bulk fills the send buffer
// of the first one as a rule, and a frame that is refused there is refused just when the link is busy.
//
// The kernel lets it pass in two ways. With a priority that every classful queue and pfifo_fast know as that of
// control, it goes by the NIC's queue like any frame, so that whoever shapes the link has his way. Where that queue has
// no room, it goes to the driver directly.
type controlSocket struct {
	conn *packet.Conn
	raw  syscall.RawConn

	mu sync.Mutex // its options are those of one frame
}

const (
	// controlPriority is TC_PRIO_CONTROL of linux/pkt_sched.h.
	controlPriority = 7
	// controlBuffer is SO_SNDBUF before the kernel doubles it: some hundred frames, which wait in a queue at most.
	controlBuffer = 64 << 10
)

// open opens it on the same NIC. It receives nothing.
func (u *controlSocket) open(o Options) error {
	conn, err := packet.Listen(&net.Interface{Index: o.Index, Name: o.Name, HardwareAddr: o.MAC.HardwareAddr()}, packet.Raw, 0, nil)
	if err != nil {
		return err
	}
	if u.raw, err = conn.SyscallConn(); err == nil {
		err = u.withFD(func(fd int) error {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, controlBuffer); err != nil {
				return fmt.Errorf("set SO_SNDBUFFORCE: %w", err)
			}
			return nil
		})
	}
	if err != nil {
		conn.Close()
		return err
	}
	u.conn = conn
	return nil
}

func (u *controlSocket) withFD(f func(fd int) error) error {
	var err error
	return errors.Join(u.raw.Control(func(fd uintptr) { err = f(int(fd)) }), err)
}

// send sends b before everything else that waits, if the NIC's queue knows priorities; inOrder: behind it.
func (u *controlSocket) send(fd int, b []byte, inOrder bool) error {
	priority := controlPriority
	if inOrder {
		priority = 0
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, priority); err != nil {
		return fmt.Errorf("set SO_PRIORITY: %w", err)
	}
	err := u.sendOnce(fd, b)
	if err != unix.ENOBUFS || inOrder {
		return err
	}
	if unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1) != nil {
		return err
	}
	err = u.sendOnce(fd, b)
	return errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 0))
}

func (u *controlSocket) sendOnce(fd int, b []byte) error {
	for {
		_, err := unix.SendmsgN(fd, b, nil, nil, unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return err
		}
	}
}

// SendControl sends one whole Ethernet frame outside of batches, whatever waits for transmission.
func (s *Socket) SendControl(b []byte) error { return s.sendControl(b, false) }

// SendControlInOrder is Send of a frame that is to leave behind all that was sent before, as far as the NIC's queue keeps any order.
func (s *Socket) SendControlInOrder(b []byte) error { return s.sendControl(b, true) }

func (s *Socket) sendControl(b []byte, inOrder bool) error {
	if len(b) < frame.EtherLen {
		return fmt.Errorf("send by %s: %d bytes are no frame: %w", s.opt.Name, len(b), unix.EINVAL)
	}
	s.ctl.mu.Lock()
	err := s.ctl.withFD(func(fd int) error { return s.ctl.send(fd, b, inOrder) })
	s.ctl.mu.Unlock()
	switch {
	case err == nil:
		return nil
	case s.closed.Load():
		err = ErrClosed
	case errors.Is(err, unix.ENETDOWN):
		err = ErrDown
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		err = ErrGone
	}
	return fmt.Errorf("send by %s: %w", s.opt.Name, err)
}
