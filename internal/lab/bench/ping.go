// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
)

// pinger sends ICMP echo requests, which the peer's kernel answers.
type pinger struct {
	fd   int
	to   unix.Sockaddr
	id   uint16
	seq  uint16
	buf  [256]byte
	send [64]byte
}

func newPinger(from *lab.Host, to netip.Addr) (*pinger, error) {
	p := &pinger{to: &unix.SockaddrInet4{Addr: to.As4()}, id: uint16(rand.Uint32())}
	err := from.Do(func() (err error) {
		p.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open ICMP socket: %w", err)
	}
	return p, nil
}

func (p *pinger) close() { unix.Close(p.fd) }

// once sends a request and waits for its answer.
func (p *pinger) once(wait time.Duration) (time.Duration, bool) {
	b := p.next()
	start := time.Now()
	if err := unix.Sendto(p.fd, b, 0, p.to); err != nil {
		time.Sleep(min(wait, time.Millisecond))
		return 0, false
	}
	for {
		left := wait - time.Since(start)
		if left <= 0 {
			return 0, false
		}
		tv := unix.NsecToTimeval(left.Nanoseconds())
		if tv.Sec == 0 && tv.Usec == 0 {
			tv.Usec = 1 // zero means no timeout
		}
		if err := unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
			return 0, false
		}
		n, _, err := unix.Recvfrom(p.fd, p.buf[:], 0)
		took := time.Since(start)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, false
		}
		if p.answers(p.buf[:n]) {
			return took, true
		}
	}
}

// next is the next request.
func (p *pinger) next() []byte {
	p.seq++
	b := p.send[:]
	b[0], b[2], b[3] = 8, 0, 0
	binary.BigEndian.PutUint16(b[4:], p.id)
	binary.BigEndian.PutUint16(b[6:], p.seq)
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	return b
}

// answers reports whether an IPv4 packet answers the last request.
func (p *pinger) answers(b []byte) bool {
	if len(b) < 20 {
		return false
	}
	head := int(b[0]&15) * 4
	if len(b) < head+8 {
		return false
	}
	icmp := b[head:]
	return icmp[0] == 0 && binary.BigEndian.Uint16(icmp[4:]) == p.id && binary.BigEndian.Uint16(icmp[6:]) == p.seq
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	return ^uint16(sum)
}

// ping sends requests for a time, each an interval after the answer to the one before. Without an interval it is a
// flood ping.
func ping(ctx context.Context, from *lab.Host, to netip.Addr, d, interval time.Duration) (lab.RoundTrips, error) {
	var out lab.RoundTrips
	p, err := newPinger(from, to)
	if err != nil {
		return out, err
	}
	defer p.close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and ends with the goroutine, as its priority is not others'
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -10)
		for end := time.Now().Add(d); time.Now().Before(end) && ctx.Err() == nil; {
			if took, ok := p.once(time.Second); ok {
				out.Times = append(out.Times, took)
			} else {
				out.Lost++
			}
			if interval > 0 {
				time.Sleep(interval)
			}
		}
	}()
	<-ended
	slices.Sort(out.Times)
	if len(out.Times) == 0 {
		return out, errors.Join(ctx.Err(), fmt.Errorf("ping %s: none of %d answered", to, out.Lost))
	}
	return out, ctx.Err()
}
