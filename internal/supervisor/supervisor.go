// SPDX-License-Identifier: MIT

package supervisor

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Supervisor is who stands behind this process. Its methods may be called by several goroutines. A nil *Supervisor is
// nobody: it accepts every call and keeps nothing.
type Supervisor struct {
	kind     string
	socket   int           // to the supervisor; -1: the descriptors are kept in this process
	address  unix.Sockaddr // of systemd's socket; nil: socket is connected
	watchdog time.Duration
	lost     atomic.Bool

	mu        sync.Mutex // guards the fields below, and keeps the messages of Put together
	inherited Store      // what nobody took yet
	own       Store      // if socket is -1
}

// The kinds of a Supervisor.
const (
	Systemd = "systemd"
	Keeper  = "keeper"
)

// FromEnv returns the supervisor that started this process, nil if there is none. It reads the variables of
// sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3) and removes them from the environment: they are not for
// programs that this process starts. The descriptors that the process before left wait for Take or Discard.
func FromEnv() *Supervisor {
	e := takeEnv()
	if len(e.inherited) == 0 && e.notify == "" {
		return nil
	}
	s := &Supervisor{socket: -1, watchdog: e.watchdog, inherited: e.inherited}
	if fd, ok := s.inherited.Take(keeperName); ok {
		if !isSeqpacket(fd) {
			_ = unix.Close(fd)
			return s
		}
		s.kind, s.socket = Keeper, fd
		setSendTimeout(fd)
		return s
	}
	if e.notify == "" {
		return s
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return s
	}
	setSendTimeout(fd)
	s.kind, s.socket, s.address = Systemd, fd, &unix.SockaddrUnix{Name: e.notify} // a leading @: abstract
	return s
}

// InPlace returns a Supervisor for a process behind which nobody stands: descriptors that are Put stay open in this
// process, for Exec. Its Kind is "".
func InPlace() *Supervisor { return &Supervisor{socket: -1} }

// Kind returns Systemd, Keeper, or "" if nobody stands behind this process.
func (s *Supervisor) Kind() string {
	if s == nil {
		return ""
	}
	return s.kind
}

// Watchdog returns the time after which the supervisor takes a process without WATCHDOG=1 for hung, 0 if it never does.
// A process sends WATCHDOG=1 every half of it.
func (s *Supervisor) Watchdog() time.Duration {
	if s == nil {
		return 0
	}
	return s.watchdog
}

// Lost reports whether the supervisor is gone: nobody starts the team again when this process dies.
func (s *Supervisor) Lost() bool {
	if s == nil || s.socket < 0 {
		return false
	}
	if s.kind == Keeper {
		p := []unix.PollFd{{Fd: int32(s.socket)}}
		if n, err := unix.Poll(p, 0); err == nil && n > 0 && p[0].Revents&unix.POLLHUP != 0 {
			s.lost.Store(true)
		}
	}
	return s.lost.Load()
}

// Notify sends lines such as "READY=1" or "STATUS=2/2 up, elb" as one message.
func (s *Supervisor) Notify(lines ...string) error {
	if s == nil || s.socket < 0 {
		return nil
	}
	return s.send(-1, lines...)
}

