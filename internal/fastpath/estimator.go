package fastpath

import "time"

// TxTotals is what a member was given in all.
type TxTotals struct {
	WireBytes uint64 // as they are on the wire
	SKBBytes  uint64 // the same with each super-frame as one frame with one header
}

func (g TxTotals) Sub(o TxTotals) TxTotals {
	return TxTotals{g.WireBytes - o.WireBytes, g.SKBBytes - o.SKBBytes}
}

// Sample is what was seen of a member's NIC at a time. Programs go on giving while the kernel is asked, so what was
// given is known before and after: it was no less than before and no more than after when the kernel looked.
type Sample struct {
	At            int64 // ns
	Before, After TxTotals
	Link          LinkStats
	Qdisc         QdiscStats
	QdiscRead     bool // queue was read, after traffic
}

// Estimator estimates what waits for a member: bytes that it was given and that have not left it, in its queueing discipline and in
// the NIC. That is what was given less what the NIC says that it has sent, but:
//
//   - Many NICs and drivers count a super-frame as one frame with one header, others as the frames that it becomes. Which
//     it is shows in the long run.
//   - Others may send by the NIC. Less than what the queueing discipline says does not wait, so the estimate is never too small for
//     long by more than what is in the NIC.
//   - What is dropped never leaves, and nobody tells how many bytes that were. Then the NIC holds what it held before, and what has
//     passed from the queueing discipline to it since and not left.
//   - Some NICs tell what they have sent once a second only. Then what waits in the queueing discipline is all that is known.
//   - When nothing is given, and nothing leaves, nothing waits.
//
// The zero value knows nothing.
type Estimator struct {
	started        bool
	countsSegments bool    // it counts frames as they are on the wire
	wirePerCounted float64 // bytes on the wire, for each that it counts

	at           int64
	totals       TxTotals
	txBytes      uint64
	qdisc        QdiscStats // last read
	dropped      uint64
	dropsPending bool  // frames were dropped since queue was read
	waiting      int64 // bytes that wait, as it counts; under 0 by what was given during the reading
	inNIC        int64 // of these in the NIC, when queue was read

	idleSince, stuckSince int64 // since when nothing moves, and since when nothing is said to leave though something is given; 0 not
	lazyUntil             int64 // until when it is taken for one that tells seldom

	counting countDetector
}

const (
	// idleAfter is how long nothing moves where nothing waits.
	idleAfter = int64(50 * time.Millisecond)
	// stuckAfter is longer than a NIC that is not stopped sends nothing, lazyFor than one that tells seldom is silent.
	stuckAfter, lazyFor = int64(60 * time.Millisecond), int64(10 * time.Second)
	// minCountDifference are bytes by which the two ways to count differ when they are told apart, after countsFor at the earliest:
	// in that time far more is sent than a NIC holds.
	minCountDifference, minCountTime = 512 << 10, int64(4 * time.Second)
)

// Progress is what a member has done since it was last looked at.
type Progress struct {
	Accepted uint64 // that it has taken, without those that were dropped
	Backlog  int    // bytes that wait now; both as they are on the wire
	Dropped  uint64 // frames that were dropped, a super-frame as one
}

// Forget drops what is known: the next sample is the first of another NIC.
func (o *Estimator) Forget() { o.started = false }

// Known reports whether o has a sample.
func (o *Estimator) Known() bool { return o.started }

// restart begins anew.
func (o *Estimator) restart(s *Sample) {
	*o = Estimator{started: true, countsSegments: o.countsSegments, wirePerCounted: max(o.wirePerCounted, 1), at: s.At, totals: s.Before, txBytes: s.Link.TxBytes, dropped: s.Link.TxDropped}
	if s.QdiscRead {
		o.qdisc = s.Qdisc
		o.waiting = int64(s.Qdisc.Backlog)
	}
	o.counting.since = s.At
}

// Update takes in what was seen.
func (o *Estimator) Update(s *Sample) (t Progress) {
	if !s.Link.Present {
		o.started = false
		return t
	}
	if !o.started || s.Link.TxBytes < o.txBytes {
		o.restart(s)
		return Progress{Backlog: o.wireBacklog()}
	}
	gave, left := s.Before.Sub(o.totals), int64(s.Link.TxBytes-o.txBytes)
	between := int64(o.counted(s.After.Sub(s.Before)))
	losses := s.Link.TxDropped - o.dropped
	if s.QdiscRead {
		losses += uint64(s.Qdisc.Drops - o.qdisc.Drops)
	}
	o.at, o.totals, o.txBytes, o.dropped = s.At, s.Before, s.Link.TxBytes, s.Link.TxDropped
	o.dropsPending = o.dropsPending || losses > 0
	o.updateScale(gave)
	now := o.waiting + int64(o.counted(gave)) - left
	o.waiting = now
	o.counting.add(gave, left)
	o.detectStall(s, gave, left)
	if s.QdiscRead {
		o.applyQdisc(s, between)
	}
	o.waiting = max(o.waiting, -between)
	if o.lazyUntil > o.at {
		o.waiting, o.inNIC = int64(float64(o.qdisc.Backlog)/o.wirePerCounted), 0
	}
	return Progress{Accepted: o.acceptedBytes(gave, o.waiting-now), Backlog: o.wireBacklog(), Dropped: losses}
}

