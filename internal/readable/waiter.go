package readable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

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

// Waiter waits for one descriptor, in one goroutine. The other methods may be called from any.
type Waiter struct {
	set  [2]unix.PollFd // the descriptor, and wake
	wake *os.File       // an event descriptor
	raw  syscall.RawConn
	poll func(wake uintptr) // made once: a closure a call would be an allocation a call
	can  bool
}

// NewWaiter makes a Waiter for fd, which stays the caller's and has to outlive Wait.
func NewWaiter(fd int) (*Waiter, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make an event descriptor: %w", err)
	}
	w := &Waiter{set: [2]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}}
	if w.wake, err = File(wake, "eventfd"); err != nil {
		unix.Close(wake)
		return nil, err
	}
	if w.raw, err = w.wake.SyscallConn(); err != nil {
		w.wake.Close()
		return nil, err
	}
	w.poll = func(uintptr) {
		for {
			_, err := unix.Poll(w.set[:], -1)
			if err != unix.EINTR {
				// Errors of the descriptor are for its reader to see.
				w.can = w.set[1].Revents == 0
				return
			}
		}
	}
	return w, nil
}

// Wait returns true once the descriptor can be read or has an error to tell, and false from Wake on until
// Rest, and after Close.
func (w *Waiter) Wait() bool {
	w.can = false
	if err := w.raw.Control(w.poll); err != nil {
		return false
	}
	return w.can
}

// Wake ends Wait.
func (w *Waiter) Wake() error {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, err := w.wake.Write(one[:])
	return err
}

// Rest takes Wake back.
func (w *Waiter) Rest() error {
	var count [8]byte
	if _, err := w.wake.Read(count[:]); err != nil && !errors.Is(err, unix.EAGAIN) {
		return err
	}
	return nil
}

// Close ends Wait for good. Closing twice is fine.
func (w *Waiter) Close() error {
	if err := w.Wake(); errors.Is(err, os.ErrClosed) {
		return nil
	}
	return w.wake.Close()
}
