package relay

import (
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/nic"
	"nicteam/modes/spread"
)

// How much may wait for a member follows from what the member is seen to carry, for the speed that a NIC tells is
// a lie wherever something behind it is slower: shaped lines, virtual NICs, Wi-Fi. 10 ms of it may wait. The same
// readings tell spread.Picker how long a member's queue really is.
const (
	rateInterval = 20 * time.Millisecond
	// backlogTime is what may wait. The senders' own limits hold some 10 ms of eight flows back on a
	// plain NIC; here the TAP has taken their frames off their hands.
	backlogTime = 10 * time.Millisecond
	// minBacklog lets one stream's super-frames follow each other without a gap.
	minBacklog = 32 << 10
	// chargeNum/chargeDen is what the kernel charges for a byte in frames of 1500, about the middle between
	// super-frames and small ones.
	chargeNum, chargeDen = 3, 2
)

// rateMeter is what a member was seen to carry. The transmitter's goroutine owns it.
type rateMeter struct {
	start          int64   // of the interval
	wireBytes      uint64  // bytes on the wire since then
	charged        uint64  // what the kernel charges for these
	wirePerCharged float64 // given to charged of the last interval in which anything was
	capacity       spread.Capacity
	bound          int // bytes as the kernel charges them, 0 as opened
}

// rateSample is what is known of a member at the end of an interval.
type rateSample struct {
	sent    uint64 // bytes on the wire that it was given in the interval
	waiting int    // bytes that wait, as they are on the wire
	bound   int    // the new bound for its backlog, 0 for the one it has
}

// addBatch takes in what a batch gave to the member, and reports whether it is time to measure.
func (p *rateMeter) addBatch(now int64, bytes, charge uint64) bool {
	p.wireBytes += bytes
	p.charged += charge
	return now-p.start >= int64(rateInterval)
}

// restart begins an interval anew, for another has given to the member as well.
func (p *rateMeter) restart(now int64) { p.start, p.wireBytes, p.charged = now, 0, 0 }

// measure ends an interval with so many bytes waiting, as the kernel charges them. The last batch has given fresh of
// what was given.
func (p *rateMeter) measure(now int64, charged int, fresh uint64) rateSample {
	if p.charged > 0 {
		p.wirePerCharged = float64(p.wireBytes) / float64(p.charged)
	}
	r := rateSample{sent: p.wireBytes, waiting: int(float64(charged) * p.wirePerCharged)}
	p.restart(now)
	if !p.capacity.Measure(now, r.sent, r.waiting, int(fresh)) {
		return r
	}
	next := max(minBacklog, int(p.capacity.Bps()/8/uint64(time.Second/backlogTime))*chargeNum/chargeDen)
	if p.bound != 0 && next < p.bound*9/8 && next > p.bound*7/8 {
		return r
	}
	p.bound, r.bound = next, next
	return r
}

// truesizeOf is what the kernel charges for a frame ([virtio header][frame]) that s sends whole or in pieces.
func truesizeOf(s *nic.Socket, b []byte, f *frameMeta) int {
	whole := true
	switch t := frame.GSOAt(b); {
	case t == frame.GSONone:
	case t&frame.GSOTunnel != 0, t == frame.GSOUDPL4:
		whole = s.USO()
	default:
		whole = s.TSO()
	}
	if whole || f.frames == 0 {
		return nic.Truesize(len(b) - frame.VnetLen)
	}
	return int(f.frames) * nic.Truesize(int(f.bytes/f.frames))
}

// measureRate takes in what the batch gave to a member, and reads the member's backlog when it is time. It reports whether
// nothing was given since it was read.
func (t *transmitter) measureRate(u *Rule, m *member, l *tally) bool {
	if t.yielded {
		m.rate.restart(t.now)
		return true
	}
	fresh := l.bytes()
	if !m.rate.addBatch(t.now, fresh, l.charge) {
		return m.rate.wireBytes == 0
	}
	charged, now := m.socket.Backlog(), t.r.clock.now()
	r := m.rate.measure(now, charged, fresh)
	if u.Spread == spread.SpreadShortest {
		t.picker.Now = now
		t.picker.Measured(m.id, r.sent, r.waiting)
	}
	if r.bound > 0 {
		_ = m.socket.SetBacklog(r.bound) // it may just have been closed
	}
	return true
}
