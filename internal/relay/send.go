package relay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/nic"
)

// Send sends a control frame by member id, whatever the Plan says. It does not wait behind what the adapter sends, and is
// not lost where that fills the member's queue. A marker does wait, and is sent in a moment: see markers.
func (r *Relay) Send(id int, b []byte) error {
	m := r.member(id)
	if m == nil {
		return fmt.Errorf("send by member %d: %w", id, ErrNoMember)
	}
	if isMarker(b) {
		return r.markers.add(r.clock.now(), m, b)
	}
	if s, ok := r.LocalSource(b); ok {
		r.recentLocal.noteSent(r.clock.now(), s)
	}
	return r.sent(id, b, m.socket.SendControl(b))
}

// LocalSource returns the guest that a control frame is sent in the name of, if any: a switch that floods brings it back as it
// does the guest's own.
func (r *Relay) LocalSource(b []byte) (s frame.Station, ok bool) {
	var h frame.Headers
	if !frame.Parse(b, &h) || h.Src == 0 || h.Src.Multicast() || r.rule.Load().IsOwn(h.Src) {
		return 0, false
	}
	return h.In(h.Src, b), true
}

// sent counts a control frame that was sent, or not: err says why.
func (r *Relay) sent(id int, b []byte, err error) error {
	tx := &r.accounts[id].tx
	if err != nil {
		tx.errors.Add(1)
		if errors.Is(err, nic.ErrDown) || errors.Is(err, nic.ErrGone) {
			r.control.reportSuspect(id)
		}
		return err
	}
	var h frame.Headers
	frame.Parse(b, &h)
	tx.moved[h.Protocol].frames.Add(1)
	tx.moved[h.Protocol].bytes.Add(uint64(len(b)))
	return nil
}

// markers sends the markers that the control loop wants sent. A marker asks the partner whether all before it has arrived, so
// it must not leave first. One that takes the same queue does not, but NICs have several, and fair queueing disciplines
// one for each flow: a marker finds its own empty while bulk waits in the others. So it is held back for as long as
// anything may wait for a member, and then follows what was given before it was asked for by whichever way.
//
// It has a goroutine of its own, for nobody else may wait.
type markers struct {
	queue chan marker
	stop  chan struct{}
	done  chan struct{}
}

type marker struct {
	at    int64 // ns of the relay's clock
	by    *member
	frame []byte
}

const (
	// markerWait is what may wait for a member: backlogTime in frames of 1500, which is half as much again in super-frames.
	markerWait = backlogTime * chargeNum / chargeDen
	// maxMarkers is how many may be held back: the control loop asks each member once in a while.
	maxMarkers = 64
)

func newMarkers() *markers {
	return &markers{queue: make(chan marker, maxMarkers), stop: make(chan struct{}), done: make(chan struct{})}
}

// add has a copy of the marker in b sent by a member when it is time, if that is still there.
func (k *markers) add(now int64, by *member, b []byte) error {
	select {
	case k.queue <- marker{at: now + int64(markerWait), by: by, frame: bytes.Clone(b)}:
		return nil
	default:
		return fmt.Errorf("send marker by member %d: too many at once: %w", by.id, unix.ENOBUFS)
	}
}

// close has no more markers sent.
func (k *markers) close() {
	close(k.stop)
	<-k.done
}

// run sends each marker when it is time. They are due in the order in which they were added.
func (k *markers) run(r *Relay) {
	defer close(k.done)
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case m := <-k.queue:
			wait.Reset(time.Duration(m.at - r.clock.now()))
			select {
			case <-wait.C:
			case <-k.stop:
				return
			}
			r.panics.Do("markers", func() {
				if id := m.by.id; r.member(id) == m.by {
					_ = r.sent(id, m.frame, m.by.socket.SendControlInOrder(m.frame)) // it is counted, and suspected where it tells of a dead link
				}
			})
		case <-k.stop:
			return
		}
	}
}

// isMarker reports whether b is a marker, and not the answer to one: subtype 2, type 1 (802.1AX clause 6.5.3.3).
func isMarker(b []byte) bool {
	return len(b) > 16 && binary.BigEndian.Uint16(b[12:]) == frame.TypeSlow && b[14] == 2 && b[16] == 1
}