// applyQdisc takes in what waits in the queueing discipline.
func (o *Estimator) applyQdisc(s *Sample, between int64) {
	q := s.Qdisc
	queued := int64(float64(q.Backlog) / o.wirePerCounted)
	if o.dropsPending {
		in := o.inNIC
		if q.SentBytes > 0 {
			in += int64(float64(q.SentBytes-o.qdisc.SentBytes)/o.wirePerCounted) - o.counting.txPending
		}
		o.waiting = min(o.waiting, queued+max(in, 0))
		o.totals = s.After // what was given before queue was read is in it
	}
	o.waiting = max(o.waiting, queued-between)
	o.inNIC = max(o.waiting-queued, 0)
	whole, known := o.counting.decide(int64(q.Backlog)-int64(o.qdisc.Backlog), o.dropsPending || o.lazyUntil > o.at, o.at)
	if known && whole != o.countsSegments {
		o.countsSegments, o.inNIC, o.waiting = whole, 0, queued
	}
	o.qdisc, o.dropsPending = q, false
}

// counted is what was given, as the NIC counts.
func (o *Estimator) counted(g TxTotals) uint64 {
	if o.countsSegments {
		return g.WireBytes
	}
	return g.SKBBytes
}

// updateScale has the scale follow what is given.
func (o *Estimator) updateScale(gave TxTotals) {
	switch {
	case o.countsSegments:
		o.wirePerCounted = 1
	case gave.SKBBytes > 0:
		o.wirePerCounted += (float64(gave.WireBytes)/float64(gave.SKBBytes) - o.wirePerCounted) / 4
	}
}

func (o *Estimator) wireBacklog() int { return int(float64(max(o.waiting, 0)) * o.wirePerCounted) }

// acceptedBytes is what the member has taken of what it was given, where the estimate was adjusted by some bytes: what is no
// longer taken to wait was dropped, and what waits beyond what was known was given by others.
func (o *Estimator) acceptedBytes(gave TxTotals, adjusted int64) uint64 {
	if o.lazyUntil > o.at {
		return gave.WireBytes
	}
	return uint64(max(int64(gave.WireBytes)+int64(float64(adjusted)*o.wirePerCounted), 0))
}

// detectStall looks whether what the NIC says can be.
func (o *Estimator) detectStall(s *Sample, gave TxTotals, left int64) {
	waits := o.qdisc.Backlog > 0
	passes := gave.WireBytes > 0
	if s.QdiscRead {
		// Where something waits in the queueing discipline the NIC may be stopped, unless that goes on giving.
		waits = s.Qdisc.Backlog > 0
		passes = passes && !waits || s.Qdisc.SentBytes != o.qdisc.SentBytes
	} else if waits {
		passes = false
	}
	trackSince(&o.idleSince, left == 0 && !waits && gave.WireBytes == 0, o.at)
	trackSince(&o.stuckSince, left == 0 && o.waiting > 0 && (passes || o.stuckSince != 0), o.at)
	switch {
	case o.idleSince != 0 && o.at-o.idleSince >= idleAfter:
		o.waiting, o.inNIC = 0, 0
	case o.stuckSince != 0 && o.at-o.stuckSince >= stuckAfter && passes:
		o.lazyUntil = o.at + lazyFor
	}
}

// trackSince keeps in *from since when something is so.
func trackSince(from *int64, so bool, now int64) {
	switch {
	case !so:
		*from = 0
	case *from == 0:
		*from = now
	}
}

// countDetector finds out how a NIC counts super-frames: by what it says to have sent of what was given.
type countDetector struct {
	since     int64 // of the sums
	totals    TxTotals
	sent      int64    // or waits
	pending   TxTotals // since the queueing discipline was last read
	txPending int64
}

func (c *countDetector) add(gave TxTotals, left int64) {
	c.pending.WireBytes += gave.WireBytes
	c.pending.SKBBytes += gave.SKBBytes
	c.txPending += left
}

// decide reports whether it counts the frames that a super-frame becomes, as soon as that is known. In the queueing
// discipline wait so many bytes more than the last time; unclear says that there were drops.
func (c *countDetector) decide(more int64, unclear bool, now int64) (whole, known bool) {
	if !unclear {
		c.totals.WireBytes += c.pending.WireBytes
		c.totals.SKBBytes += c.pending.SKBBytes
		c.sent += c.txPending + more
	}
	c.pending, c.txPending = TxTotals{}, 0
	if now-c.since < minCountTime || c.totals.WireBytes-c.totals.SKBBytes < minCountDifference {
		return false, false
	}
	whole = distance(c.sent, c.totals.WireBytes) < distance(c.sent, c.totals.SKBBytes)
	*c = countDetector{since: now}
	return whole, true
}

// distance is how far apart two sums are.
func distance(a int64, b uint64) int64 {
	d := a - int64(b)
	return max(d, -d)
}
