// SPDX-License-Identifier: MIT

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

// Send sends a control frame by member id, whatever the Plan says. It does not wait behind the adapter's traffic, and
// is not lost if that fills the member's queue. A marker does wait: see markers.
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

// LocalSource returns the station behind the adapter in whose name a control frame is sent, if any: a switch that
// floods reflects it like the station's own frames.
func (r *Relay) LocalSource(b []byte) (s frame.Station, ok bool) {
	var h frame.Headers
	if !frame.Parse(b, &h) || h.Src == 0 || h.Src.Multicast() || r.active.Load().IsOwn(h.Src) {
		return 0, false
	}
	return h.Station(h.Src, b), true
}

// sent counts a control frame, and the error of sending it.
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

// markers sends the Marker PDUs of the control loop. A marker asks the partner whether all frames before it have
// arrived, so it must not overtake them. NICs have several queues, and fair qdiscs one for each flow: a marker would
// find its own empty while bulk traffic waits in the others. So a marker is held back for as long as any frame may wait
// for a member, and leaves after all that was transmitted before it.
//
// It has a goroutine of its own, which alone waits.
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
	// markerWait is the longest time that a frame may wait for a member: backlogTime is for frames of 1500;
	// super-frames have half as much truesize a byte, so that they may wait half as long again.
	markerWait = backlogTime * chargeNum / chargeDen
	// maxMarkers may be held back: the control loop sends one a member, rarely.
	maxMarkers = 64
)

func newMarkers() *markers {
	return &markers{queue: make(chan marker, maxMarkers), stop: make(chan struct{}), done: make(chan struct{})}
}

// add queues a copy of the marker b, to be sent by a member that has not left until then.
func (k *markers) add(now int64, by *member, b []byte) error {
	select {
	case k.queue <- marker{at: now + int64(markerWait), by: by, frame: bytes.Clone(b)}:
		return nil
	default:
		return fmt.Errorf("send marker by member %d: too many are queued: %w", by.id, unix.ENOBUFS)
	}
}

// close ends the goroutine and waits for it.
func (k *markers) close() {
	close(k.stop)
	<-k.done
}

// run sends each marker after markerWait. They are due in the order in which they were added.
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
					_ = r.sent(id, m.frame, m.by.socket.SendControlInOrder(m.frame)) // counts the error, too
				}
			})
		case <-k.stop:
			return
		}
	}
}

// isMarker reports whether b is a Marker PDU, not a Marker Response PDU: subtype 2, type 1 (802.1AX clause 6.5.3.3).
func isMarker(b []byte) bool {
	return len(b) > 16 && binary.BigEndian.Uint16(b[12:]) == frame.TypeSlow && b[14] == 2 && b[16] == 1
}
