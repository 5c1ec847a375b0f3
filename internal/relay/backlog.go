package relay

import "time"

// How much may wait for a member follows from what the member is seen to carry, for the speed that a NIC tells is
// a lie wherever something behind it is slower: shaped lines, virtual NICs, Wi-Fi. Where frames wait at both ends of an
// interval, what was given in between is what left, so the rate is known; 10 ms of it may wait.
const (
	paceEvery = 20 * time.Millisecond
	// paceStale ends an interval in which hardly anything was sent: it says nothing about the rate.
	paceStale = 5 * paceEvery
	// backlogTime is what may wait. The senders' own limits hold some 10 ms of eight flows back on a
	// plain NIC; here the TAP has taken their frames off their hands.
	backlogTime = 10 * time.Millisecond
	// backlogLeast lets one stream's super-frames follow each other without a gap.
	backlogLeast = 32 << 10
	// chargeNum/chargeDen is what the kernel charges for a byte in frames of 1500, about the middle between
	// super-frames and small ones.
	chargeNum, chargeDen = 3, 2
)

// pace is what a member was seen to carry. The transmitter's goroutine owns it.
type pace struct {
	begin    time.Time // of the interval
	given    uint64    // bytes on the wire since then
	standing bool      // frames waited at the beginning
	rate     uint64    // bytes/s, 0 never seen
	bound    int       // bytes as the kernel charges them, 0 as opened
}

// sent takes in what a batch gave to the member, and reports whether it is time to measure.
func (p *pace) sent(now time.Time, bytes uint64) bool {
	p.given += bytes
	return now.Sub(p.begin) >= paceEvery
}

// measure ends an interval with so many bytes waiting. It returns the new bound for the member's backlog where
// it should have another, else 0.
func (p *pace) measure(now time.Time, waiting int) (bound int) {
	took := now.Sub(p.begin)
	waits := waiting >= backlogLeast/2
	measured := p.standing && waits && took < paceStale
	rate := uint64(float64(p.given) / took.Seconds())
	p.begin, p.given, p.standing = now, 0, waits
	switch {
	case measured && p.rate == 0:
		p.rate = rate
	case measured:
		p.rate = (p.rate + rate) / 2
	case p.rate != 0 && rate > p.rate: // it carries more than was known
		p.rate = rate
	default:
		return 0
	}
	next := max(backlogLeast, int(p.rate/uint64(time.Second/backlogTime))*chargeNum/chargeDen)
	if p.bound != 0 && next < p.bound*9/8 && next > p.bound*7/8 {
		return 0
	}
	p.bound = next
	return next
}

// paced takes in what a batch gave to the member, and bounds its backlog anew when it is time.
func (m *member) paced(now time.Time, bytes uint64) {
	if !m.pace.sent(now, bytes) {
		return
	}
	if bound := m.pace.measure(now, m.socket.Backlog()); bound > 0 {
		_ = m.socket.SetBacklog(bound) // it may just have been closed
	}
}
