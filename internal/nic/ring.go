// SPDX-License-Identifier: MIT

package nic

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// Ring has frames that a program at the NIC's tc ingress hook took, while the socket gets none.
type Ring interface {
	// FD is readable while a frame waits.
	FD() int
	// Read copies the next frame to b; n is 0 if none waits. Its outer tag is aside, unless tpid is 0.
	Read(b []byte) (n int, tpid, tci uint16)
}

// RingOrder says how the frames of a Ring and those in the socket follow one another.
type RingOrder uint8

// The orders.
const (
	NoRing    RingOrder = iota // the Ring is not read
	RingLast                   // what is in the socket is older
	RingFirst                  // what is in the Ring is older
)

// ringReader reads a Ring in batches.
type ringReader struct {
	ring  Ring
	order RingOrder
	read  bool // the batch is from ring
	tags  [ReceiveBatch]struct{ tpid, tci uint16 }
}

// SetRing makes Receive and Poll return frames of a Ring, too, in this order. The Ring is borrowed until the next
// SetRing. The goroutine that receives calls it, or another one while none does.
func (s *Socket) SetRing(ring Ring, order RingOrder) error {
	r := &s.in.ring
	fd := -1
	if order != NoRing {
		fd = ring.FD()
	}
	err := s.waiter.Also(fd)
	if err != nil && order != NoRing {
		return fmt.Errorf("read ring of %s: %w", s.opt.Name, err)
	}
	r.ring, r.order = ring, order
	return nil
}

// OrderRing is SetRing of the same Ring.
func (s *Socket) OrderRing(order RingOrder) error { return s.SetRing(s.in.ring.ring, order) }

// RingOrder returns the order of SetRing. The goroutine that receives calls it.
func (s *Socket) RingOrder() RingOrder { return s.in.ring.order }

// FromRing reports whether the batch is from the Ring.
func (s *Socket) FromRing() bool { return s.in.ring.read }

// PollRing is Poll of the Ring alone.
func (s *Socket) PollRing() (n int) {
	r := &s.in
	r.begin()
	if r.ring.order == NoRing {
		return 0
	}
	r.hold()
	if !r.readRing() {
		r.letGo()
	}
	return r.n
}

// readRing reads a batch of the Ring, and reports whether there was one. There is room.
func (r *receiver) readRing() bool {
	const header = frame.VnetLen - frame.VnetRoom
	n := 0
	for ; n < ReceiveBatch; n++ {
		b := r.buffers[n*bufferLen+bufferStart : (n+1)*bufferLen]
		size, tpid, tci := r.ring.ring.Read(b[header:])
		if size == 0 {
			break
		}
		clear(b[:header]) // neither checksum nor segments are left to do
		r.msgs[n].n, r.msgs[n].Flags = uint32(header+size), 0
		r.ring.tags[n].tpid, r.ring.tags[n].tci = tpid, tci
	}
	if n == 0 {
		return false
	}
	r.n, r.errno, r.ring.read = n, 0, true
	return true
}

// tag returns the outer tag that is aside of frame i.
func (r *ringReader) tag(i int) (tpid, tci uint16, ok bool) {
	t := &r.tags[i]
	return t.tpid, t.tci, t.tpid != 0
}

// unusedEtherType is IEEE's second type for local experiments.
const unusedEtherType = 0x88b6

// StopListening takes the socket off the NIC's way of received frames, where it costs time for each, whatever its
// filter refuses. What is in the socket is still returned, and errors are reported as before. A Flush that began before
// PrepareStop must be over.
func (s *Socket) StopListening() error {
	// A bound socket cannot be unbound. For this type the kernel looks only at frames that no program has taken.
	if err := s.listen(unusedEtherType); err != nil {
		return fmt.Errorf("stop listening on %s: %w", s.opt.Name, err)
	}
	return nil
}

// PrepareStop comes before StopListening: what is sent from then on does not get the EtherType of the socket.
func (s *Socket) PrepareStop() {
	s.out.to.Store(&unix.RawSockaddrLinklayer{Family: unix.AF_PACKET, Ifindex: int32(s.opt.Index)})
}

// Listening reports whether no PrepareStop came since the socket was made to listen.
func (s *Socket) Listening() bool { return s.out.to.Load() == nil }

// Listen ends StopListening. When it returns, the socket and its filter see each frame before a program does.
func (s *Socket) Listen() error {
	err := s.listen(unix.ETH_P_ALL)
	if err == nil {
		s.out.to.Store(nil)
		err = WaitForReceived()
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.opt.Name, err)
	}
	return nil
}

func (s *Socket) listen(protocol uint16) error {
	return s.withFD(func(fd int) error {
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(protocol), Ifindex: s.opt.Index})
	})
}

// WaitForReceived returns once each frame that the kernel was passing to sockets and programs when it was called has
// passed them all, which takes some milliseconds. The kernel does that within an RCU read section
// (netif_receive_skb_internal, process_backlog), and closing a packet socket waits for all of them (packet_release).
func WaitForReceived() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("wait for received frames: %w", err)
	}
	if err := unix.Close(fd); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for received frames: %w", err)
	}
	return nil
}
