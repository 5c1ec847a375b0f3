// SPDX-License-Identifier: MIT

package nic

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"nicteam/internal/epoll"
	"nicteam/internal/frame"
)

// controlSocket sends control frames, which keep the link alive. It has a send buffer of its own, because bulk traffic
// fills that of the Socket just when the link is busy.
//
// A control frame goes through the NIC's qdisc with TC_PRIO_CONTROL, which pfifo_fast and classful qdiscs prefer, so
// that a shaped link stays shaped. If the qdisc is full, the frame goes to the driver directly.
//
// The runtime's poller does not know it, since it would wake for each frame that has left.
type controlSocket struct {
	file *os.File
	raw  syscall.RawConn

	mu       sync.Mutex // socket options are set for one frame
	priority int        // SO_PRIORITY at present
}

const (
	// controlPriority is TC_PRIO_CONTROL of linux/pkt_sched.h.
	controlPriority = 7
	// controlBuffer is SO_SNDBUF before the kernel doubles it: some hundred frames.
	controlBuffer = 64 << 10
)

// open opens the socket on the NIC. It receives nothing.
func (u *controlSocket) open(o Options) error {
	conn, err := packet.Listen(&net.Interface{Index: o.Index, Name: o.Name, HardwareAddr: o.MAC.HardwareAddr()},
		packet.Raw, 0, nil)
	if err != nil {
		return err
	}
	defer conn.Close() // u has a duplicate of the descriptor
	if u.raw, err = conn.SyscallConn(); err != nil {
		return err
	}
	var fd int
	err = u.withFD(func(polled int) (err error) {
		if err := unix.SetsockoptInt(polled, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, controlBuffer); err != nil {
			return fmt.Errorf("set SO_SNDBUFFORCE: %w", err)
		}
		fd, err = unix.FcntlInt(uintptr(polled), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return err
	}
	if u.file, err = epoll.File(fd, o.Name); err != nil {
		unix.Close(fd)
		return err
	}
	if u.raw, err = u.file.SyscallConn(); err != nil {
		u.file.Close()
	}
	return err
}

func (u *controlSocket) withFD(f func(fd int) error) error {
	var err error
	return errors.Join(u.raw.Control(func(fd uintptr) { err = f(int(fd)) }), err)
}

// send sends b before all that waits, if the qdisc knows priorities; inOrder: behind it.
func (u *controlSocket) send(fd int, b []byte, inOrder bool) error {
	priority := controlPriority
	if inOrder {
		priority = 0
	}
	if priority != u.priority {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, priority); err != nil {
			return fmt.Errorf("set SO_PRIORITY: %w", err)
		}
		u.priority = priority
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

// sendOnce sends b. The runtime is not told of the system call, which waits for nothing: it would wake its monitor.
func (u *controlSocket) sendOnce(fd int, b []byte) error {
	for {
		_, _, err := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))),
			uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
		switch err {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return err
		}
	}
}

// SendControl sends one whole Ethernet frame outside of batches, ahead of what waits for transmission.
func (s *Socket) SendControl(b []byte) error { return s.sendControl(b, false) }

// SendControlInOrder is SendControl of a frame that leaves behind all that was sent before, as far as the qdisc keeps
// order.
func (s *Socket) SendControlInOrder(b []byte) error { return s.sendControl(b, true) }

func (s *Socket) sendControl(b []byte, inOrder bool) error {
	if len(b) < frame.EtherLen {
		return fmt.Errorf("send by %s: %d bytes are not a frame: %w", s.opt.Name, len(b), unix.EINVAL)
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
