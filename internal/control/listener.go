package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// listener hands out connections that know who is at the other end, so many at a time. Those who may change
// things have places of their own: nobody else can take them.
type listener struct {
	*net.UnixListener
	path    string
	owner   uint32
	writers seats
	readers seats
	remove  sync.Once
}

// conn is a connection with its peer.
type conn struct {
	*net.UnixConn
	writer bool
	leave  func()
	once   sync.Once
}

// seats counts places that are taken, up to a bound.
type seats struct {
	bound int32
	taken atomic.Int32
}

func (s *seats) take() bool {
	if s.taken.Add(1) > s.bound {
		s.taken.Add(-1)
		return false
	}
	return true
}

// listen makes the socket, 0660. It is made beside its place and renamed into it, so that at
// its place it never has other rights; a socket that a dead process left there is replaced. That no
// living process owns it is the caller's lock to know.
func listen(path string, owner uint32, writers, readers int) (*listener, error) {
	if st, err := os.Lstat(path); err == nil && st.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("listen on %s: it exists and is not a socket", path)
	}
	beside := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: beside, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(beside, 0o660)
	if err == nil {
		err = os.Rename(beside, path)
	}
	if err != nil {
		_ = l.Close()
		_ = os.Remove(beside)
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return &listener{UnixListener: l, path: path, owner: owner, writers: seats{bound: int32(writers)}, readers: seats{bound: int32(readers)}}, nil
}

// Accept returns the next connection that there is a place for; others are closed at once.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peer(c)
		writer := err == nil && (uid == 0 || uid == l.owner)
		s := &l.readers
		if writer {
			s = &l.writers
		}
		if err == nil && s.take() {
			return &conn{UnixConn: c, writer: writer, leave: func() { s.taken.Add(-1) }}, nil
		}
		_ = c.Close()
	}
}

// Close ends listening and takes the socket away.
func (l *listener) Close() error {
	l.remove.Do(func() { _ = os.Remove(l.path) })
	return l.UnixListener.Close()
}

func (c *conn) Close() error {
	c.once.Do(c.leave)
	return c.UnixConn.Close()
}

// peer is the uid of the process that connected, as the kernel noted it then.
func peer(c *net.UnixConn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var e error
	if err := raw.Control(func(fd uintptr) { cred, e = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, err
	}
	if e != nil {
		return 0, e
	}
	return cred.Uid, nil
}
