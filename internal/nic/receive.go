// SPDX-License-Identifier: MIT

package nic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// Batch is the most frames that one system call sends.
const Batch = 64

// ReceiveBatch is the most frames that one system call receives. It is less than Batch because each super-frame takes
// 64 KiB of cache.
const ReceiveBatch = 32

const (
	// maxFrame is the longest frame: 64 KiB of IP, Ethernet header, two tags.
	maxFrame = 65535 + frame.EtherLen + 2*frame.TagLen
	// A buffer has room in front for a tag that is put back.
	bufferLen = (frame.TagLen + frame.VnetLen + maxFrame + 63) &^ 63
	// bufferStart is where the kernel writes in a buffer.
	bufferStart = frame.TagLen + frame.VnetRoom

	auxLen     = 20 // struct tpacket_auxdata
	controlLen = 64 // CMSG_SPACE(auxLen) and to spare
)

// receiver is the receiving side of a Socket.
type receiver struct {
	*batch // nil: there are no frames in hand

	receive func(fd uintptr) // made once: a closure a call would be an allocation a call
	blocks  bool             // receive waits until something has come
	n       int
	errno   syscall.Errno

	ring ringReader
}

// hold makes sure that there is room for frames.
func (r *receiver) hold() {
	if r.batch == nil {
		r.batch = freeBatches.take()
	}
}

// letGo gives the room back. There are no frames in hand.
func (r *receiver) letGo() {
	if r.batch != nil {
		freeBatches.put(r.batch)
		r.batch = nil
	}
}

// begin ends the last batch.
func (r *receiver) begin() {
	if r.batch != nil {
		r.reset(r.n)
	}
	r.n, r.errno, r.ring.read = 0, 0, false
}

// receive receives a batch. If it blocks, it waits for the first frame.
func (s *Socket) receive(fd uintptr) {
	r := &s.in
	for {
		r.hold()
		if r.ring.order == RingFirst && r.readRing() {
			return
		}
		r.n, r.errno = receiveMessages(fd, r.msgs)
		switch {
		case r.errno == 0, r.errno == unix.EAGAIN && r.ring.order == RingLast && r.readRing():
			return
		case r.errno == unix.EINTR:
			continue
		}
		r.letGo()
		if r.errno != unix.EAGAIN || !r.blocks || !s.waiter.Wait() {
			return
		}
	}
}

// Receive waits for frames and receives a batch, which Frame returns. It returns 0 frames after Wake. After ErrDown and
// errors of the system, which concern one frame, receive again. ErrGone and ErrClosed are final.
func (s *Socket) Receive() (n int, err error) { return s.receiveBatch(true) }

// Poll is Receive without waiting: it returns 0 frames if there are none.
func (s *Socket) Poll() (n int, err error) { return s.receiveBatch(false) }

// Wake ends a Receive that waits, and each one after it that would wait, until ClearWake.
func (s *Socket) Wake() error { return s.waiter.Wake() }

// ClearWake ends the effect of Wake. The goroutine that receives calls it. After an error Receive does not wait any
// more.
func (s *Socket) ClearWake() error { return s.waiter.ClearWake() }

func (s *Socket) receiveBatch(waits bool) (n int, err error) {
	r := &s.in
	r.begin()
	r.blocks = waits
	if err := s.raw.Control(r.receive); err != nil || s.closed.Load() {
		if r.batch != nil {
			r.reset(r.n)
			r.letGo()
		}
		r.n = 0
		return 0, ErrClosed
	}
	if r.errno == 0 {
		s.drops.batches.Add(1)
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

// gone reports whether the NIC no longer exists: the kernel unbinds the socket when it removes the NIC.
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

// Frame returns frame i of the batch as [virtio header][frame] with its tags, nil if it is not a whole frame. The
// caller may change it in place, and append up to its capacity, until the next Receive.
func (s *Socket) Frame(i int) []byte {
	r := &s.in
	if i >= r.n {
		return nil
	}
	m := &r.msgs[i]
	if m.Flags&unix.MSG_TRUNC != 0 || m.n < frame.VnetLen-frame.VnetRoom+frame.EtherLen {
		return nil
	}
	from := i * bufferLen
	buf := r.buffers[from : from+bufferStart+int(m.n) : from+bufferLen]
	at := frame.TagLen
	tpid, tci, ok := r.ring.tag(i)
	if !r.ring.read {
		tpid, tci, ok = outerTag(r.control[i*controlLen:][:min(controlLen, int(m.Controllen))])
	}
	if ok {
		if at, ok = frame.InsertVLAN(buf, at, tpid, tci); !ok {
			return nil
		}
	}
	return buf[at:]
}

// outerTag returns the tag that the kernel stripped from a received frame, from struct tpacket_auxdata.
func outerTag(control []byte) (tpid, tci uint16, ok bool) {
	for len(control) >= unix.SizeofCmsghdr {
		// struct cmsghdr: a size_t, two ints.
		n := binary.NativeEndian.Uint64(control)
		level, kind := binary.NativeEndian.Uint32(control[8:]), binary.NativeEndian.Uint32(control[12:])
		if n < unix.SizeofCmsghdr || n > uint64(len(control)) {
			return 0, 0, false
		}
		if data := control[unix.SizeofCmsghdr:n]; level == unix.SOL_PACKET && kind == unix.PACKET_AUXDATA &&
			len(data) >= auxLen {
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
