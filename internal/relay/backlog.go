// SPDX-License-Identifier: MIT

package relay

import (
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/nic"
	"nicteam/modes/spread"
)

// The bound of a member's backlog is 10 ms of its measured rate. The speed that a NIC reports is too high wherever
// something behind it is slower: shaped lines, virtual NICs, Wi-Fi. The same samples show spread.Picker how long a
// member's queue really is.
const (
	rateInterval = 20 * time.Millisecond
	// backlogTime bounds the backlog. On a plain NIC the senders' own limits hold back some 10 ms of eight flows; the
	// TAP lifts these limits, because it orphans the frames.
	backlogTime = 10 * time.Millisecond
	// minBacklog lets one stream's super-frames follow each other without a gap.
	minBacklog = 32 << 10
	// chargeNum/chargeDen is the truesize of a byte in frames of 1500, about the middle between super-frames and small
	// frames.
	chargeNum, chargeDen = 3, 2
)

// rateMeter measures what a member carries. The transmitter's goroutine owns it.
type rateMeter struct {
	start          int64   // of the interval
	wireBytes      uint64  // transmitted since then
	charged        uint64  // truesize of these
	wirePerCharged float64 // of the last interval with traffic
	capacity       spread.Capacity
	bound          int // bytes of truesize; 0: as opened
}

// rateSample is the result of an interval.
type rateSample struct {
	sent    uint64 // bytes on the wire, transmitted in the interval
	waiting int    // bytes on the wire that wait
	bound   int    // the new bound of the backlog; 0: unchanged
}

// addBatch adds what a batch transmitted by the member, and reports whether the interval is over.
func (p *rateMeter) addBatch(now int64, bytes, charge uint64) bool {
	p.wireBytes += bytes
	p.charged += charge
	return now-p.start >= int64(rateInterval)
}

// restart begins another interval.
func (p *rateMeter) restart(now int64) { p.start, p.wireBytes, p.charged = now, 0, 0 }

// measure ends an interval with a backlog of so many bytes of truesize. The last batch transmitted fresh bytes of the
// interval's.
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

// truesizeOf returns the truesize of a frame ([virtio header][frame]) that s sends whole or in segments.
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

// measureRate adds what the batch transmitted by a member, and at the end of the interval reads the member's backlog.
// It reports whether nothing was transmitted since the last reading.
func (t *transmitter) measureRate(u *ActivePlan, m *member, l *tally) bool {
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
	if u.Rule == spread.RuleShortest {
		t.picker.Now = now
		t.picker.Measured(m.id, r.sent, r.waiting)
	}
	if r.bound > 0 {
		_ = m.socket.SetBacklog(r.bound) // fails on a socket that was just closed
	}
	return true
}
