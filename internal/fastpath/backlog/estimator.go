// SPDX-License-Identifier: MIT

package backlog

import "time"

// TxTotals is what was transmitted by a member since it joined.
type TxTotals struct {
	WireBytes uint64 // of the frames on the wire
	SKBBytes  uint64 // of the SKBs: a super-frame is one frame with one header
}

// Sub returns t less o.
func (t TxTotals) Sub(o TxTotals) TxTotals {
	return TxTotals{t.WireBytes - o.WireBytes, t.SKBBytes - o.SKBBytes}
}

// Sample is one reading of a member's counters. Programs go on transmitting during the reading: when the kernel read
// its counters, the totals were at least Before and at most After.
type Sample struct {
	At            int64 // ns of CLOCK_MONOTONIC
	Before, After TxTotals
	Link          LinkStats
	Qdisc         QdiscStats
	QdiscRead     bool // Qdisc was read, after Link
}

// Estimator estimates the backlog of one member; doc.go lists the cases. The zero value has no sample.
//
// What it calls counted bytes are bytes as the NIC counts them: on the wire where countsSegments, else of SKBs.
type Estimator struct {
	started        bool
	countsSegments bool
	wirePerCounted float64 // bytes on the wire for each counted byte

	// Of the last sample.
	at      int64
	totals  TxTotals
	txBytes uint64
	dropped uint64
	qdisc   QdiscStats // of the last sample that has it

	waiting      int64 // counted bytes; negative by what was transmitted during the reading
	inNIC        int64 // of these past the qdisc, when qdisc was read
	dropsPending bool  // frames were dropped since qdisc was read

	idleSince  int64 // nothing moves; 0: something does
	stuckSince int64 // TxBytes stands still although the qdisc sends; 0: it does not
	lazyUntil  int64 // the driver is assumed to update TxBytes seldom

	counting countDetector
}

const (
	// idleAfter is how long nothing must move until nothing waits.
	idleAfter = int64(50 * time.Millisecond)
	// stuckAfter is longer than a NIC that is not stopped transmits nothing, lazyFor longer than a driver that updates
	// its counters seldom leaves them unchanged.
	stuckAfter, lazyFor = int64(60 * time.Millisecond), int64(10 * time.Second)
	// minCountDifference are bytes by which the two ways to count must differ to be told apart, minCountTime the least
	// time for that: far more is transmitted in it than a NIC holds.
	minCountDifference, minCountTime = 512 << 10, int64(4 * time.Second)
)

// Progress is what a member did since the sample before.
type Progress struct {
	Accepted uint64 // bytes on the wire, without those of dropped frames
	Backlog  int    // bytes on the wire that wait
	Dropped  uint64 // frames, a super-frame is one
}

// Forget drops the samples: the next one is of another NIC.
func (e *Estimator) Forget() { e.started = false }

// Known reports whether e has a sample.
func (e *Estimator) Known() bool { return e.started }

func (e *Estimator) restart(s *Sample) {
	*e = Estimator{started: true, countsSegments: e.countsSegments, wirePerCounted: max(e.wirePerCounted, 1),
		at: s.At, totals: s.Before, txBytes: s.Link.TxBytes, dropped: s.Link.TxDropped}
	if s.QdiscRead {
		e.qdisc = s.Qdisc
		e.waiting = int64(s.Qdisc.Backlog)
	}
	e.counting.since = s.At
}

// Update takes the next sample.
func (e *Estimator) Update(s *Sample) Progress {
	if !s.Link.Present {
		e.started = false
		return Progress{}
	}
	if !e.started || s.Link.TxBytes < e.txBytes {
		e.restart(s)
		return Progress{Backlog: e.wireBacklog()}
	}
	transmitted, left := s.Before.Sub(e.totals), int64(s.Link.TxBytes-e.txBytes)
	during := int64(e.counted(s.After.Sub(s.Before)))
	dropped := s.Link.TxDropped - e.dropped
	if s.QdiscRead {
		dropped += uint64(s.Qdisc.Drops - e.qdisc.Drops)
	}
	e.at, e.totals, e.txBytes, e.dropped = s.At, s.Before, s.Link.TxBytes, s.Link.TxDropped
	e.dropsPending = e.dropsPending || dropped > 0
	e.updateScale(transmitted)
	expected := e.waiting + int64(e.counted(transmitted)) - left
	e.waiting = expected
	e.counting.add(transmitted, left)
	e.detectStall(s, transmitted, left)
	if s.QdiscRead {
		e.applyQdisc(s, during)
	}
	e.waiting = max(e.waiting, -during)
	if e.lazyUntil > e.at {
		e.waiting, e.inNIC = int64(float64(e.qdisc.Backlog)/e.wirePerCounted), 0
	}
	return Progress{Accepted: e.acceptedBytes(transmitted, e.waiting-expected), Backlog: e.wireBacklog(),
		Dropped: dropped}
}

