// SPDX-License-Identifier: MIT

package relay

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/limit"
	"nicteam/internal/nic"
	"nicteam/team"
)

// slowProtocols is the Slow_Protocols_Multicast address (802.3 annex 57A), which no bridge forwards. Each member's NIC
// accepts it: a partner speaks to a member before that collects.
const slowProtocols frame.MAC = 0x0180c2000002

const (
	// slowEvery and slowBurst bound the frames of slow protocols that a member, and its slowReceiver, pass to the
	// control loop. The standard allows ten a second, and modes/lacp processes no more. Of a flood the rest is only
	// parsed.
	slowEvery = 10 * time.Millisecond
	slowBurst = 30
)

var slowRate = limit.Rate{Every: slowEvery, Burst: slowBurst}

// isSlow reports whether a frame is one of slow protocols, which concern only the two ends of a link.
func isSlow(h *frame.Headers) bool {
	return h.EtherType == frame.TypeSlow && h.Dst == slowProtocols
}

// deliverSlow passes a frame of a slow protocol ([virtio header][frame]) to the control loop and counts it in l. The
// source is not checked: an address of ours shows that a cable leads back to us, which LACP must know. main: it came by
// the main socket. It returns false if the frame was dropped.
func (m *member) deliverSlow(b []byte, p frame.Protocol, main bool, bucket *limit.Bucket, l *tally) bool {
	f := b[frame.VnetLen:]
	if m.slow.lacpSeen.Load() && !isMarker(f) && m.slow.twice.again(m.r.clock.now(), f, main) {
		return true
	}
	// Slow protocols other than LACP and markers are only counted.
	if p == frame.LACP && !m.passSlow(b, bucket) {
		l.drops[team.DropSocket]++
		return false
	}
	c := &l.moved[p]
	c.Frames++
	c.Bytes += uint64(len(f))
	return true
}

// passSlow passes a frame to the control loop within the limit, and reports whether it got through.
func (m *member) passSlow(b []byte, bucket *limit.Bucket) bool {
	if !bucket.Take(time.Unix(0, m.r.clock.now()), slowRate) {
		return false
	}
	// Frames that programs received before a marker may still be on their way to the adapter's stack.
	if m.slow.filtered.Load() && isMarker(b[frame.VnetLen:]) {
		time.Sleep(settleTime)
	}
	return m.r.control.passFrame(m.id, b)
}

// receiveSlow handles a frame of a slow protocol from the main socket, after all frames before it were delivered. After
// the first LACPDU the slowReceiver takes over.
func (m *member) receiveSlow(b []byte, p frame.Protocol) {
	if f := b[frame.VnetLen:]; m.slow.active.Load() && !isMarker(f) &&
		binary.BigEndian.Uint16(f[12:]) == frame.TypeSlow {
		return // the slowReceiver has it, since it has no tag
	}
	m.deliverSlow(b, p, true, &m.slowLimit, &m.tally)
	if p == frame.LACP && !m.slow.lacpSeen.Load() {
		m.slow.lacpSeen.Store(true)
		m.r.filters.schedule()
	}
}

// slowReceiver receives the slow protocols of a member whose link speaks LACP. It has a goroutine and a receive buffer
// of its own, so that a flood on the member does not displace a partner's LACPDUs. While programs move what the member
// receives, nothing floods the main socket and it is not needed. Marker PDUs always come by the main socket, in order.
type slowReceiver struct {
	m       *member
	limit   limit.Bucket
	tally   tally
	refused int           // frames in a row
	done    chan struct{} // closed when run has ended
	twice   slowTwice     // what the main socket has brought, too

	lacpSeen atomic.Bool // an LACPDU has come
	filtered atomic.Bool // programs filter what the main socket receives
	active   atomic.Bool // it receives, and older frames in the main socket were delivered
}

// update enables or disables the slowReceiver as needed. One goroutine calls it.
func (e *slowReceiver) update() error {
	want := e.lacpSeen.Load() && !e.filtered.Load()
	if want == e.active.Load() {
		return nil
	}
	// During the change a frame comes by both sockets, so that it is not lost: slowTwice.
	if !want {
		if !e.m.between.do(e.drainAndDeactivate, e.m.wake) {
			e.active.Store(false)
		}
		return e.m.socket.EnableSlow(false)
	}
	e.twice.starts(e.m.r.clock.now())
	if err := e.m.socket.EnableSlow(true); err != nil {
		return err
	}
	e.m.between.do(e.drainAndActivate, e.m.wake)
	return nil
}

// drainAndActivate leaves the frames from now on to the slowReceiver. Frames that wait in the main socket may be older
// than EnableSlow and are delivered first. The member's goroutine calls it.
func (e *slowReceiver) drainAndActivate() {
	for range maxShutBatches {
		if e.m.poll() != nil {
			break
		}
	}
	e.active.Store(true)
}

// drainAndDeactivate leaves the frames from now on to the main socket, once that has skipped those which the
// slowReceiver has. The member's goroutine calls it.
func (e *slowReceiver) drainAndDeactivate() {
	now := e.m.r.clock.now()
	for range maxShutBatches {
		if e.m.r.held.Load() || e.m.poll() != nil {
			break
		}
		now = e.m.r.clock.now()
	}
	e.twice.ends(now)
	e.active.Store(false)
}

// After pauseAfter dropped frames in a row the slowReceiver pauses for pauseFor: the kernel drops at less cost.
const (
	pauseAfter = 64
	pauseFor   = 2 * time.Millisecond
)

func (e *slowReceiver) run() {
	defer close(e.done)
	b := make([]byte, frame.VnetLen+slowLen)
	for {
		switch n, err := e.m.socket.ReceiveSlow(b[frame.VnetLen:]); {
		case err == nil:
			e.handle(b[:frame.VnetLen+n])
		case errors.Is(err, nic.ErrClosed):
			return
		default:
			// The member's goroutine reports a lost link. An error that persists must not take the processor.
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// slowLen is the longest frame of a slow protocol: LACPDUs of version 2 may be longer than 802.3 annex 57A allows.
const slowLen = 1514

// handle passes a frame ([virtio header][frame]) to the control loop.
func (e *slowReceiver) handle(b []byte) {
	defer e.recovered(b)
	var h frame.Headers
	if !frame.Parse(b[frame.VnetLen:], &h) || !isSlow(&h) {
		return
	}
	if e.m.deliverSlow(b, h.Protocol, false, &e.limit, &e.tally) {
		e.refused = 0
	} else {
		e.refused++
	}
	e.m.r.accounts[e.m.id].rx.add(&e.tally)
	if e.refused >= pauseAfter {
		e.refused = 0
		time.Sleep(pauseFor)
	}
}

// recovered recovers a panic over a frame, which is lost.
func (e *slowReceiver) recovered(b []byte) {
	if p := recover(); p != nil {
		e.m.r.panics.Frame(p, b)
	}
}
