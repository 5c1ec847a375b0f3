// SPDX-License-Identifier: MIT

package relay

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"nicteam/internal/nic"
)

// While programs move what a member receives, its socket is needed for few frames and costs time for each. So the
// program passes frames for the relay by a ring in shared memory, and the socket leaves the NIC's way of received
// frames.
//
// A received frame passes the socket's filter, then the program. The filter notes the gate for the program, which obeys
// the note: one of the two has each frame. For frames for the relay that is:
//
//	gate                  filter            program
//	GateSlow, GateFast    to the socket     by the note: pass on
//	GateRing              refuse            by the note: to the ring
//	GateAlone             refuse, if run    to the ring, whatever was noted
//
// From GateFast to GateAlone (leaveSocket):
//
//  1. The ring is empty, and the member's goroutine does not read it. The gate becomes GateRing. Filter and program
//     still decide as one.
//  2. It waits until all frames that are between the two have passed. From here on every note is GateRing: what is in
//     the socket is all that will come by it, and is older than what is in the ring. The member's goroutine reads on in
//     that order.
//  3. The gate becomes GateAlone. A program that reads this does what the note says. It needs no filter any more.
//  4. The socket stops listening. Its filter does not run any more.
//
// From GateAlone back (enterSocket):
//
//  1. The socket listens again. Filter and program decide alike, wherever a frame is.
//  2. It waits until all frames that are past the sockets have passed the program. From here on the filter has noted
//     something for every frame.
//  3. The gate becomes GateSlow. A program that has read GateAlone, and one whose filter has noted that, pass the frame
//     by the ring; what the filter has noted later, the program obeys, since it reads GateSlow, too. The member's
//     goroutine waits for settleTime as in RegainMember, and then reads the ring first.
//
// GateRing is not needed on the way back, since the program reads the gate after the filter does: it never reads
// GateAlone for a frame whose filter has noted GateSlow. On the way there it might read GateAlone for a frame whose
// filter has noted GateFast, and the frame would come twice.
const (
	// GateRing is GateFast, and the program passes frames for the relay by the ring instead of the socket.
	GateRing uint32 = GateShut + 1 + iota
	// GateAlone is GateRing, and the socket need not listen.
	GateAlone
)

// ByPrograms reports whether programs move the frames of a direction.
func ByPrograms(gate uint32) bool { return gate == GateFast || ByRing(gate) }

// ByRing reports whether a member's program passes frames for the relay by the ring.
func ByRing(gate uint32) bool { return gate == GateRing || gate == GateAlone }

// listener is a member's socket and its ring, for the protocol above. Tests have another one.
type listener interface {
	// readRing makes the member's goroutine call f and then read in this order. Before f it moves what waits in the
	// socket, if that was what it read first.
	readRing(order nic.RingOrder, f func()) error
	stopListening() error
	// listen returns when each frame passes the filter before the program.
	listen() error
	// waitForReceived returns when all frames that were between filter and program have passed.
	waitForReceived() error
	// settle is waitForReceived by time, as the member's goroutine may wait.
	settle()
}

// errGateMoved says that the gate is not what the protocol left.
var errGateMoved = errors.New("the gate was changed meanwhile")

// leaveSocket does the way from GateFast to GateAlone. It goes on where a process before has stopped.
func leaveSocket(l listener, gate *uint32) error {
	if atomic.LoadUint32(gate) == GateFast {
		if err := l.readRing(nic.NoRing, func() {}); err != nil {
			return err
		}
		atomic.CompareAndSwapUint32(gate, GateFast, GateRing)
	}
	switch atomic.LoadUint32(gate) {
	case GateRing:
		if err := l.waitForReceived(); err != nil {
			return err
		}
		if err := l.readRing(nic.RingLast, func() {}); err != nil {
			return err
		}
		if !atomic.CompareAndSwapUint32(gate, GateRing, GateAlone) {
			return errGateMoved
		}
	case GateAlone: // the process before has read so
		if err := l.readRing(nic.RingLast, func() {}); err != nil {
			return err
		}
	default:
		return errGateMoved
	}
	return l.stopListening()
}

