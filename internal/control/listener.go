// SPDX-License-Identifier: MIT

package control

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/tick"
)

// listener accepts a bounded number of connections and reads their peers' credentials. Those who may change things
// have a quota of their own.
type listener struct {
	*net.UnixListener            // recreateSocket replaces it
	swap              sync.Mutex // guards UnixListener
	path              string
	owner             uint32
	writers           quota
	readers           quota
	remove            sync.Once

	begin    sync.Once
	admitted chan *conn
	failed   chan error
	closed   chan struct{}
	patience time.Duration
}

// conn is a connection with its peer.
type conn struct {
	*net.UnixConn
	peer   peer
	writer bool
	*quota
	inReserved bool // in a reserved slot
	mu         sync.Mutex
	free       func(uid uint32) // frees the slot; nil once it was called
}

// listen makes the socket with mode 0660: under a temporary name, renamed to path, so that path never has another mode.
// It replaces the socket of a dead process. The caller holds the team's lock, so no other process serves path.
func listen(path string, owner uint32, writers, readers int) (*listener, error) {
	if st, err := os.Lstat(path); err == nil && st.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("listen on %s: it exists and is not a socket", path)
	}
	l, err := bind(path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	own := &listener{UnixListener: l, path: path, owner: owner, admitted: make(chan *conn), failed: make(chan error),
		closed: make(chan struct{}), patience: waitTime}
	own.writers.bound(writers, false)
	own.readers.bound(readers, true)
	return own, nil
}

func bind(path string) (*net.UnixListener, error) {
	beside := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: beside, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(beside, 0o660)
	if err == nil {
		err = os.Rename(beside, path)
	}
	if err != nil {
		_ = l.Close()
		_ = os.Remove(beside)
		return nil, err
	}
	return l, nil
}

// Accept returns the next connection that has a slot.
func (l *listener) Accept() (net.Conn, error) {
	l.begin.Do(func() {
		go l.admit(l.UnixListener)
		go l.recreateSocket()
	})
	select {
	case c := <-l.admitted:
		return c, nil
	case err := <-l.failed:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// recreateSocket makes the socket again if somebody deleted its file (rm -rf of the directory, a cleaner of temporary
// files): no client could reach the team.
func (l *listener) recreateSocket() {
	for {
		select {
		case <-l.closed:
			return
		case <-time.After(tick.UntilBeat(stayLook)):
		}
		if _, err := os.Lstat(l.path); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		l.swap.Lock()
		select {
		case <-l.closed: // Close removed the file
		default:
			if u, err := bind(l.path); err == nil { // else retry at the next tick
				go l.admit(u)
				_ = l.UnixListener.Close()
				l.UnixListener = u
			}
		}
		l.swap.Unlock()
	}
}

// admit accepts connections and gives them slots until the socket is closed.
func (l *listener) admit(u *net.UnixListener) {
	for {
		c, err := u.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			select {
			case l.failed <- err: // net/http calls Accept again after a temporary error
				continue
			case <-l.closed:
				return
			}
		}
		own := l.ownConn(c)
		switch {
		case own == nil:
			_ = c.Close()
		case own.admit():
			l.deliver(own)
		case own.waiting.take(own.peer.uid):
			go l.waitForSlot(own)
		default:
			_ = c.Close()
		}
	}
}

// waitForSlot gives a connection the next free slot, or answers 503 after the patience.
func (l *listener) waitForSlot(c *conn) {
	defer c.waiting.leave(c.peer.uid)
	for end := time.Now().Add(l.patience); time.Now().Before(end); time.Sleep(waitLook) {
		if c.admit() {
			l.deliver(c)
			return
		}
	}
	_ = c.SetDeadline(time.Now().Add(waitLook))
	_, _ = c.Read(make([]byte, 4096)) // closing with unread data would reset the connection, and the answer be lost
	_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: "+
		strconv.Itoa(len(noSlot))+"\r\nConnection: close\r\n\r\n"+string(noSlot))
	_ = c.Close()
}

// deliver passes a connection on to Accept.
func (l *listener) deliver(c *conn) {
	select {
	case l.admitted <- c:
	case <-l.closed:
		_ = c.Close()
	}
}

const (
	waitTime = 2 * time.Second // for a slot
	waitLook = 10 * time.Millisecond
	stayLook = time.Second
)

// noSlot is the answer if no slot became free.
var noSlot = encode(&api.Problem{Kind: api.NoAnswer, What: "ask the team", Why: "too many connections are open",
	Fix: "end some of the watchers: pgrep -af 'nicteam (watch|events)'"})

// ownConn reads whose connection it is; nil: the kernel does not say.
func (l *listener) ownConn(c *net.UnixConn) *conn {
	who, err := peerOf(c)
	if err != nil {
		return nil
	}
	own := &conn{UnixConn: c, peer: who, writer: who.uid == 0 || who.uid == l.owner, quota: &l.readers}
	if own.writer {
		own.quota = &l.writers
	}
	return own
}

// admit takes a slot and reports whether there was one.
func (c *conn) admit() bool {
	switch {
	case c.all.take(c.peer.uid):
		c.free = c.all.leave
	case c.reserved.take(c.peer.uid):
		c.inReserved, c.free = true, c.reserved.leave
	default:
		return false
	}
	return true
}

// Close stops listening and removes the socket.
func (l *listener) Close() error {
	l.swap.Lock()
	defer l.swap.Unlock()
	l.remove.Do(func() {
		_ = os.Remove(l.path)
		close(l.closed)
	})
	return l.UnixListener.Close()
}

func (c *conn) Close() error {
	c.mu.Lock()
	if c.free != nil {
		c.free(c.peer.uid)
		c.free = nil
	}
	c.mu.Unlock()
	return c.UnixConn.Close()
}

// leave frees the slot of a connection that is refused and closed after the answer. Until then its client decides how
// long it takes, and nobody else is to be refused for that. Of too many at a time the rest keep their slots.
func (c *conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.free != nil && c.leaving.take(c.peer.uid) {
		c.free(c.peer.uid)
		c.free = c.leaving.leave
	}
}

// peer is the process that connected (SO_PEERCRED). Its pid is 0 if it is not visible in our pid namespace.
type peer struct {
	uid uint32
	pid int32
}

func peerOf(c *net.UnixConn) (peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var cred *unix.Ucred
	var e error
	if err := raw.Control(func(fd uintptr) {
		cred, e = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return peer{}, err
	}
	if e != nil {
		return peer{}, e
	}
	return peer{cred.Uid, cred.Pid}, nil
}

// program is the peer's comm, "" if the process has ended or is not visible. A process sets it itself: it is for logs,
// not for permissions.
func (p peer) program() string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.pid))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
