// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
)

// countFlows is the number of flows of the UDP traffic.
const countFlows = 4

// steady keeps the Go runtime out of a measure until the returned function is called: no garbage collection, and
// processors of the runtime's for other threads, as the measuring one blocks in raw system calls.
func steady() (end func()) {
	runtime.LockOSThread()
	runtime.GC()
	percent, procs := debug.SetGCPercent(-1), runtime.GOMAXPROCS(4)
	return func() {
		runtime.UnlockOSThread()
		runtime.GOMAXPROCS(procs)
		debug.SetGCPercent(percent)
	}
}

// Raw system calls: the runtime watches over threads in others, and wakes each 20 µs as long as they take that time.

func rawWrite(fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))),
		uintptr(len(b)))
	return result(n, errno)
}

// rawRead waits for a second at most, which the socket's own limit (SO_RCVTIMEO) does not ensure: the runtime
// interrupts a thread each 10 ms that seems to run, and the kernel counts from the start again.
func rawRead(fd int, b []byte) (int, error) {
	var interrupted time.Time
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))),
			uintptr(len(b)))
		switch {
		case errno != unix.EINTR:
			return result(n, errno)
		case interrupted.IsZero():
			interrupted = time.Now()
		case time.Since(interrupted) > time.Second:
			return 0, unix.EAGAIN
		}
	}
}

func result(n uintptr, errno unix.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// tcpWrite is how much one write sends; a round has tcpRound of it, by each stream in turn.
const tcpWrite, tcpRound = 64 << 10, 512 << 10

// tcpRate returns the Mbit/s of streams together. One thread writes to each connection and then reads it empty, so that
// no order in which threads happen to run is in the figure, and nothing waits but for what is measured.
func tcpRate(ctx context.Context, from, to *lab.Host, cidr string, streams int) (float64, error) {
	pairs, end, err := connectedPairs(from, to, cidr, unix.SOCK_STREAM, streams)
	if err != nil {
		return 0, err
	}
	defer end()
	for _, p := range pairs {
		if err := p.learnWayIn(); err != nil {
			return 0, fmt.Errorf("TCP, %d streams: %w", streams, err)
		}
	}
	buf, got := make([]byte, tcpWrite), make([]byte, 128<<10)
	round := func() error {
		for range tcpRound / tcpWrite / streams {
			for _, p := range pairs {
				if n, err := rawWrite(p.out, buf); err != nil || n != len(buf) {
					return fmt.Errorf("write %d octets: %d were written: %w", len(buf), n, err)
				}
			}
		}
		for _, p := range pairs {
			for left := tcpRound / streams; left > 0; {
				n, err := rawRead(p.in, got)
				if err != nil || n == 0 {
					return fmt.Errorf("%d octets did not arrive: %w", left, err)
				}
				left -= n
			}
		}
		return nil
	}
	took, err := medianOf(ctx, round, tcpWarm/tcpRound, tcpAmount/tcpRound)
	if err != nil {
		return 0, fmt.Errorf("TCP, %d streams: %w", streams, err)
	}
	return 8 * tcpRound / took.Seconds() / 1e6, nil
}

// learnWayIn sends an octet back. The kernel looks the route of a received frame up unless its socket knows it, from a
// frame that came while nobody held the socket (sk_rx_dst). One thread that does everything holds it while
// acknowledgements come, so that it would be chance which connections look up one each.
func (p *pair) learnWayIn() error {
	b := make([]byte, 1)
	if n, err := rawWrite(p.in, b); err != nil || n != 1 {
		return fmt.Errorf("write an octet back: %d were written: %w", n, err)
	}
	if n, err := rawRead(p.out, b); err != nil || n != 1 {
		return fmt.Errorf("read an octet: %d came: %w", n, err)
	}
	return nil
}

// connectedPairs opens n pairs of sockets. end closes them and lets the runtime go on.
func connectedPairs(from, to *lab.Host, cidr string, kind, n int) (pairs []*pair, end func(), err error) {
	closeAll := func() {
		for _, p := range pairs {
			p.close()
		}
	}
	for range n {
		p, err := connectedPair(from, to, cidr, kind)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		pairs = append(pairs, p)
	}
	resume := steady()
	return pairs, func() { resume(); closeAll() }, nil
}

// medianOf returns the median time of some rounds after others that warm up. Work by the clock, such as ticks of the
// kernel and readings of the team's process, is in few rounds and so in no median: chance decides which figure it would
// meet. count-process has it.
func medianOf(ctx context.Context, round func() error, warm, rounds int) (time.Duration, error) {
	times := make([]time.Duration, 0, warm+rounds)
	for range warm + rounds {
		began := time.Now()
		if err := errors.Join(round(), ctx.Err()); err != nil {
			return 0, err
		}
		times = append(times, time.Since(began))
	}
	times = times[warm:]
	slices.Sort(times)
	return times[len(times)/2], nil
}

// udpRate returns frames a second. One thread sends frameBatch datagrams by a call each, as most programs do, and
// receives them by a call each, so that nothing waits but for what is measured.
func udpRate(ctx context.Context, from, to *lab.Host, cidr string, size int) (float64, error) {
	pairs, end, err := connectedPairs(from, to, cidr, unix.SOCK_DGRAM, countFlows)
	if err != nil {
		return 0, err
	}
	defer end()
	sent, got := make([]byte, size), make([]byte, size)
	round := func() error {
		for i := range frameBatch {
			if _, err := rawWrite(pairs[i%countFlows].out, sent); err != nil {
				return fmt.Errorf("send: %w", err)
			}
		}
		for i := range frameBatch {
			n, err := rawRead(pairs[i%countFlows].in, got)
			if err != nil || n != size {
				return fmt.Errorf("datagram %d of %d did not arrive: %w", i+1, frameBatch, err)
			}
		}
		return nil
	}
	// The first frames find neighbours, and may be lost while a flow finds its member.
	_ = round()
	for _, p := range pairs {
		drain(p.in)
	}
	took, err := medianOf(ctx, round, udpFrames/frameBatch/2, udpFrames/frameBatch)
	if err != nil {
		return 0, fmt.Errorf("UDP of %d octets: %w", size, err)
	}
	return frameBatch / took.Seconds(), nil
}

// pings is how many round trips rttMedian takes.
const pings = 200

// rttMedian returns the median round trip of ICMP echo, the next as soon as the last is answered.
func rttMedian(ctx context.Context, from *lab.Host, to netip.Addr) (time.Duration, error) {
	p, err := newPinger(from, to)
	if err != nil {
		return 0, err
	}
	defer p.close()
	// Answered once, so that nobody waits for neighbours.
	if _, ok := p.once(time.Second); !ok {
		return 0, fmt.Errorf("ping %s: no answer", to)
	}
	if err := errors.Join(unix.Connect(p.fd, p.to),
		unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})); err != nil {
		return 0, err
	}
	defer steady()()
	return medianOf(ctx, func() error {
		if _, err := rawWrite(p.fd, p.next()); err != nil {
			return fmt.Errorf("ping %s: %w", to, err)
		}
		for {
			n, err := rawRead(p.fd, p.buf[:])
			if err != nil {
				return fmt.Errorf("ping %s: %w", to, err)
			}
			if p.answers(p.buf[:n]) {
				return nil
			}
		}
	}, pings/4, pings)
}

// drain reads what waits in a socket.
func drain(fd int) {
	var buf [2048]byte
	for {
		if _, _, err := unix.Recvfrom(fd, buf[:], unix.MSG_DONTWAIT); err != nil {
			return
		}
	}
}
