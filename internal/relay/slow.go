package relay

import (
	"nicteam/internal/frame"
	"nicteam/team"
)

// slowProtocols is the group address of LACP, which no bridge forwards. Every member's NIC takes it in: a partner may
// be heard by a member that carries nothing yet.
const slowProtocols frame.MAC = 0x0180c2000002

const (
	// slowEvery and slowBurst bound the frames of slow protocols that a member hands to the control loop. The standard
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

// slow hands the control loop a frame of a slow protocol. Who sent it is not asked: from an address of ours it shows that a
// cable leads back to us, which the protocol wants to know.
func (m *member) slow(b []byte, h *frame.Headers, f *fact) {
	// Other protocols than LACP and its markers are nobody's here.
	if h.Protocol == frame.LACP && !(m.allowed.take(m.r.clock.now()) && m.r.news.frame(m.id, b)) {
		m.tally.drops[team.DropSocket]++
		return
	}
	m.moved(f)
}
