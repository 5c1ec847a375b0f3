// SPDX-License-Identifier: MIT

package supervisor

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"nicteam/internal/descriptors"
)

// Store is a set of open descriptors with unique names, all close-on-exec. The zero value is empty.
type Store map[string]int

// Put stores a duplicate of fd. It closes an older one of that name.
func (s *Store) Put(name string, fd int) error {
	kept, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, lowestNumber(name))
	if errors.Is(err, unix.EINVAL) { // beyond RLIMIT_NOFILE
		kept, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstInherited)
	}
	if err != nil {
		return fmt.Errorf("store descriptor %s: %w", name, err)
	}
	s.adopt(name, kept)
	return nil
}

// lowestNumber is where the search for a free number begins. The programs in the kernel move frames until their links
// and the adapter's queue are closed; what they do not need is closed before (descriptors.ClosedFirst).
func lowestNumber(name string) int {
	if descriptors.ClosesFirst(name) {
		return descriptors.ClosedFirst
	}
	return firstInherited
}

// adopt stores fd itself. One without a valid name is closed: nobody could ask for it.
func (s *Store) adopt(name string, fd int) {
	if !validName(name) {
		_ = unix.Close(fd)
		return
	}
	if *s == nil {
		*s = Store{}
	}
	s.Remove(name)
	(*s)[name] = fd
}

// Take removes a descriptor from the store without closing it.
func (s Store) Take(name string) (fd int, ok bool) {
	fd, ok = s[name]
	delete(s, name)
	return fd, ok
}

// Remove closes the descriptor of that name, if there is one.
func (s Store) Remove(name string) {
	if fd, ok := s.Take(name); ok {
		_ = unix.Close(fd)
	}
}

// Names returns the names, sorted.
func (s Store) Names() []string {
	names := make([]string, 0, len(s))
	for name := range s {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// ListenEnv returns the environment for a child of the keeper, and what its descriptors from 3 on must be: its socket
// to the keeper and the stored ones.
func ListenEnv(socket int, s Store) (env []string, fds []int) {
	names := append([]string{keeperName}, s.Names()...)
	fds = append(fds, socket)
	for _, name := range names[1:] {
		fds = append(fds, s[name])
	}
	return []string{"LISTEN_FDS=" + strconv.Itoa(len(fds)), "LISTEN_FDNAMES=" + strings.Join(names, ":")}, fds
}

// inPlaceEnv says which descriptors a program finds that replaced another one in the same process: NUMBER=NAME, with
// colons between.
const inPlaceEnv = "NICTEAM_KEPT_FDS"

// keptFD is an entry of inPlaceEnv.
type keptFD struct {
	fd   int
	name string
}

// parseKept parses inPlaceEnv. It leaves out what cannot be a stored descriptor.
func parseKept(list string) (kept []keptFD) {
	for entry := range strings.SplitSeq(list, ":") {
		number, name, _ := strings.Cut(entry, "=")
		fd, err := strconv.ParseUint(number, 10, 31)
		if err == nil && fd >= firstInherited && validName(name) {
			kept = append(kept, keptFD{int(fd), name})
		}
	}
	return kept
}

// adoptKept takes over the descriptors of inPlaceEnv that are open.
func (s *Store) adoptKept(list string) {
	for _, k := range parseKept(list) {
		if _, err := unix.FcntlInt(uintptr(k.fd), unix.F_SETFD, unix.FD_CLOEXEC); err == nil {
			s.adopt(k.name, k.fd)
		}
	}
}

// Inherited returns the descriptors of a program that replaced another one by Store.Exec.
func Inherited() Store { return takeEnv().inherited }

// Exec replaces the program of this process by another one, which finds the stored descriptors by FromEnv. It returns
// only on an error, and then nothing has changed. Goroutines end without notice. A signal that ends a process waits
// until the other program handles signals.
func (s Store) Exec(path string, argv, environ []string) error {
	var list []string
	for _, name := range s.Names() {
		fd := s[name]
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err == nil {
			list = append(list, strconv.Itoa(fd)+"="+name)
			defer unix.CloseOnExec(fd)
		}
	}
	environ = append(slices.Clip(environ), inPlaceEnv+"="+strings.Join(list, ":"))
	return holdSignals(func() error {
		return &os.PathError{Op: "exec", Path: path, Err: syscall.Exec(path, argv, environ)}
	})
}

// holdSignals blocks the signals that end a process while f runs. The mask outlives an execve(2); the kernel keeps
// what comes until somebody unblocks it, as os/signal does with what it is to notify of.
func holdSignals(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var block, was unix.Sigset_t
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP} {
		block.Val[0] |= 1 << (sig - 1)
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &block, &was); err != nil {
		return fmt.Errorf("block signals: %w", err)
	}
	return errors.Join(f(), unix.PthreadSigmask(unix.SIG_SETMASK, &was, nil))
}

// Exec replaces the program of this process by another one, with every descriptor that was Put. Only for a Supervisor
// whose Kind is "": others start the next process themselves.
func (s *Supervisor) Exec(path string, argv, environ []string) error {
	if s == nil {
		return Store(nil).Exec(path, argv, environ)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.socket >= 0 {
		return fmt.Errorf("exec %s: %s starts the next process", path, s.kind)
	}
	return s.own.Exec(path, argv, environ)
}
