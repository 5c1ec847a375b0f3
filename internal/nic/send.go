// SPDX-License-Identifier: MIT

package nic

import (
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// Reason says why a frame was not sent.
type Reason uint8

// The reasons.
const (
	Backlog  Reason = iota // the backlog is at its bound, or the qdisc is full
	Refused                // the NIC is down, gone or without carrier: another NIC may send the frame
	Rejected               // no NIC can send the frame, for example because it is longer than the MTU
)

// Failure is a frame of a batch that was not sent.
type Failure struct {
	Index  int // as Queue counted
	Reason Reason
	Errno  syscall.Errno
}

// sender holds a batch of frames to send.
type sender struct {
	msgs       []message
	iovs       []unix.Iovec
	frames     [Batch][]byte // what iovs point to
	n          int
	bySoftware uint64 // bit i: segment frame i in software

	failures     []Failure
	tso, uso     Offload
	noTSO, noUSO atomic.Bool
	segmented    atomic.Uint64

	long     longSender
	index    int
	panicked func(value any, b []byte)
	flush    func(fd uintptr)
	sendmmsg func(fd uintptr, m []message) (int, syscall.Errno) // tests put faults here

	// to is the NIC, for a socket that does not listen: the kernel takes a frame's EtherType from the frame only if
	// socket or address leave it open (packet_parse_headers in net/packet/af_packet.c). nil: the socket's NIC.
	to atomic.Pointer[unix.RawSockaddrLinklayer]
}

// send is sendmmsg, to the NIC.
func (o *sender) send(fd uintptr, m []message) (int, syscall.Errno) {
	if to := o.to.Load(); to != nil || m[0].Name != nil {
		for i := range m {
			m[i].Name, m[i].Namelen = (*byte)(unsafe.Pointer(to)), 0
			if to != nil {
				m[i].Namelen = unix.SizeofSockaddrLinklayer
			}
		}
	}
	return o.sendmmsg(fd, m)
}

func (o *sender) init(tso, uso Offload) {
	o.msgs = make([]message, Batch)
	o.iovs = make([]unix.Iovec, Batch)
	o.failures = make([]Failure, 0, Batch)
	for i := range o.msgs {
		o.msgs[i].Iov = &o.iovs[i]
		o.msgs[i].SetIovlen(1)
	}
	o.tso, o.uso = tso, uso
	o.noTSO.Store(tso == OffloadOff)
	o.noUSO.Store(uso == OffloadOff)
	o.sendmmsg = sendMessages
	o.flush = o.flushBatch
}

// Queue adds b ([virtio header][frame]) to the batch and returns its index. b is borrowed until the end of Flush, which
// only reads it. At most Batch frames fit.
func (s *Socket) Queue(b []byte) int {
	o := &s.out
	i := o.n
	o.frames[i] = b
	o.iovs[i].Base = &b[frame.VnetRoom]
	o.iovs[i].SetLen(len(b) - frame.VnetRoom)
	switch t := frame.GSOAt(b); {
	case t == frame.GSONone:
	case t&frame.GSOTunnel != 0:
		o.bySoftware |= 1 << i
	case t == frame.GSOUDPL4:
		if o.noUSO.Load() {
			o.bySoftware |= 1 << i
		}
	case o.noTSO.Load():
		o.bySoftware |= 1 << i
	}
	o.n++
	return i
}

// Queued returns the number of frames in the batch.
func (s *Socket) Queued() int { return s.out.n }

// Flush sends the batch without waiting and empties it. It returns the frames that were not sent, in order. The slice
// is valid until the next Flush.
func (s *Socket) Flush() []Failure {
	o := &s.out
	o.failures = o.failures[:0]
	if o.n == 0 {
		return nil
	}
	o.index = s.opt.Index
	// Control, not Write: Flush never waits for the socket to become writable.
	if err := s.raw.Control(o.flush); err != nil {
		for i := range o.n {
			o.fail(i, Refused, unix.EBADF)
		}
	}
	clear(o.frames[:o.n])
	o.n, o.bySoftware = 0, 0
	return o.failures
}

func (o *sender) fail(i int, r Reason, errno syscall.Errno) {
	o.failures = append(o.failures, Failure{Index: i, Reason: r, Errno: errno})
}

// failRest fails the frames from i on.
func (o *sender) failRest(i int, r Reason, errno syscall.Errno) {
	for ; i < o.n; i++ {
		o.fail(i, r, errno)
	}
}

func (o *sender) flushBatch(fd uintptr) {
	for i := 0; i < o.n; {
		if o.bySoftware>>i&1 != 0 {
			reason, errno := o.segment(fd, i)
			if errno != 0 {
				o.fail(i, reason, errno)
			}
			i++
			continue
		}
		end := i + 1
		for end < o.n && o.bySoftware>>end&1 == 0 {
			end++
		}
		n, errno := o.send(fd, o.msgs[i:end])
		switch {
		case errno == 0:
			i += n
		case errno == unix.EINTR:
		case o.superFrame(i) && segmentable(errno):
			reason, again := o.segment(fd, i)
			if again != 0 {
				o.fail(i, reason, again)
			} else {
				// The segments were accepted: the NIC's offload is at fault.
				o.disableOffload(i)
			}
			i++
		default:
			if errno == unix.EMSGSIZE {
				if errno = o.sendLong(fd, i); errno == 0 {
					i++
					continue
				}
			}
			reason := o.reason(fd, errno)
			if endsBatch(errno) {
				o.failRest(i, reason, errno)
				return
			}
			o.fail(i, reason, errno)
			i++
		}
	}
}

// sendLong sends frame i, which the socket refused for its length.
func (o *sender) sendLong(fd uintptr, i int) syscall.Errno {
	var v frame.Vnet
	v.Unmarshal(o.frames[i])
	return o.long.send(o, fd, v, o.frames[i][frame.VnetLen:])
}

// endsBatch reports whether errno applies to the rest of a batch too.
func endsBatch(errno syscall.Errno) bool {
	switch errno {
	case unix.EAGAIN, unix.ENETDOWN, unix.ENXIO, unix.ENODEV:
		return true
	}
	return false
}

// reason classifies an error of sending one frame.
func (o *sender) reason(fd uintptr, errno syscall.Errno) Reason {
	switch errno {
	case unix.EAGAIN:
		return Backlog
	case unix.ENETDOWN, unix.ENXIO, unix.ENODEV:
		return Refused
	case unix.ENOBUFS, unix.ENOMEM:
		// With carrier the qdisc is full; without, nothing drains it.
		if carrier(int(fd), o.index) {
			return Backlog
		}
		return Refused
	}
	return Rejected
}

func (o *sender) superFrame(i int) bool { return frame.GSOAt(o.frames[i]) != frame.GSONone }

// segmentable reports whether errno is one with which kernels and drivers refuse super-frames that are well made.
func segmentable(errno syscall.Errno) bool {
	switch errno {
	case unix.EINVAL, unix.EIO, unix.EOPNOTSUPP, unix.EMSGSIZE:
		return true
	}
	return false
}

// disableOffload segments super-frames of frame i's kind in software from here on, unless the user set the offload on.
func (o *sender) disableOffload(i int) {
	udp := frame.GSOAt(o.frames[i]) == frame.GSOUDPL4
	if udp && o.uso == OffloadAuto {
		o.noUSO.Store(true)
	}
	if !udp && o.tso == OffloadAuto {
		o.noTSO.Store(true)
	}
}

// segment segments frame i in software and sends the segments. It returns an error only if no segment was sent: part of
// a super-frame must not be sent again by another member.
func (o *sender) segment(fd uintptr, i int) (reason Reason, errno syscall.Errno) {
	b := o.frames[i]
	defer func() {
		// The rest of the batch is still sent.
		if p := recover(); p != nil {
			if o.panicked != nil {
				o.panicked(p, b)
			}
			reason, errno = Rejected, unix.EINVAL
		}
	}()
	s := segmentSender{o: o, fd: fd, msg: make([]message, 1)}
	err := s.sendSegments(b)
	switch {
	case err != nil:
		return Rejected, unix.EINVAL
	case s.sent > 0:
		o.segmented.Add(1)
		return 0, 0
	}
	return o.reason(fd, s.failed), s.failed
}

// segmentSender sends the segments of a super-frame until one fails.
type segmentSender struct {
	o      *sender
	fd     uintptr
	msg    []message
	iov    [2]unix.Iovec
	header [frame.VnetLen - frame.VnetRoom]byte // finished segments ask nothing of the kernel
	sent   int
	failed syscall.Errno
}

// sendSegments segments b. A super-frame of a tunnel, which no virtio header of a packet socket describes, becomes UDP
// super-frames if the NIC accepts these.
func (s *segmentSender) sendSegments(b []byte) error {
	var v frame.Vnet
	v.Unmarshal(b)
	if frame.GSOAt(b)&frame.GSOTunnel == 0 || s.o.noUSO.Load() {
		return frame.Segment(v, b[frame.VnetLen:], func(seg []byte) bool { return s.sendSegment(s.header[:], seg) })
	}
	return frame.Regroup(v, b[frame.VnetLen:], func(group []byte) bool {
		if s.sendSegment(group[frame.VnetRoom:frame.VnetLen], group[frame.VnetLen:]) {
			return true
		}
		if frame.GSOAt(group) == frame.GSONone || !segmentable(s.failed) {
			return false
		}
		if s.o.uso == OffloadAuto {
			s.o.noUSO.Store(true)
		}
		s.failed = 0
		return s.sendSegments(group) == nil && s.failed == 0
	})
}

func (s *segmentSender) sendSegment(header, f []byte) bool {
	s.iov[0].Base, s.iov[1].Base = &header[0], &f[0]
	s.iov[0].SetLen(len(header))
	s.iov[1].SetLen(len(f))
	s.msg[0].Iov = &s.iov[0]
	s.msg[0].SetIovlen(2)
	s.failed = unix.EINTR
	for s.failed == unix.EINTR {
		_, s.failed = s.o.send(s.fd, s.msg)
	}
	if s.failed == unix.EMSGSIZE && header[1] == frame.GSONone {
		s.failed = s.o.long.send(s.o, s.fd, frame.Vnet{}, f)
	}
	if s.failed == 0 {
		s.sent++
	}
	return s.failed == 0
}
