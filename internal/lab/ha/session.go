// SPDX-License-Identifier: MIT

package ha

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"nicteam/internal/lab"
)

// Session is a connection that mostly waits. A server answers each line with its name.
type Session struct {
	conn net.Conn
	read *bufio.Reader
	By   string // the server
}

// StartSession connects and asks once.
func StartSession(ctx context.Context, from *lab.Host, to netip.AddrPort) (*Session, error) {
	c, err := from.Dial(ctx, "tcp4", to.String())
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	s := &Session{conn: c, read: bufio.NewReader(c)}
	if s.By, err = s.line(requestLimit); err != nil {
		c.Close()
		return nil, fmt.Errorf("session: %w", err)
	}
	return s, nil
}

func (s *Session) line(limit time.Duration) (string, error) {
	if err := s.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(s.conn); err != nil {
		return "", err
	}
	l, err := s.read.ReadString('\n')
	return strings.TrimSpace(l), err
}

// Alive returns an error unless the same server answers a line.
func (s *Session) Alive() error {
	by, err := s.line(2 * requestLimit)
	if err != nil {
		return fmt.Errorf("session with %s: %w", s.By, err)
	}
	if by != s.By {
		return fmt.Errorf("session with %s is answered by %q", s.By, by)
	}
	return nil
}

// Close ends the session.
func (s *Session) Close() error { return s.conn.Close() }

// Download is a file under way at a rate that leaves time for what happens meanwhile.
type Download struct {
	size     int64
	received atomic.Int64
	cancel   context.CancelFunc
	done     chan struct{}
	err      error
}

// StartDownload starts to fetch a file of so many octets, so many a second.
func StartDownload(ctx context.Context, from *lab.Host, to netip.AddrPort, size, rate int64) *Download {
	ctx, cancel := context.WithCancel(ctx)
	d := &Download{size: size, cancel: cancel, done: make(chan struct{})}
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	seed := uint64(binary.BigEndian.Uint32(b[:]))
	server := &lab.FileServer{Address: to.String()}
	begun := time.Now()
	go func() {
		defer close(d.done)
		sha, _, err := server.Fetch(ctx, from, seed, size, func(n int64) {
			d.received.Store(n)
			due := begun.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
			select {
			case <-time.After(time.Until(due)):
			case <-ctx.Done():
			}
		})
		if want := server.SHA256(seed, size); err == nil && sha != want {
			err = fmt.Errorf("SHA-256 %s, want %s", sha, want)
		}
		d.err = err
	}()
	return d
}

// Received returns the octets so far.
func (d *Download) Received() int64 { return d.received.Load() }

// Wait waits for the end and returns an error unless the whole file has arrived as it is.
func (d *Download) Wait(limit time.Duration) error {
	select {
	case <-d.done:
	case <-time.After(limit):
		d.cancel()
		<-d.done
		return fmt.Errorf("download: %d octets of %d within %v", d.Received(), d.size, limit)
	}
	if d.err != nil {
		return fmt.Errorf("download: after %d octets of %d: %w", d.Received(), d.size, d.err)
	}
	return nil
}

// Close ends the download.
func (d *Download) Close() { d.cancel(); <-d.done }
