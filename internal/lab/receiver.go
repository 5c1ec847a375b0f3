// SPDX-License-Identifier: MIT

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const receiveBatch = 64

// message is struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
}

// listen opens the receiving socket in the calling thread's namespace.
func (r *Running) listen() error {
	family, any := unix.AF_INET, netip.IPv4Unspecified()
	if r.s.Address.Is6() {
		family, any = unix.AF_INET6, netip.IPv6Unspecified()
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	r.in = fd
	// Frames that arrive while the reader is not scheduled must find room: the lab itself must lose none.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20); err != nil {
		return fmt.Errorf("set receive buffer: %w", err)
	}
	// The kernel's stamp is when the frame arrived, not when the reader was scheduled.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fmt.Errorf("set timestamps: %w", err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 10_000}); err != nil {
		return fmt.Errorf("set timeout: %w", err)
	}
	if err := unix.Bind(fd, sockaddr(any, 0)); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		return fmt.Errorf("read own address: %w", err)
	}
	switch a := own.(type) {
	case *unix.SockaddrInet4:
		r.port = a.Port
	case *unix.SockaddrInet6:
		r.port = a.Port
	}
	return nil
}

// receive is the receiver's thread.
func (r *Running) receive() {
	defer close(r.recvDone)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const control = 64
	size := r.s.Size + 1 // one more shows a frame that grew
	payloads, controls := make([]byte, receiveBatch*size), make([]byte, receiveBatch*control)
	vectors, messages := make([]unix.Iovec, receiveBatch), make([]message, receiveBatch)
	for i := range messages {
		vectors[i].Base = &payloads[i*size]
		vectors[i].SetLen(size)
		messages[i].header.Iov = &vectors[i]
		messages[i].header.SetIovlen(1)
		messages[i].header.Control = &controls[i*control]
	}
	for {
		for i := range messages {
			messages[i].header.SetControllen(control)
		}
		r.nap()
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(r.in), uintptr(unsafe.Pointer(&messages[0])),
			receiveBatch, unix.MSG_WAITFORONE, 0, 0)
		switch {
		case errno == unix.EAGAIN || errno == unix.EINTR:
			if r.endOfDay.Load() {
				return
			}
			continue
		case errno != 0:
			r.mu.Lock()
			r.err = errors.Join(r.err, fmt.Errorf("receive stream: %w", errno))
			r.mu.Unlock()
			return
		}
		r.drained = int(n) < receiveBatch
		r.mu.Lock()
		for i := range int(n) {
			m := &messages[i]
			r.count(payloads[i*size:][:m.length], stamp(controls[i*control:][:m.header.Controllen]))
		}
		r.mu.Unlock()
	}
}

// count needs r.mu.
func (r *Running) count(payload []byte, at int64) {
	m, ok := readMark(payload)
	switch {
	case !ok || len(payload) != r.s.Size:
		r.corrupt++
	case m.run != r.run:
		// An earlier stream's, that had the same port.
	case m.flow == warmFlow:
		r.warm.Store(true)
	case m.flow >= uint32(len(r.flows)) || !r.flows[m.flow].arrive(m.seq, at):
		r.corrupt++
	default:
		r.all.arrive(at)
	}
}

// stamp returns when the kernel received a frame, or now if the timestamp is missing.
func stamp(control []byte) int64 {
	for len(control) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS &&
			len(control) >= unix.CmsgLen(int(unsafe.Sizeof(unix.Timespec{}))) {
			return (*unix.Timespec)(unsafe.Pointer(&control[unix.CmsgLen(0)])).Nano()
		}
		skip := unix.CmsgSpace(int(h.Len) - unix.CmsgLen(0))
		if h.Len < unix.SizeofCmsghdr || skip >= len(control) {
			break
		}
		control = control[skip:]
	}
	return nanotime()
}
