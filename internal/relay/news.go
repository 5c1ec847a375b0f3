package relay

import (
	"bytes"
	"sync/atomic"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes"
	"nicteam/team"
)

// newsLength is how much the control loop may lag behind before news is lost.
const newsLength = 256

// suspectEvery bounds how often one member is reported: each refused batch would be, otherwise.
const suspectEvery = 10 * time.Millisecond

// news goes to the control loop, and never waits for it.
type news struct {
	to      chan team.Control
	suspect [modes.MaxMembers]atomic.Int64 // when it was last told, in ns of the relay's clock
	began   time.Time
}

func newNews() *news { return &news{to: make(chan team.Control, newsLength), began: time.Now()} }

func (n *news) tell(c team.Control) bool {
	select {
	case n.to <- c:
		return true
	default:
		return false
	}
}

// suspected tells that a member refused frames, or went down.
func (n *news) suspected(id int) {
	now := int64(time.Since(n.began)) + 1
	last := n.suspect[id].Load()
	if last != 0 && now-last < int64(suspectEvery) || !n.suspect[id].CompareAndSwap(last, now) {
		return
	}
	n.tell(team.Control{Kind: team.ControlSuspect, Member: id})
}

// frame hands over a copy of the frame in b ([virtio header][frame]), its checksum made, and reports whether the
// control loop gets it. A flood of them costs no copies once the control loop lags.
func (n *news) frame(id int, b []byte) bool {
	if len(n.to) >= cap(n.to)/2 {
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

// strangers are the source addresses told of since the Plan in force came. It belongs to one goroutine.
type strangers struct {
	under *rule
	macs  [64]frame.MAC
	n     int
}

// met tells of m once a rule, and of so many a rule only: the control loop answers with a new Plan.
func (s *strangers) met(n *news, u *rule, m frame.MAC) {
	if s.under != u {
		s.under, s.n = u, 0
	}
	for _, known := range s.macs[:s.n] {
		if known == m {
			return
		}
	}
	if s.n == len(s.macs) || m.Multicast() || m == 0 {
		return
	}
	if n.tell(team.Control{Kind: team.ControlBehind, Member: -1, MAC: m}) {
		s.macs[s.n] = m
		s.n++
	}
}
