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

// newsLength is how much the control loop may lag behind before news is lost.
const newsLength = 256

// suspectEvery bounds how often one member is reported: each refused batch would be, otherwise.
const suspectEvery = 10 * time.Millisecond

// news goes to the control loop, and never waits for it.
type news struct {
	to      chan team.Control
	suspect [spread.MaxMembers]atomic.Int64 // when it was last told
	clock   clock

	mu    sync.Mutex // Tell, end
	ended bool
}

func newNews(c clock) *news { return &news{to: make(chan team.Control, newsLength), clock: c} }

func (n *news) tell(c team.Control) bool {
	select {
	case n.to <- c:
		return true
	default:
		return false
	}
}

// Tell puts news before the control loop, and reports whether it gets them.
func (r *Relay) Tell(c team.Control) bool {
	n := r.news
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.ended && n.tell(c)
}

// end has nothing more told. The relay's own goroutines have ended.
func (n *news) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = true
	close(n.to)
}

// suspected tells that a member refused frames, or went down.
func (n *news) suspected(id int) {
	now := n.clock.now()
	last := n.suspect[id].Load()
	if last != 0 && now-last < int64(suspectEvery) || !n.suspect[id].CompareAndSwap(last, now) {
		return
	}
	n.tell(team.Control{Kind: team.ControlSuspect, Member: id})
}

// frame hands over a copy of the frame in b ([virtio header][frame]), its checksum made, and reports whether the
// control loop gets it. A flood of them costs no copies once the control loop lags, and one from outside leaves room
// for those of the adapter, as these do for news.
func (n *news) frame(id int, b []byte) bool {
	most := cap(n.to) / 2
	if id >= 0 {
		most /= 2
	}
	if len(n.to) >= most {
		return false
	}
	var v frame.Vnet
	v.Unmarshal(b)
	own := bytes.Clone(b[frame.VnetLen:])
	if v.GSO() != frame.GSONone || frame.FinishChecksum(v, own) != nil {
		return false
	}
	return n.tell(team.Control{Kind: team.ControlFrame, Member: id, Frame: own})
}

// neighbourhood reports whether a frame asks or tells where an address is.
func neighbourhood(h *frame.Headers) bool { return h.Protocol == frame.ARP || h.Protocol == frame.ND }
