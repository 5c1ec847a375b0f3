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
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
)

// listener hands out connections that know who is at the other end, so many at a time. Those who may change
// things have places of their own: nobody else can take them.
type listener struct {
	*net.UnixListener            // another after stay
	swap              sync.Mutex // guards it
	path              string
	owner             uint32
	writers           quota
	readers           quota
	remove            sync.Once

	begin    sync.Once
	admitted chan *conn
	failed   chan error
	closed   chan struct{}
	waiting  slots // those without a place
	patience time.Duration
}

// quota are the connections of one kind of peers. Beyond those for everything some are kept for what is quickly
// answered: a change, or a refusal that says why. So whoever fills the others with questions keeps nobody from a
// change.
type quota struct {
	all      slots
	reserved slots
	streams  slots // of all, those that may be answers without an end
}

// conn is a connection with its peer.
type conn struct {
	*net.UnixConn
	peer     peer
	writer   bool
	reserved bool // on a place that is kept for changes
	*quota
	free func() // the place
	once sync.Once
}

// slots counts places that are taken, up to a bound.
type slots struct {
	bound int32
	taken atomic.Int32
}

func (s *slots) take() bool {
	if s.taken.Add(1) > s.bound {
		s.taken.Add(-1)
		return false
	}
	return true
}

func (s *slots) leave() { s.taken.Add(-1) }

// bound has places for n connections, a quarter of which no stream can take, and kept ones besides.
func (p *quota) bound(n int) {
	p.all.bound, p.reserved.bound, p.streams.bound = int32(n), int32(max(n/4, 4)), int32(max(n*3/4, 1))
}

// listen makes the socket, 0660. It is made beside its place and renamed into it, so that at
// its place it never has other rights; a socket that a dead process left there is replaced. That no
// living process owns it is the caller's lock to know.
func listen(path string, owner uint32, writers, readers int) (*listener, error) {
	if st, err := os.Lstat(path); err == nil && st.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("listen on %s: it exists and is not a socket", path)
	}
	l, err := bind(path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	own := &listener{UnixListener: l, path: path, owner: owner, admitted: make(chan *conn), failed: make(chan error),
		closed:  make(chan struct{}),
		waiting: slots{bound: waitMost}, patience: waitTime}
	own.writers.bound(writers)
	own.readers.bound(readers)
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

// Accept returns the next connection that there is a place for.
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

// recreateSocket makes the socket again when somebody has taken its file away (rm -rf of the directory, a cleaner):
// nobody could reach the team.
func (l *listener) recreateSocket() {
	look := time.NewTicker(stayLook)
	defer look.Stop()
	for {
		select {
		case <-l.closed:
			return
		case <-look.C:
		}
		if _, err := os.Lstat(l.path); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		l.swap.Lock()
		select {
		case <-l.closed: // which took it away
		default:
			if u, err := bind(l.path); err == nil { // else later
				go l.admit(u)
				_ = l.UnixListener.Close()
				l.UnixListener = u
			}
		}
		l.swap.Unlock()
	}
}

// admit gives connections places as they come, until the socket is closed.
func (l *listener) admit(u *net.UnixListener) {
	for {
		c, err := u.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			select {
			case l.failed <- err: // Accept is called again if that may be over
				continue
			case <-l.closed:
				return
			}
		}
		switch own := l.admitConn(c); {
		case own != nil:
			l.deliver(own)
		case l.waiting.take():
			go l.waitForSlot(c)
		default:
			_ = c.Close()
		}
	}
}

// waitForSlot gives a connection a place as soon as there is one, or says that there is none.
func (l *listener) waitForSlot(c *net.UnixConn) {
	defer l.waiting.leave()
	for end := time.Now().Add(l.patience); time.Now().Before(end); time.Sleep(waitLook) {
		if own := l.admitConn(c); own != nil {
			l.deliver(own)
			return
		}
	}
	_ = c.SetDeadline(time.Now().Add(waitLook))
	_, _ = c.Read(make([]byte, 4096)) // or the kernel takes the answer for lost with the request
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
	waitTime = 2 * time.Second // for a place
	waitLook = 10 * time.Millisecond
	waitMost = 128 // at a time
	stayLook = time.Second
)

// noSlot is the answer where no place became free.
var noSlot = encode(&api.Problem{Kind: api.NoAnswer, What: "ask the team", Why: "too many connections are open",
	Fix: "end some that watch: pgrep -af 'nicteam (watch|events)'"})

// admitConn finds a place for a connection, nil where there is none.
func (l *listener) admitConn(c *net.UnixConn) *conn {
	who, err := peerOf(c)
	if err != nil {
		return nil
	}
	own := &conn{UnixConn: c, peer: who, writer: who.uid == 0 || who.uid == l.owner}
	p := &l.readers
	if own.writer {
		p = &l.writers
	}
	own.quota = p
	switch {
	case p.all.take():
		own.free = p.all.leave
	case p.reserved.take():
		own.reserved, own.free = true, p.reserved.leave
	default:
		return nil
	}
	return own
}

// Close ends listening and takes the socket away.
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
	c.once.Do(c.free)
	return c.UnixConn.Close()
}

// peer is the process that connected, as the kernel noted it then. Its pid is 0 where it is in another pid namespace.
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

// program is what the peer runs, "" when it has ended or cannot be seen. It says it of itself: good for finding who did
// something, not for deciding who may.
func (p peer) program() string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.pid))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