// applyQdisc corrects the estimate by what waits in the qdisc. Programs transmitted so many counted bytes during the
// reading.
func (e *Estimator) applyQdisc(s *Sample, during int64) {
	q := s.Qdisc
	queued := int64(float64(q.Backlog) / e.wirePerCounted)
	if e.dropsPending {
		in := e.inNIC
		if q.SentBytes > 0 {
			in += int64(float64(q.SentBytes-e.qdisc.SentBytes)/e.wirePerCounted) - e.counting.txPending
		}
		e.waiting = min(e.waiting, queued+max(in, 0))
		e.totals = s.After // the qdisc was read after the NIC: its backlog includes what was transmitted between
	}
	e.waiting = max(e.waiting, queued-during)
	e.inNIC = max(e.waiting-queued, 0)
	segments, known := e.counting.decide(int64(q.Backlog)-int64(e.qdisc.Backlog), e.dropsPending || e.lazyUntil > e.at,
		e.at)
	if known && segments != e.countsSegments {
		e.countsSegments, e.inNIC, e.waiting = segments, 0, queued
	}
	e.qdisc, e.dropsPending = q, false
}

// counted returns t as the NIC counts it.
func (e *Estimator) counted(t TxTotals) uint64 {
	if e.countsSegments {
		return t.WireBytes
	}
	return t.SKBBytes
}

// updateScale adapts wirePerCounted to what was transmitted.
func (e *Estimator) updateScale(transmitted TxTotals) {
	switch {
	case e.countsSegments:
		e.wirePerCounted = 1
	case transmitted.SKBBytes > 0:
		e.wirePerCounted += (float64(transmitted.WireBytes)/float64(transmitted.SKBBytes) - e.wirePerCounted) / 4
	}
}

func (e *Estimator) wireBacklog() int { return int(float64(max(e.waiting, 0)) * e.wirePerCounted) }

// acceptedBytes returns the wire bytes of what was transmitted that the member accepted. The estimate was corrected by
// so many counted bytes: down by what was dropped, up by what others transmitted.
func (e *Estimator) acceptedBytes(transmitted TxTotals, corrected int64) uint64 {
	if e.lazyUntil > e.at {
		return transmitted.WireBytes
	}
	return uint64(max(int64(transmitted.WireBytes)+int64(float64(corrected)*e.wirePerCounted), 0))
}

// detectStall finds a NIC that is idle, and one whose TxBytes cannot be true.
func (e *Estimator) detectStall(s *Sample, transmitted TxTotals, left int64) {
	waits := e.qdisc.Backlog > 0
	sends := transmitted.WireBytes > 0
	if s.QdiscRead {
		// With a backlog in the qdisc the NIC may be stopped, unless the qdisc goes on sending.
		waits = s.Qdisc.Backlog > 0
		sends = sends && !waits || s.Qdisc.SentBytes != e.qdisc.SentBytes
	} else if waits {
		sends = false
	}
	trackSince(&e.idleSince, left == 0 && !waits && transmitted.WireBytes == 0, e.at)
	trackSince(&e.stuckSince, left == 0 && e.waiting > 0 && (sends || e.stuckSince != 0), e.at)
	switch {
	case e.idleSince != 0 && e.at-e.idleSince >= idleAfter:
		e.waiting, e.inNIC = 0, 0
	case e.stuckSince != 0 && e.at-e.stuckSince >= stuckAfter && sends:
		e.lazyUntil = e.at + lazyFor
	}
}

// trackSince keeps in *since when a condition began to hold, 0 while it does not.
func trackSince(since *int64, holds bool, now int64) {
	switch {
	case !holds:
		*since = 0
	case *since == 0:
		*since = now
	}
}

// countDetector finds out whether a NIC counts a super-frame as segments or as one frame, by comparing its TxBytes with
// what was transmitted.
type countDetector struct {
	since     int64 // the sums began
	totals    TxTotals
	sent      int64    // TxBytes, and what waits in the qdisc
	pending   TxTotals // transmitted since the qdisc was last read
	txPending int64    // TxBytes since then
}

func (c *countDetector) add(transmitted TxTotals, left int64) {
	c.pending.WireBytes += transmitted.WireBytes
	c.pending.SKBBytes += transmitted.SKBBytes
	c.txPending += left
}

// decide reports whether the NIC counts segments, once that is known. The qdisc's backlog grew by so many bytes since
// it was last read; unclear: frames were dropped, or TxBytes is not up to date.
func (c *countDetector) decide(backlogGrew int64, unclear bool, now int64) (segments, known bool) {
	if !unclear {
		c.totals.WireBytes += c.pending.WireBytes
		c.totals.SKBBytes += c.pending.SKBBytes
		c.sent += c.txPending + backlogGrew
	}
	c.pending, c.txPending = TxTotals{}, 0
	if now-c.since < minCountTime || c.totals.WireBytes-c.totals.SKBBytes < minCountDifference {
		return false, false
	}
	segments = distance(c.sent, c.totals.WireBytes) < distance(c.sent, c.totals.SKBBytes)
	*c = countDetector{since: now}
	return segments, true
}

func distance(a int64, b uint64) int64 {
	d := a - int64(b)
	return max(d, -d)
}
