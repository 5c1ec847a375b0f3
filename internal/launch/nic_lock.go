// SPDX-License-Identifier: MIT

package launch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
)

// NICLocks are the NICs that this process holds, visible to every team of the network namespace whatever its
// directories: one abstract unix socket (unix(7)) a NIC, which belongs to the namespace and closes with the process.
// They cover the NICs of living teams; journals cover those of dead ones.
type NICLocks struct {
	team, runDir string

	mu   sync.Mutex
	held map[int]*net.UnixListener // by ifindex
}

// NewNICLocks returns no locks yet, for a team with that run directory.
func NewNICLocks(name, runDir string) *NICLocks {
	return &NICLocks{team: name, runDir: runDir, held: map[int]*net.UnixListener{}}
}

func nicLockName(index int) string { return fmt.Sprintf("@nicteam/nic/%d", index) }

// NICHolder is the team that holds a NIC, and its run directory.
type NICHolder struct{ team, runDir string }

// nicLockPatience bounds the wait for a killed process whose sockets are not closed yet.
const nicLockPatience = 5 * time.Second

// Lock locks the NIC with that ifindex. If another team holds it, Lock returns that team. A socket held by an
// unprivileged user blocks nobody: that user could not have made a team.
func (l *NICLocks) Lock(index int) (*NICHolder, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[index] != nil {
		return nil, nil
	}
	for end := time.Now().Add(nicLockPatience); ; time.Sleep(2 * time.Millisecond) {
		s, err := net.ListenUnix("unix", &net.UnixAddr{Name: nicLockName(index), Net: "unix"})
		if err == nil {
			l.held[index] = s
			go l.serve(s)
			return nil, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("lock NIC: %w", err)
		}
		switch h, known := NICHolderOf(index); {
		case h != nil:
			return h, nil
		case known:
			return nil, nil // not held by a team
		case time.Now().After(end):
			return nil, fmt.Errorf("lock NIC: %w", err)
		}
	}
}

// serve answers every connection with the team and its run directory.
func (l *NICLocks) serve(s *net.UnixListener) {
	for {
		c, err := s.AcceptUnix()
		if err != nil {
			return
		}
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(c, l.team+"\n"+l.runDir+"\n")
		_ = c.Close()
	}
}

// KeepOnly unlocks all NICs but these.
func (l *NICLocks) KeepOnly(indexes ...int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, s := range l.held {
		if !slices.Contains(indexes, i) {
			_ = s.Close()
			delete(l.held, i)
		}
	}
}

// NICHolderOf asks who holds a NIC; nil: no team. known is false if the holder does not answer, as a dying process does
// not.
func NICHolderOf(index int) (h *NICHolder, known bool) {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.Dial("unix", nicLockName(index))
	if err != nil {
		return nil, false
	}
	defer func() { _ = c.Close() }()
	var cred *unix.Ucred
	if raw, err := c.(*net.UnixConn).SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { cred, _ = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	}
	if cred == nil || !trustedUID(cred.Uid) {
		return nil, true
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	r := bufio.NewReader(io.LimitReader(c, 4096))
	name, err1 := r.ReadString('\n')
	dir, err2 := r.ReadString('\n')
	if err1 != nil || err2 != nil {
		return nil, false
	}
	return &NICHolder{strings.TrimSpace(name), strings.TrimSpace(dir)}, true
}

// TeamHolding returns the team that holds a NIC, "" for none.
func TeamHolding(index int) string {
	if h, _ := NICHolderOf(index); h != nil {
		return h.team
	}
	return ""
}

// Problem returns the error that the NIC belongs to h.
func (h *NICHolder) Problem(what, nic string) *api.Problem {
	why := "it is a member of the team " + h.team
	if nic == h.team {
		why = "it is the adapter of the team " + h.team
	}
	return &api.Problem{Kind: api.Conflict, What: fmt.Sprintf("%s: NIC %s cannot be a member", what, nic),
		Why: fmt.Sprintf("%s, which has its directories elsewhere (%s)", why, h.runDir),
		Fix: fmt.Sprintf("nicteam remove %s %s --run-dir %s, or choose another NIC", h.team, nic, h.runDir)}
}
