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

// controlQueueLen is how much the control loop may lag behind before news is lost.
const controlQueueLen = 256

// suspectInterval bounds how often one member is reported: each refused batch would be, otherwise.
const suspectInterval = 10 * time.Millisecond

// controlQueue goes to the control loop, and never waits for it.
type controlQueue struct {
	frames      chan team.Control
	suspectedAt [spread.MaxMembers]atomic.Int64 // when it was last told
	clock       clock

	mu     sync.Mutex // Tell, end
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

// Report puts news before the control loop, and reports whether it gets them.
func (r *Relay) Report(c team.Control) bool {
	n := r.control
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.closed && n.report(c)
}

// close has nothing more told. The relay's own goroutines have ended.
func (n *controlQueue) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	close(n.frames)
}

// reportSuspect tells that a member refused frames, or went down.
func (n *controlQueue) reportSuspect(id int) {
	now := n.clock.now()
	last := n.suspectedAt[id].Load()
	if last != 0 && now-last < int64(suspectInterval) || !n.suspectedAt[id].CompareAndSwap(last, now) {
		return
	}
	n.report(team.Control{Kind: team.ControlSuspect, Member: id})
}

// passFrame hands over a copy of the frame in b ([virtio header][frame]), its checksum made, and reports whether the
// control loop gets it. A flood of them costs no copies once the control loop lags, and one from outside leaves room
// for those of the adapter, as these do for news.
func (n *controlQueue) passFrame(id int, b []byte) bool {
	most := cap(n.frames) / 2
	if id >= 0 {
		most /= 2
	}
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

// isARPorND reports whether a frame asks or tells where an address is.
func isARPorND(h *frame.Headers) bool { return h.Protocol == frame.ARP || h.Protocol == frame.ND }
