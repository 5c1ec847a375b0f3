package relay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// markers sends the markers that the control loop wants sent. A marker asks the partner whether all before it has arrived, so
// it must not leave first. One that takes the same queue does not, but NICs have several, and fair queueing disciplines
// one for each flow: a marker finds its own empty while bulk waits in the others. So it is held back for as long as
// anything may wait for a member, and then follows what was given before it was asked for by whichever way.
//
// It has a goroutine of its own, for nobody else may wait.
type markers struct {
	due  chan marker
	stop chan struct{}
	done chan struct{}
}

type marker struct {
	at    int64 // ns of the relay's clock
	by    *member
	frame []byte
}

const (
	// markerWait is what may wait for a member: backlogTime in frames of 1500, which is half as much again in super-frames.
	markerWait = backlogTime * chargeNum / chargeDen
	// markersMost is how many may be held back: the control loop asks each member once in a while.
	markersMost = 64
)

func newMarkers() *markers {
	return &markers{due: make(chan marker, markersMost), stop: make(chan struct{}), done: make(chan struct{})}
}

// add has a copy of the marker in b sent by a member when it is time, if that is still there.
func (k *markers) add(now int64, by *member, b []byte) error {
	select {
	case k.due <- marker{at: now + int64(markerWait), by: by, frame: bytes.Clone(b)}:
		return nil
	default:
		return fmt.Errorf("send marker by member %d: too many at once: %w", by.id, unix.ENOBUFS)
	}
}

// end has no more markers sent.
func (k *markers) end() {
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
		case m := <-k.due:
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