// enterSocket does the way back from GateAlone, GateRing or GateFast.
func enterSocket(l listener, gate *uint32) error {
	if atomic.LoadUint32(gate) == GateAlone {
		if err := l.listen(); err != nil {
			return err
		}
	}
	return l.readRing(nic.RingFirst, func() {
		atomic.StoreUint32(gate, GateSlow)
		l.settle()
	})
}

// memberListener is the listener of a member.
type memberListener struct {
	r    *Relay
	m    *member
	ring nic.Ring // nil: the member's
}

func (l memberListener) readRing(order nic.RingOrder, f func()) error {
	var err error
	if !l.m.between.do(func() {
		s := l.m.socket
		if s.RingOrder() == nic.RingLast && order != nic.RingLast && !l.r.held.Load() {
			l.m.drainSocket()
		}
		f()
		if l.ring != nil {
			err = s.SetRing(l.ring, order)
		} else if s.RingOrder() != nic.NoRing {
			err = s.OrderRing(order)
		}
	}, l.m.wake) {
		return nic.ErrClosed
	}
	return err
}

func (l memberListener) stopListening() error {
	l.m.socket.PrepareStop()
	l.r.tx.epoch.wait()
	return l.m.socket.StopListening()
}

func (l memberListener) listen() error          { return l.m.socket.Listen() }
func (l memberListener) waitForReceived() error { return nic.WaitForReceived() }
func (l memberListener) settle()                { time.Sleep(settleTime) }

// drainSocket moves what waits in the socket while programs keep new frames from it. The member's goroutine calls it.
func (m *member) drainSocket() {
	for range maxShutBatches {
		if m.poll() != nil || m.socket.FromRing() {
			return
		}
	}
}

// drainRing moves what waits in the ring.
func (m *member) drainRing() {
	for n := m.socket.PollRing(); n > 0; n = m.socket.PollRing() {
		_ = m.take(n, nil)
	}
}

// LeaveSocket makes the programs, which move what member id receives, pass frames for the relay by a ring that they
// have already: on success gate is GateAlone, and the socket does not listen any more. After an error it is any that
// RegainMember takes back.
func (r *Relay) LeaveSocket(id int, gate *uint32, ring nic.Ring) error {
	m := r.member(id)
	if m == nil {
		return fmt.Errorf("leave socket of member %d: %w", id, ErrNoMember)
	}
	if err := leaveSocket(memberListener{r, m, ring}, gate); err != nil {
		return fmt.Errorf("leave socket of member %d: %w", id, err)
	}
	return nil
}

// ListenByRing makes member id, whose programs are those of a process before, go on with the ring of that process. The
// gate is that of this member.
func (r *Relay) ListenByRing(id int, gate uint32, ring nic.Ring) error {
	m := r.member(id)
	if m == nil {
		return fmt.Errorf("read ring of member %d: %w", id, ErrNoMember)
	}
	order := nic.RingFirst
	if ByRing(gate) {
		order = nic.RingLast
	}
	return memberListener{r, m, ring}.readRing(order, func() {})
}

// Listen makes member id's socket listen: when it returns, the socket and its filter see each frame before a program
// does.
func (r *Relay) Listen(id int) error {
	m := r.member(id)
	if m == nil {
		return fmt.Errorf("listen by member %d: %w", id, ErrNoMember)
	}
	return m.socket.Listen()
}

// EnsureListening is Listen unless the socket listens already.
func (r *Relay) EnsureListening(id int) error {
	if m := r.member(id); m != nil && m.socket.Listening() {
		return nil
	}
	return r.Listen(id)
}

// DropRing moves what is left in the ring of member id, which nobody writes any more. When it returns, nobody reads it.
func (r *Relay) DropRing(id int) {
	m := r.member(id)
	if m == nil {
		return
	}
	// A goroutine that has ended reads nothing.
	m.between.do(func() {
		if m.socket.RingOrder() != nic.NoRing && !r.held.Load() {
			m.drainRing()
		}
		_ = m.socket.SetRing(nil, nic.NoRing)
	}, m.wake)
}
