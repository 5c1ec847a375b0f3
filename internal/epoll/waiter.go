package epoll

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// File makes an os.File of fd that the runtime's poller does not know. It stays non-blocking if it is.
func File(fd int, name string) (*os.File, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, err
	}
	if flags&unix.O_NONBLOCK == 0 {
		return os.NewFile(uintptr(fd), name), nil
	}
	// os.NewFile gives the poller what is non-blocking, and nothing else.
	if err := unix.SetNonblock(fd, false); err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	return f, unix.SetNonblock(fd, true)
}

// Waiter waits for one descriptor, in one goroutine. The other methods may be called from any; Rest is for the one that
// waits, or while none does.
type Waiter struct {
	fd    int
	set   *os.File // an epoll set with nothing but fd
	raw   syscall.RawConn
	poll  func(set uintptr) bool // made once: a closure a call would be an allocation a call
	armed bool
	stale bool  // the set may have an event that was told already
	err   error // of arming
	event [1]unix.EpollEvent
}

// NewWaiter makes a Waiter for fd, which stays the caller's and has to outlive Wait.
func NewWaiter(fd int) (*Waiter, error) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll set: %w", err)
	}
	// The event is disarmed until Wait.
	if err := unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLONESHOT}); err != nil {
		unix.Close(set)
		return nil, fmt.Errorf("add to an epoll set: %w", err)
	}
	if err := unix.SetNonblock(set, true); err != nil {
		unix.Close(set)
		return nil, err
	}
	w := &Waiter{fd: fd, set: os.NewFile(uintptr(set), "epoll")}
	if w.raw, err = w.set.SyscallConn(); err != nil {
		w.set.Close()
		return nil, err
	}
	w.poll = func(set uintptr) bool {
		if w.armed {
			// Taking the event out disarms it. Should there be none, the reader finds that there is nothing to read.
			w.armed = false
			n, _ := unix.EpollWait(int(set), w.event[:], 0)
			w.stale = n <= 0
			return true
		}
		// An event that came while nobody waited has woken nobody, and arming tells only of one that is not in
		// the set yet (ep_modify in fs/eventpoll.c): it has to be taken out first.
		if w.stale {
			_, _ = unix.EpollWait(int(set), w.event[:], 0)
		}
		// What can be read already is an event as well.
		w.armed = true
		w.event[0] = unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT}
		w.err = unix.EpollCtl(int(set), unix.EPOLL_CTL_MOD, w.fd, &w.event[0])
		return w.err != nil
	}
	return w, nil
}

// Wait returns true once the descriptor can be read or has an error to tell, and false from Wake on until
// Rest, and after Close.
func (w *Waiter) Wait() bool {
	w.armed = false
	if w.raw.Read(w.poll) == nil && w.err == nil {
		return true
	}
	w.stale = true
	return false
}

// Wake ends Wait, or the next one.
func (w *Waiter) Wake() error { return w.set.SetReadDeadline(time.Unix(1, 0)) }

// ClearWake takes Wake back. Who waits may be woken many times: it calls Rest, then looks for what it was woken for, which has
// to be there before Wake, and waits again. On an error Wait will go on to return false.
func (w *Waiter) ClearWake() error { return errors.Join(w.err, w.set.SetReadDeadline(time.Time{})) }

// Close ends Wait for good. Closing twice is fine.
func (w *Waiter) Close() error {
	if err := w.set.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
