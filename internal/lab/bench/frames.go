// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
)

const (
	framePayload = 18  // octets, with which an Ethernet frame has 64 (FCS included)
	frameFlows   = 4   // source ports
	frameBatch   = 32  // frames of a flow at a time
	frameWindow  = 896 // most frames in flight; the shortest queue, a TAP's, holds 1000
	// After so long without an arrival all frames in flight count as lost.
	frameLost = 50 * time.Millisecond
)

type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// frames is a stream of small UDP frames as fast as they pass: at most frameWindow are in flight, so that neither side
// is overrun and the rate without loss is measured. Each has a number; frames numbered below one that arrived are no
// longer in flight.
type frames struct {
	out      [frameFlows]int
	in       int
	sent     int64 // of the sending thread
	received atomic.Int64
	arrived  atomic.Int64 // the highest number, which are from 1
	stop     atomic.Bool
}

// frameRate returns frames received a second, leaving the first tenth of the time out, and the share
// that was lost.
func frameRate(ctx context.Context, from, to *lab.Host, addr netip.Addr,
	d time.Duration) (perSecond, lost float64, err error) {
	f := &frames{in: -1}
	for i := range f.out {
		f.out[i] = -1
	}
	defer f.close()
	if err := f.open(from, to, addr); err != nil {
		return 0, 0, fmt.Errorf("small frames: %w", err)
	}
	received, sent := make(chan struct{}), make(chan struct{})
	go func() { defer close(received); f.receive() }()
	go func() { defer close(sent); f.send() }()
	err = pause(ctx, d/10)
	start, at := f.received.Load(), time.Now()
	if err == nil {
		err = pause(ctx, d-d/10)
	}
	n, took := f.received.Load()-start, time.Since(at)
	f.stop.Store(true)
	<-sent
	// The receiver waits for 100 ms at a time, so that frames in flight are counted.
	<-received
	if err != nil {
		return 0, 0, err
	}
	if n == 0 {
		return 0, 0, errors.New("small frames: none arrived")
	}
	return float64(n) / took.Seconds(), 1 - float64(f.received.Load())/float64(f.sent), nil
}

func (f *frames) open(from, to *lab.Host, addr netip.Addr) error {
	port := 0
	err := to.Do(func() (err error) {
		if f.in, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		_ = unix.SetsockoptInt(f.in, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
		if err := unix.SetsockoptTimeval(f.in, unix.SOL_SOCKET, unix.SO_RCVTIMEO,
			&unix.Timeval{Usec: 100_000}); err != nil {
			return err
		}
		if err := unix.Bind(f.in, &unix.SockaddrInet4{Addr: addr.As4()}); err != nil {
			return err
		}
		name, err := unix.Getsockname(f.in)
		if err != nil {
			return err
		}
		port = name.(*unix.SockaddrInet4).Port
		return nil
	})
	if err != nil {
		return err
	}
	return from.Do(func() (err error) {
		for i := range f.out {
			if f.out[i], err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
				return err
			}
			_ = unix.SetsockoptInt(f.out[i], unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20)
			if err := unix.Connect(f.out[i], &unix.SockaddrInet4{Addr: addr.As4(), Port: port}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *frames) close() {
	for _, fd := range append(f.out[:], f.in) {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// messages are n headers with a buffer each.
func messages(n, size int) (headers []mmsghdr, buffers [][]byte) {
	headers, buffers = make([]mmsghdr, n), make([][]byte, n)
	vectors := make([]unix.Iovec, n)
	for i := range headers {
		buffers[i] = make([]byte, size)
		vectors[i].Base = unsafe.SliceData(buffers[i])
		vectors[i].SetLen(size)
		headers[i].hdr.Iov = &vectors[i]
		headers[i].hdr.SetIovlen(1)
	}
	return headers, buffers
}

func (f *frames) send() {
	runtime.LockOSThread() // and ends with the goroutine: its timers are not as others'
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	headers, payloads := messages(frameBatch, framePayload)
	lost, seen, moved := int64(0), int64(0), time.Now()
	for flow := 0; !f.stop.Load(); flow = (flow + 1) % frameFlows {
		for !f.stop.Load() {
			if got := f.arrived.Load(); got != seen {
				seen, moved = got, time.Now()
			}
			if f.sent-max(seen, lost) <= frameWindow-frameBatch {
				break
			}
			if time.Since(moved) > frameLost {
				lost, moved = f.sent, time.Now()
			}
			_ = unix.Nanosleep(&unix.Timespec{Nsec: 20_000}, nil)
		}
		for i, p := range payloads {
			binary.NativeEndian.PutUint64(p, uint64(f.sent)+uint64(i)+1)
		}
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(f.out[flow]),
			uintptr(unsafe.Pointer(unsafe.SliceData(headers))), frameBatch, 0, 0, 0)
		if errno == 0 {
			f.sent += int64(n)
		}
	}
}

// receive counts frames until none has come for 100 ms after the end.
func (f *frames) receive() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	headers, payloads := messages(64, framePayload)
	highest := uint64(0)
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(f.in),
			uintptr(unsafe.Pointer(unsafe.SliceData(headers))), uintptr(len(headers)), unix.MSG_WAITFORONE, 0, 0)
		switch {
		case errno == 0:
			for _, p := range payloads[:n] {
				highest = max(highest, binary.NativeEndian.Uint64(p))
			}
			f.arrived.Store(int64(highest))
			f.received.Add(int64(n))
		case f.stop.Load() && errno == unix.EAGAIN:
			return
		case errno != unix.EAGAIN && errno != unix.EINTR:
			return
		}
	}
}
