// SPDX-License-Identifier: MIT

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Load is TCP connections from one host to another that send as fast as they can until stopped. The
// zero value of each field but From, To and Address is a default.
type Load struct {
	From, To *Host
	Address  netip.Addr // of To
	Flows    int        // 1
	// FirstPort and PortStep choose the source ports; without them the kernel does.
	FirstPort, PortStep int
}

// RunningLoad is a load under way.
type RunningLoad struct {
	listener net.Listener
	out      []net.Conn
	received atomic.Int64
	started  time.Time
	wait     sync.WaitGroup
	once     sync.Once
	mu       sync.Mutex
	in       []net.Conn
}

// Start connects all flows and begins to send.
func (l Load) Start(ctx context.Context) (*RunningLoad, error) {
	listener, err := l.To.Listen("tcp", net.JoinHostPort(l.Address.String(), "0"))
	if err != nil {
		return nil, fmt.Errorf("start load: %w", err)
	}
	r := &RunningLoad{listener: listener}
	r.wait.Go(r.accept)
	for i := range max(l.Flows, 1) {
		c, err := l.dial(ctx, listener.Addr().String(), i)
		if err != nil {
			r.Stop()
			return nil, fmt.Errorf("start load: flow %d: %w", i, err)
		}
		r.out = append(r.out, c)
	}
	r.started = time.Now()
	for _, c := range r.out {
		r.wait.Go(func() {
			buf := make([]byte, 1<<17)
			for {
				if _, err := c.Write(buf); err != nil {
					return
				}
			}
		})
	}
	return r, nil
}

func (l Load) dial(ctx context.Context, address string, flow int) (c net.Conn, err error) {
	d := net.Dialer{FallbackDelay: -1}
	if l.FirstPort > 0 {
		d.LocalAddr = &net.TCPAddr{Port: l.FirstPort + flow*l.PortStep}
		// The port may still be in TIME_WAIT from an earlier load.
		d.Control = func(_, _ string, c syscall.RawConn) (err error) {
			return errors.Join(c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			}), err)
		}
	}
	err = l.From.Do(func() error {
		c, err = d.DialContext(ctx, "tcp", address)
		return err
	})
	return c, err
}

func (r *RunningLoad) accept() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		r.in = append(r.in, c)
		r.mu.Unlock()
		r.wait.Go(func() {
			buf := make([]byte, 1<<18)
			for {
				n, err := c.Read(buf)
				r.received.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
	}
}

// Rate is what was received so far. Rate.Less gives the rate between two moments.
func (r *RunningLoad) Rate() Rate { return Rate{Bytes: r.received.Load(), Took: time.Since(r.started)} }

// Less returns what was received between an earlier rate and this one.
func (r Rate) Less(earlier Rate) Rate {
	return Rate{Bytes: r.Bytes - earlier.Bytes, Took: r.Took - earlier.Took}
}

// Stop ends the flows and returns the total. Stopping twice is fine.
func (r *RunningLoad) Stop() Rate {
	rate := r.Rate()
	r.once.Do(func() {
		r.listener.Close()
		for _, c := range r.out {
			// At once, without what is still queued.
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
		r.mu.Lock()
		for _, c := range r.in {
			c.Close()
		}
		r.mu.Unlock()
		r.wait.Wait()
	})
	return rate
}

// Measure runs a load for a while and returns its rate, leaving the first tenth out.
func (l Load) Measure(ctx context.Context, d time.Duration) (Rate, error) {
	r, err := l.Start(ctx)
	if err != nil {
		return Rate{}, err
	}
	defer r.Stop()
	if err := sleep(ctx, d/10); err != nil {
		return Rate{}, err
	}
	start := r.Rate()
	if err := sleep(ctx, d-d/10); err != nil {
		return Rate{}, err
	}
	return r.Rate().Less(start), nil
}
