package nic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// Batch is how many frames are sent by one system call at most.
const Batch = 64

// ReceiveBatch is how many frames are received by one system call at most. It is less than Batch: with
// super-frames each of them is 64 KiB of cache.
const ReceiveBatch = 32

const (
	// maxFrame is the longest that comes: 64 KiB of IP, Ethernet header, two tags.
	maxFrame = 65535 + frame.EtherLen + 2*frame.TagLen
	// A buffer has room for the tag that may be put back in front.
	bufferLen = (frame.TagLen + frame.VnetLen + maxFrame + 63) &^ 63
	// Where the kernel writes in a buffer.
	bufferStart = frame.TagLen + frame.VnetRoom

	auxLen     = 20 // struct tpacket_auxdata
	controlLen = 64 // CMSG_SPACE(auxLen) and to spare
)

// receiver holds a batch of received frames. Frames lie each in a buffer of its own, the virtio header
// bufferStart behind the buffer's start.
type receiver struct {
	msgs    []message
	iovs    []unix.Iovec
	buffers []byte
	control []byte

	receive func(fd uintptr) // made once: a closure a call would be an allocation a call
	blocks  bool             // receive waits until something has come
	n       int
	errno   syscall.Errno
}

func (r *receiver) init() {
	r.msgs = make([]message, ReceiveBatch)
	r.iovs = make([]unix.Iovec, ReceiveBatch)
	r.buffers = make([]byte, ReceiveBatch*bufferLen)
	r.control = make([]byte, ReceiveBatch*controlLen)
	for i := range r.msgs {
		m := &r.msgs[i]
		r.iovs[i].Base = &r.buffers[i*bufferLen+bufferStart]
		r.iovs[i].SetLen(bufferLen - bufferStart)
		m.Iov = &r.iovs[i]
		m.SetIovlen(1)
		m.Control = &r.control[i*controlLen]
		m.SetControllen(controlLen)
	}
}

// receive takes a batch of the frames that have come, and where it waits does so until some have.
func (s *Socket) receive(fd uintptr) {
	r := &s.in
	for {
		r.n, r.errno = receiveMessages(fd, r.msgs)
		switch {
		case r.errno == unix.EINTR:
		case r.errno != unix.EAGAIN || !r.blocks || !s.waiter.Wait():
			return
		}
	}
}

// Receive waits until frames have come and takes a batch of them; Frame gives them. It takes none when Wake ended it. ErrDown
// and other errors of the system concern a moment or one frame: receive again. After ErrGone and ErrClosed there is
// nothing more.
func (s *Socket) Receive() (n int, err error) { return s.receiveBatch(true) }

// Poll is Receive that does not wait: it takes none when none have come.
func (s *Socket) Poll() (n int, err error) { return s.receiveBatch(false) }

// Wake ends a Receive that waits, and each that would wait, until Rest.
func (s *Socket) Wake() error { return s.waiter.Wake() }

// ClearWake takes Wake back; it is for the goroutine that receives. On an error Receive will not wait any more.
func (s *Socket) ClearWake() error { return s.waiter.ClearWake() }

func (s *Socket) receiveBatch(waits bool) (n int, err error) {
	r := &s.in
	// The kernel has written there what it used.
	for i := range r.n {
		r.msgs[i].SetControllen(controlLen)
	}
	r.n, r.errno, r.blocks = 0, 0, waits
	if err := s.raw.Control(r.receive); err != nil || s.closed.Load() {
		return 0, ErrClosed
	}
	if r.errno == 0 {
		return r.n, nil
	}
	r.n = 0
	switch r.errno {
	case unix.EAGAIN:
		return 0, nil
	case unix.ENETDOWN:
		if s.gone() {
			return 0, ErrGone
		}
		return 0, ErrDown
	case unix.ENXIO, unix.ENODEV:
		return 0, ErrGone
	}
	return 0, fmt.Errorf("receive by %s: %w", s.opt.Name, r.errno)
}

// gone asks the kernel whether the socket still has a NIC: it takes the index away with the NIC.
func (s *Socket) gone() bool {
	gone := false
	err := s.withFD(func(fd int) error {
		sa, err := unix.Getsockname(fd)
		if ll, ok := sa.(*unix.SockaddrLinklayer); ok {
			gone = ll.Ifindex <= 0
		}
		return err
	})
	return gone && !errors.Is(err, ErrClosed)
}

// Frame is frame i of the batch, virtio header in front, tags in place, nil for what is not a whole frame. It
// is the caller's to change, in place and up to its capacity, until the next Receive.
func (s *Socket) Frame(i int) []byte {
	r := &s.in
	m := &r.msgs[i]
	if m.Flags&unix.MSG_TRUNC != 0 || m.n < frame.VnetLen-frame.VnetRoom+frame.EtherLen {
		return nil
	}
	from := i * bufferLen
	buf := r.buffers[from : from+bufferStart+int(m.n) : from+bufferLen]
	at := frame.TagLen
	if tpid, tci, ok := outerTag(r.control[i*controlLen:][:min(controlLen, int(m.Controllen))]); ok {
		if at, ok = frame.InsertVLAN(buf, at, tpid, tci); !ok {
			return nil
		}
	}
	return buf[at:]
}

// outerTag reads the tag that the kernel took out of a received frame from the message's control data.
func outerTag(control []byte) (tpid, tci uint16, ok bool) {
	for len(control) >= unix.SizeofCmsghdr {
		// struct cmsghdr: a size_t, two ints.
		n := binary.NativeEndian.Uint64(control)
		level, kind := binary.NativeEndian.Uint32(control[8:]), binary.NativeEndian.Uint32(control[12:])
		if n < unix.SizeofCmsghdr || n > uint64(len(control)) {
			return 0, 0, false
		}
		if data := control[unix.SizeofCmsghdr:n]; level == unix.SOL_PACKET && kind == unix.PACKET_AUXDATA && len(data) >= auxLen {
			status := binary.NativeEndian.Uint32(data)
			tci, tpid = binary.NativeEndian.Uint16(data[16:]), binary.NativeEndian.Uint16(data[18:])
			if status&unix.TP_STATUS_VLAN_VALID == 0 {
				return 0, 0, false
			}
			if status&unix.TP_STATUS_VLAN_TPID_VALID == 0 {
				tpid = frame.TypeVLAN
			}
			return tpid, tci, true
		}
		next := (n + 7) &^ 7
		if next >= uint64(len(control)) {
			break
		}
		control = control[next:]
	}
	return 0, 0, false
}
