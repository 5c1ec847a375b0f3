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

// Timer lets one goroutine sleep many times a second, a tick.Sleeper. A timer of the runtime wakes three threads: the
// one that runs the goroutine, another that looks whether there is more to do, and the runtime's monitor. A descriptor
// that is readable wakes the first one only, and neither setting nor reading it is a system call that the runtime is
// told of, which would wake the monitor.
type Timer struct {
	file *os.File // of timerfd
	raw  syscall.RawConn
	spec unix.ItimerSpec // of Set
	buf  [8]byte         // of Wait

	set     func(fd uintptr) // made once: closures for each call would allocate
	expired func(fd uintptr) bool
}

// NewTimer returns a Timer by CLOCK_MONOTONIC, for which no time is set.
func NewTimer() (*Timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("create timer: %w", err)
	}
	t := &Timer{file: os.NewFile(uintptr(fd), "timer")}
	if t.raw, err = t.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("create timer: %w", err), t.file.Close())
	}
	t.set = func(fd uintptr) {
		// It fails for times that do not exist, and these do.
		_, _, _ = unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&t.spec)), 0, 0, 0)
	}
	t.expired = func(fd uintptr) bool {
		// What woke this may be the event of a time that was changed since.
		_, _, e := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&t.buf)), uintptr(len(t.buf)))
		return e == 0
	}
	return t, nil
}

// Set has Wait return after d, and not before. Any goroutine may call it, one at a time.
func (t *Timer) Set(d time.Duration) {
	t.spec.Value = unix.NsecToTimespec(max(d, 1).Nanoseconds()) // 0 would never expire
	_ = t.raw.Control(t.set)                                    // fails after Close
}

// Wait returns true once the time of Set has come, which it then forgets, and false after Close. One goroutine calls
// it.
func (t *Timer) Wait() bool { return t.raw.Read(t.expired) == nil }

// Close ends Wait for good. Any goroutine may call it, and twice.
func (t *Timer) Close() error {
	if err := t.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
