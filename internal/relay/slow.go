package relay

import (
	"errors"
	"sync/atomic"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/nic"
	"nicteam/team"
)

// slowProtocols is the group address of LACP, which no bridge forwards. Every member's NIC takes it in: a partner may
// be heard by a member that carries nothing yet.
const slowProtocols frame.MAC = 0x0180c2000002

const (
	// slowEvery and slowBurst bound the frames of slow protocols that a member hands to the control loop, and its ear. The standard
	// allows ten a second, and modes/lacp processes no more; a neighbour that floods must not cost more than looking.
	slowEvery = 10_000_000 // ns
	slowBurst = 30
)

// isSlow reports whether a frame is one of a link's own protocols, which concern none but the two ends of it.
func isSlow(h *frame.Headers) bool {
	return h.EtherType == frame.TypeSlow && h.Dst == slowProtocols
}

// allowance is what a member may still hand over: a bucket that fills by one each slowEvery. One goroutine uses it.
type allowance struct {
	full int64 // ns of the relay's clock, when the bucket is full again
}

// take takes one, if there is any.
func (a *allowance) take(now int64) bool {
	full := max(a.full, now)
	if full-now > (slowBurst-1)*slowEvery {
		return false
	}
	a.full = full + slowEvery
	return true
}

// deliverSlow hands the control loop a frame of a slow protocol ([virtio header][frame]), and counts it in l. Who sent it is not asked:
// from an address of ours it shows that a cable leads back to us, which the protocol wants to know. It reports whether the
// frame was for anybody.
func (m *member) deliverSlow(b []byte, p frame.Protocol, a *allowance, l *tally) bool {
	// Other protocols than LACP and its markers are nobody's here.
	if p == frame.LACP && !m.passSlow(b, a) {
		l.drops[team.DropSocket]++
		return false
	}
	c := &l.moved[p]
	c.Frames++
	c.Bytes += uint64(len(b) - frame.VnetLen)
	return true
}

// passSlow reports whether the control loop gets a frame.
func (m *member) passSlow(b []byte, a *allowance) bool {
	if !a.take(m.r.clock.now()) {
		return false
	}
	// What programs have received before a marker may be on its way to the adapter's stack.
	if m.slow.filtered.Load() && isMarker(b[frame.VnetLen:]) {
		time.Sleep(settleTime)
	}
	return m.r.control.passFrame(m.id, b)
}

// receiveSlow takes in such a frame that came among the others, all of which that came before it have been delivered. Once one
// has come the ear is to hear the next.
func (m *member) receiveSlow(b []byte, p frame.Protocol) {
	if m.slow.active.Load() && !isMarker(b[frame.VnetLen:]) {
		return // and does
	}
	m.deliverSlow(b, p, &m.slowLimit, &m.tally)
	if p == frame.LACP && !m.slow.lacpSeen.Load() {
		m.slow.lacpSeen.Store(true)
		m.r.filters.schedule()
	}
}

// slowReceiver hears the slow protocols of a member that somebody speaks LACP to. It has a goroutine and a buffer of its own, for what
// floods the member is not to keep a partner from being heard. While programs move what the member receives, nothing
// floods the relay, and what is for it comes among the little that the others are. Markers that ask something always do.
type slowReceiver struct {
	m       *member
	limit   allowance
	tally   tally
	refused int           // frames in a row
	done    chan struct{} // closed when run has ended

	lacpSeen atomic.Bool // to: a frame of LACP has come
	filtered atomic.Bool // decide what the relay receives
	active   atomic.Bool // it hears, and has heard all that waits for the member's goroutine
}

// update has the ear hear, or not. One goroutine calls it.
func (e *slowReceiver) update() error {
	want := e.lacpSeen.Load() && !e.filtered.Load()
	if want == e.active.Load() {
		return nil
	}
	// Better twice than not at all: nobody minds a frame that comes twice.
	if !want {
		e.active.Store(false)
		return e.m.socket.EnableSlow(false)
	}
	if err := e.m.socket.EnableSlow(true); err != nil {
		return err
	}
	e.m.between.do(e.drainAndActivate, e.m.socket.Wake)
	return nil
}

// drainAndActivate leaves to the ear what comes from now on. What waits came before it heard, it may be. The member's goroutine calls it.
func (e *slowReceiver) drainAndActivate() {
	for range maxShutBatches {
		if e.m.poll() != nil {
			break
		}
	}
	e.active.Store(true)
}

// pauseAfter frames that are refused in a row the ear rests for pauseFor: the kernel drops cheaper.
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
			// Who moves the member's frames tells of a link that is lost. Should it go on, it must not take the processor.
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// slowLen is the longest frame of a slow protocol: version 2 of LACP has some that are longer than 802.3 allows.
const slowLen = 1514

// handle hands a frame ([virtio header][frame]) to the control loop.
func (e *slowReceiver) handle(b []byte) {
	defer e.recovered(b)
	var h frame.Headers
	if !frame.Parse(b[frame.VnetLen:], &h) || !isSlow(&h) {
		return
	}
	if e.m.deliverSlow(b, h.Protocol, &e.limit, &e.tally) {
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

// recovered ends the panic of a frame, which is lost.
func (e *slowReceiver) recovered(b []byte) {
	if p := recover(); p != nil {
		e.m.r.panics.Frame(p, b)
	}
}
