// SPDX-License-Identifier: MIT

package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"
)

// RoundTrips are the times of answered echoes, sorted, and how many had no answer.
type RoundTrips struct {
	Times []time.Duration
	Lost  int
}

// Quantile returns the time that a share q of the answers did not exceed, 0 without answers.
func (r RoundTrips) Quantile(q float64) time.Duration {
	if len(r.Times) == 0 {
		return 0
	}
	return r.Times[min(int(q*float64(len(r.Times))), len(r.Times)-1)]
}

// String returns the usual figures.
func (r RoundTrips) String() string {
	return fmt.Sprintf("median %v, p99 %v of %d, %d lost", r.Quantile(0.5).Round(time.Microsecond),
		r.Quantile(0.99).Round(time.Microsecond), len(r.Times), r.Lost)
}

// Echo sends count datagrams one after the other, interval apart, from one host to an echo service on an
// address of the other, and waits up to a second for each answer.
func Echo(ctx context.Context, from, to *Host, address netip.Addr, count int,
	interval time.Duration) (RoundTrips, error) {
	var out RoundTrips
	server, err := to.ListenPacket("udp", net.JoinHostPort(address.String(), "0"))
	if err != nil {
		return out, fmt.Errorf("echo: %w", err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		buf := make([]byte, 64)
		for {
			n, peer, err := server.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = server.WriteTo(buf[:n], peer)
			}
		}
	}()
	defer func() { server.Close(); <-served }()
	client, err := from.Dial(ctx, "udp", server.LocalAddr().String())
	if err != nil {
		return out, fmt.Errorf("echo: %w", err)
	}
	defer client.Close()
	buf := make([]byte, 64)
	for n := range count {
		binary.BigEndian.PutUint64(buf, uint64(n))
		start := time.Now()
		_ = client.SetReadDeadline(start.Add(time.Second))
		if _, err := client.Write(buf[:56]); err != nil {
			out.Lost++
		} else if err := awaitEcho(client, uint64(n)); err != nil {
			out.Lost++
		} else {
			out.Times = append(out.Times, time.Since(start))
		}
		if err := sleep(ctx, interval); err != nil {
			return out, fmt.Errorf("echo: %w", err)
		}
	}
	slices.Sort(out.Times)
	return out, nil
}

// awaitEcho passes over late answers to earlier requests.
func awaitEcho(c net.Conn, n uint64) error {
	buf := make([]byte, 64)
	for {
		size, err := c.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return err
		}
		if err == nil && size >= 8 && binary.BigEndian.Uint64(buf) == n {
			return nil
		}
	}
}
