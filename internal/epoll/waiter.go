// SPDX-License-Identifier: MIT

package epoll

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// File returns an os.File of fd that the runtime's poller does not watch. A non-blocking fd stays non-blocking.
func File(fd int, name string) (*os.File, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, err
	}
	if flags&unix.O_NONBLOCK == 0 {
		return os.NewFile(uintptr(fd), name), nil
	}
	// os.NewFile registers only non-blocking descriptors with the poller.
	if err := unix.SetNonblock(fd, false); err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	return f, unix.SetNonblock(fd, true)
}

// Waiter waits for one descriptor, or for two, in one goroutine. That goroutine calls ClearWake and Also, or another
// while none waits. The other methods may be called from any goroutine.
type Waiter struct {
	fd    int
	also  int      // -1: none
	set   *os.File // the epoll set, of fd and also
	raw   syscall.RawConn
	poll  func(set uintptr) bool // made once: a closure for each call would allocate
	armed bool
	stale bool  // the set may hold an event of before
	err   error // of arming
	event [2]unix.EpollEvent
}

// NewWaiter returns a Waiter for fd, which is borrowed until Close.
func NewWaiter(fd int) (*Waiter, error) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll set: %w", err)
	}
	if err := add(set, fd); err != nil {
		unix.Close(set)
		return nil, err
	}
	if err := unix.SetNonblock(set, true); err != nil {
		unix.Close(set)
		return nil, err
	}
	w := &Waiter{fd: fd, also: -1, set: os.NewFile(uintptr(set), "epoll")}
	if w.raw, err = w.set.SyscallConn(); err != nil {
		w.set.Close()
		return nil, err
	}
	w.poll = func(set uintptr) bool {
		if w.armed {
			// Reading the event disarms it. If there is none, the caller's read returns EAGAIN.
			w.armed = false
			n, _ := unix.EpollWait(int(set), w.event[:], 0)
			w.stale = n <= 0 || w.also >= 0 // the other one is still armed
			return true
		}
		// An event that came while nobody waited woke nobody, and arming reports only an event that is not in the set
		// yet (ep_modify in fs/eventpoll.c): read it first.
		if w.stale {
			_, _ = unix.EpollWait(int(set), w.event[:], 0)
		}
		// If fd is readable already, arming reports an event.
		w.armed = true
		w.err = w.arm(int(set), w.fd)
		if w.also >= 0 && w.err == nil {
			w.err = w.arm(int(set), w.also)
		}
		return w.err != nil
	}
	return w, nil
}

// add adds a descriptor to an epoll set, disarmed until Wait.
func add(set, fd int) error {
	if err := unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLONESHOT}); err != nil {
		return fmt.Errorf("add to epoll set: %w", err)
	}
	return nil
}

func (w *Waiter) arm(set, fd int) error {
	w.event[0] = unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT}
	return unix.EpollCtl(set, unix.EPOLL_CTL_MOD, fd, &w.event[0])
}

// Also makes Wait return when fd is readable, too. It is borrowed until the next Also or Close; -1: none.
func (w *Waiter) Also(fd int) (err error) {
	if fd == w.also {
		return nil
	}
	cerr := w.raw.Control(func(set uintptr) {
		if w.also >= 0 {
			if err = unix.EpollCtl(int(set), unix.EPOLL_CTL_DEL, w.also, nil); err != nil {
				err = fmt.Errorf("remove from epoll set: %w", err)
				return
			}
			w.also = -1
		}
		if fd >= 0 {
			if err = add(int(set), fd); err == nil {
				w.also, w.stale = fd, true
			}
		}
	})
	return errors.Join(cerr, err)
}

// Wait returns true once the descriptor is readable or has an error, and false from Wake until ClearWake and after
// Close.
func (w *Waiter) Wait() bool {
	w.armed = false
	if w.raw.Read(w.poll) == nil && w.err == nil {
		return true
	}
	w.stale = true
	return false
}

// Wake ends Wait, and each one that follows until ClearWake.
func (w *Waiter) Wake() error { return w.set.SetReadDeadline(time.Unix(1, 0)) }

// ClearWake ends the effect of Wake. A woken goroutine calls ClearWake, then looks for its tasks, which were there
// before Wake, and waits again. After an error Wait goes on returning false.
func (w *Waiter) ClearWake() error { return errors.Join(w.err, w.set.SetReadDeadline(time.Time{})) }

// Close ends Wait for good. Closing twice is fine.
func (w *Waiter) Close() error {
	if err := w.set.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
