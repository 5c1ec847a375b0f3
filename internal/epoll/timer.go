// SPDX-License-Identifier: MIT

package epoll

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Timer lets one goroutine sleep many times a second. A timer of the runtime wakes three threads: the one that runs the
// goroutine, another that looks whether there is more to do, and the runtime's monitor. A descriptor that is readable
// wakes the first one only, and neither setting nor reading it is a system call that the runtime is told of, which
// would wake the monitor.
type Timer struct {
	file    *os.File // of timerfd
	raw     syscall.RawConn
	expired func(fd uintptr) bool // made once: a closure for each call would allocate
	spec    unix.ItimerSpec
	set     bool
	buf     [8]byte
	err     error
}

// NewTimer returns a Timer that sleeps on no clock but CLOCK_MONOTONIC.
func NewTimer() (*Timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("create timer: %w", err)
	}
	t := &Timer{file: os.NewFile(uintptr(fd), "timer")}
	if t.raw, err = t.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("create timer: %w", err), t.file.Close())
	}
	t.expired = func(fd uintptr) bool {
		if !t.set {
			t.set = true
			_, _, e := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&t.spec)), 0, 0, 0)
			if e != 0 {
				t.err = fmt.Errorf("set timer: %w", e)
			}
			return e != 0
		}
		// What woke this may be the event of a time that was set before.
		_, _, e := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&t.buf)), uintptr(len(t.buf)))
		return e != unix.EAGAIN && e != unix.EINTR
	}
	return t, nil
}

// Sleep returns true after d, and false after Close. One goroutine calls it.
func (t *Timer) Sleep(d time.Duration) bool {
	t.set = false
	t.spec.Value = unix.NsecToTimespec(max(d, 1).Nanoseconds()) // 0 would never expire
	return t.raw.Read(t.expired) == nil && t.err == nil
}

// Close ends Sleep for good. Any goroutine may call it, and twice.
func (t *Timer) Close() error {
	if err := t.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
