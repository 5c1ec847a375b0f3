// SPDX-License-Identifier: MIT

package relay

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/team"
)

// controlQueueLen is how far the control loop may lag behind before reports are lost.
const controlQueueLen = 256

// suspectInterval bounds how often one member is reported: otherwise each refused batch would be.
const suspectInterval = 10 * time.Millisecond

// controlQueue carries frames and reports to the control loop, and never waits for it.
type controlQueue struct {
	frames      chan team.Control
	suspectedAt [spread.MaxMembers]atomic.Int64 // when it was last reported
	clock       clock

	mu     sync.Mutex // Report, close
	closed bool
}

func newControlQueue(c clock) *controlQueue {
	return &controlQueue{frames: make(chan team.Control, controlQueueLen), clock: c}
}

func (n *controlQueue) report(c team.Control) bool {
	select {
	case n.frames <- c:
		return true
	default:
		return false
	}
}

// Report queues c for the control loop. False: the queue is full or closed.
func (r *Relay) Report(c team.Control) bool {
	n := r.control
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.closed && n.report(c)
}

// close closes the queue. The relay's own goroutines have ended.
func (n *controlQueue) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	close(n.frames)
}

// reportSuspect reports a member that refused frames or went down.
func (n *controlQueue) reportSuspect(id int) {
	now := n.clock.now()
	last := n.suspectedAt[id].Load()
	if last != 0 && now-last < int64(suspectInterval) || !n.suspectedAt[id].CompareAndSwap(last, now) {
		return
	}
	n.report(team.Control{Kind: team.ControlSuspect, Member: id})
}

// passFrame queues a copy of the frame in b ([virtio header][frame]) with its checksum finished, and reports whether
// there was room. Frames of the adapter leave half of the queue to reports, and frames of members three quarters, so
// that a flood from outside costs no copies and displaces nothing.
func (n *controlQueue) passFrame(id int, b []byte) bool {
	most := cap(n.frames) / 2
	if id >= 0 {
		most /= 2
	}
	return n.passWithin(most, id, b)
}

// passAnswer is passFrame of a frame for the link watches, whose number is bounded: other frames of members leave room
// for it.
func (n *controlQueue) passAnswer(id int, b []byte) bool { return n.passWithin(cap(n.frames)/2, id, b) }

// passWithin is passFrame while less than so many are queued.
func (n *controlQueue) passWithin(most, id int, b []byte) bool {
	if len(n.frames) >= most {
		return false
	}
	var v frame.Vnet
	v.Unmarshal(b)
	own := bytes.Clone(b[frame.VnetLen:])
	if v.GSO() != frame.GSONone || frame.FinishChecksum(v, own) != nil {
		return false
	}
	return n.report(team.Control{Kind: team.ControlFrame, Member: id, Frame: own})
}

// isARPorND reports whether a frame resolves or announces an address.
func isARPorND(h *frame.Headers) bool { return h.Protocol == frame.ARP || h.Protocol == frame.ND }
