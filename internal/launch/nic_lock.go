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

	"nicteam/team"
)

// NICLocks are the NICs that are this process's, as every other team of the network namespace sees it, whatever directories
// it has: a socket with an abstract name for each, which is the namespace's and ends with the process. Journals tell of the
// NICs of dead teams; these of living ones.
type NICLocks struct {
	team, runDir string

	mu   sync.Mutex
	held map[int]*net.UnixListener // by ifindex
}

func NewNICLocks(name, runDir string) *NICLocks {
	return &NICLocks{team: name, runDir: runDir, held: map[int]*net.UnixListener{}}
}

func nicLockName(index int) string { return fmt.Sprintf("@nicteam/nic/%d", index) }

// holder is the team that a NIC is locked by.
type NICHolder struct{ team, runDir string }

// nicLockPatience bounds the wait for a process that was killed to let go of its sockets.
const nicLockPatience = 5 * time.Second

// Lock locks a NIC. It returns who has it when that is another process; a name that somebody has who could not have made a
// team says nothing, so it keeps nobody from one.
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
			return nil, nil // not a team's
		case time.Now().After(end):
			return nil, fmt.Errorf("lock NIC: %w", err)
		}
	}
}

// serve tells who asks whose the NIC is.
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

// NICHolderOf asks whose a NIC is, nil for nobody's. known is false where somebody has it who does not say who he is, which a
// process does that is about to end.
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

// TeamHolding is the team that a NIC is locked by, "" for none.
func TeamHolding(index int) string {
	if h, _ := NICHolderOf(index); h != nil {
		return h.team
	}
	return ""
}

// Problem says that a NIC is another team's.
func (h *NICHolder) Problem(what, nic string) *team.Problem {
	why := "it is a member of the team " + h.team
	if nic == h.team {
		why = "it is the adapter of the team " + h.team
	}
	return &team.Problem{Kind: team.Conflict, What: fmt.Sprintf("%s: NIC %s cannot be a member", what, nic),
		Why: fmt.Sprintf("%s, which has its directories elsewhere (%s)", why, h.runDir),
		Fix: fmt.Sprintf("nicteam remove %s %s --run-dir %s, or choose another NIC", h.team, nic, h.runDir)}
}