// Put stores a duplicate of fd for the process after this one. An older one of that name is removed first.
func (s *Supervisor) Put(name string, fd int) error {
	if s == nil {
		return nil
	}
	if !validName(name) {
		return fmt.Errorf("store descriptor %q: not a name of sd_pid_notify_with_fds(3)", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.socket < 0 {
		return s.own.Put(name, fd)
	}
	if s.kind == Systemd { // it keeps several of one name; the keeper replaces
		if err := s.send(-1, "FDSTOREREMOVE=1", "FDNAME="+name); err != nil {
			return fmt.Errorf("remove stored descriptor %s: %w", name, err)
		}
	}
	// FDPOLL=0: systemd drops a descriptor that polls as hung up, as a packet socket does while its NIC is down.
	if err := s.send(fd, "FDSTORE=1", "FDNAME="+name, "FDPOLL=0"); err != nil {
		return fmt.Errorf("store descriptor %s: %w", name, err)
	}
	return nil
}

// Remove has the supervisor close the stored descriptor of that name, if there is one. What it refers to may live on
// until Sync returns.
func (s *Supervisor) Remove(name string) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(name)
}

func (s *Supervisor) remove(name string) error {
	if s.socket < 0 {
		s.own.Remove(name)
		return nil
	}
	if !validName(name) {
		return nil // cannot be stored
	}
	if err := s.send(-1, "FDSTOREREMOVE=1", "FDNAME="+name); err != nil {
		return fmt.Errorf("remove stored descriptor %s: %w", name, err)
	}
	return nil
}

// Take returns a descriptor that the process before left. The caller owns it; the supervisor keeps its duplicate until
// Put or Remove of that name.
func (s *Supervisor) Take(name string) (fd int, ok bool) {
	if s == nil {
		return -1, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fd, ok = s.inherited.Take(name)
	if ok && s.socket < 0 {
		if err := s.own.Put(name, fd); err != nil { // as a supervisor keeps its duplicate
			_ = unix.Close(fd)
			return -1, false
		}
	}
	return fd, ok
}

// Names returns the names of the descriptors that the process before left and nobody took, sorted.
func (s *Supervisor) Names() []string {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inherited.Names()
}

// Discard closes what nobody took and removes it from the store.
func (s *Supervisor) Discard() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var failed error
	for _, name := range s.inherited.Names() {
		s.inherited.Remove(name)
		if s.socket >= 0 {
			failed = errors.Join(failed, s.remove(name))
		}
	}
	return failed
}

// env is what the environment says of a supervisor.
type env struct {
	notify    string
	watchdog  time.Duration
	inherited Store
}

// maxInherited bounds LISTEN_FDS.
const maxInherited = 4096

// takeEnv reads the variables of a supervisor and removes them. Descriptors that are meant for another process, by
// LISTEN_PID, stay as they are.
func takeEnv() (e env) {
	vars := map[string]string{}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS",
		"LISTEN_FDNAMES", "LISTEN_PIDFDID", "FDSTORE", inPlaceEnv} {
		vars[name] = os.Getenv(name)
		_ = os.Unsetenv(name)
	}
	if s := vars["NOTIFY_SOCKET"]; s != "" && (s[0] == '/' || s[0] == '@') {
		e.notify = s
	}
	pid := strconv.Itoa(os.Getpid())
	usec, err := strconv.ParseUint(vars["WATCHDOG_USEC"], 10, 32)
	if err == nil && (vars["WATCHDOG_PID"] == "" || vars["WATCHDOG_PID"] == pid) {
		e.watchdog = time.Duration(usec) * time.Microsecond
	}
	e.inherited.adoptKept(vars[inPlaceEnv])
	n, err := strconv.Atoi(vars["LISTEN_FDS"])
	if err != nil || n < 1 || n > maxInherited {
		return e
	}
	names := strings.Split(vars["LISTEN_FDNAMES"], ":")
	// The keeper cannot know the process ID before the process runs, and names its own socket.
	if vars["LISTEN_PID"] != pid && !(vars["LISTEN_PID"] == "" && names[0] == keeperName) {
		return e
	}
	for i := range n {
		fd := firstInherited + i
		unix.CloseOnExec(fd)
		name := ""
		if len(names) == n {
			name = names[i]
		}
		e.inherited.adopt(name, fd)
	}
	return e
}

// firstInherited is SD_LISTEN_FDS_START.
const firstInherited = 3

// keeperName is the name under which a process inherits its socket to the keeper.
const keeperName = "keeper"

func isSeqpacket(fd int) bool {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	domain, err2 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	return err == nil && err2 == nil && kind == unix.SOCK_SEQPACKET && domain == unix.AF_UNIX
}

// maxName is FDNAME_MAX of systemd.
const maxName = 255

// validName reports whether systemd accepts a name: printable ASCII without a colon.
func validName(name string) bool {
	return name != "" && len(name) <= maxName &&
		!slices.ContainsFunc([]byte(name), func(c byte) bool { return c < ' ' || c >= 127 || c == ':' })
}
