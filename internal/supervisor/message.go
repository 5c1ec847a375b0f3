// SPDX-License-Identifier: MIT

package supervisor

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds how long a supervisor that does not read delays this process.
const patience = 2 * time.Second

func setSendTimeout(socket int) {
	tv := unix.NsecToTimeval(patience.Nanoseconds())
	_ = unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv)
}

// send sends lines as one message, with a descriptor unless fd is -1.
func (s *Supervisor) send(fd int, lines ...string) error {
	var rights []byte
	if fd >= 0 {
		rights = unix.UnixRights(fd)
	}
	text := []byte(strings.Join(lines, "\n"))
	for {
		err := unix.Sendmsg(s.socket, text, rights, s.address, unix.MSG_NOSIGNAL)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return fmt.Errorf("notify %s: it did not read for %v: %w", s.kind, patience, os.ErrDeadlineExceeded)
		case err != nil:
			s.lost.Store(errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) ||
				errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOENT))
			return fmt.Errorf("notify %s: %w", s.kind, err)
		}
		s.lost.Store(false)
		return nil
	}
}

// syncPatience bounds Sync.
const syncPatience = 5 * time.Second

// Sync returns when the supervisor has processed all messages before: what was removed from the store is closed.
// See sd_notify_barrier(3): the supervisor closes its end of a pipe.
func (s *Supervisor) Sync() error {
	if s == nil || s.socket < 0 {
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	err = s.send(int(w.Fd()), "BARRIER=1")
	_ = w.Close()
	if err != nil {
		return err
	}
	if err := r.SetReadDeadline(time.Now().Add(syncPatience)); err != nil {
		return err
	}
	if _, err := r.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("wait for %s: %w", s.kind, err)
	}
	if s.Lost() { // the kernel closed the pipe, not the supervisor
		return fmt.Errorf("wait for %s: %w", s.kind, unix.EPIPE)
	}
	return nil
}
