package fastpath

import "time"

// given is what a member was given in all.
type given struct {
	bytes  uint64 // as they are on the wire
	octets uint64 // the same with each super-frame as one frame with one header
}

func (g given) less(o given) given { return given{g.bytes - o.bytes, g.octets - o.octets} }

// sight is what was seen of a member's NIC at a time. Programs go on giving while the kernel is asked, so what was
// given is known before and after: it was no less than before and no more than after when the kernel looked.
type sight struct {
	at            int64 // ns
	before, after given
	traffic       traffic
	queue         queue
	queued        bool // queue was read, after traffic
}

// outlet estimates what waits for a member: bytes that it was given and that have not left it, in its queueing discipline and in
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
type outlet struct {
	begun bool
	whole bool    // it counts frames as they are on the wire
	scale float64 // bytes on the wire, for each that it counts

	at     int64
	given  given
	sent   uint64
	queue  queue // last read
	losses uint64
	dirty  bool  // frames were dropped since queue was read
	held   int64 // bytes that wait, as it counts; under 0 by what was given during the reading
	inside int64 // of these in the NIC, when queue was read

	still, stands int64 // since when nothing moves, and since when nothing is said to leave though something is given; 0 not
	lazy          int64 // until when it is taken for one that tells seldom

	counting counting
}

const (
	// stillFor is how long nothing moves where nothing waits.
	stillFor = int64(50 * time.Millisecond)
	// standsFor is longer than a NIC that is not stopped sends nothing, lazyFor than one that tells seldom is silent.
	standsFor, lazyFor = int64(60 * time.Millisecond), int64(10 * time.Second)
	// tellsApart are bytes by which the two ways to count differ when they are told apart, after countsFor at the earliest:
	// in that time far more is sent than a NIC holds.
	tellsApart, countsFor = 512 << 10, int64(4 * time.Second)
)

// taken is what a member has done since it was last looked at.
type taken struct {
	bytes   uint64 // that it has taken, without those that were dropped
	waiting int    // bytes that wait now; both as they are on the wire
	losses  uint64 // frames that were dropped, a super-frame as one
}

// begin begins anew.
func (o *outlet) begin(s *sight) {
	*o = outlet{begun: true, whole: o.whole, scale: max(o.scale, 1), at: s.at, given: s.before, sent: s.traffic.sent, losses: s.traffic.abandoned}
	if s.queued {
		o.queue = s.queue
		o.held = int64(s.queue.waiting)
	}
	o.counting.since = s.at
}

// look takes in what was seen.
func (o *outlet) look(s *sight) (t taken) {
	if !s.traffic.known {
		o.begun = false
		return t
	}
	if !o.begun || s.traffic.sent < o.sent {
		o.begin(s)
		return taken{waiting: o.waiting()}
	}
	gave, left := s.before.less(o.given), int64(s.traffic.sent-o.sent)
	between := int64(o.unit(s.after.less(s.before)))
	losses := s.traffic.abandoned - o.losses
	if s.queued {
		losses += uint64(s.queue.dropped - o.queue.dropped)
	}
	o.at, o.given, o.sent, o.losses = s.at, s.before, s.traffic.sent, s.traffic.abandoned
	o.dirty = o.dirty || losses > 0
	o.gauge(gave)
	now := o.held + int64(o.unit(gave)) - left
	o.held = now
	o.counting.add(gave, left)
	o.doubt(s, gave, left)
	if s.queued {
		o.weigh(s, between)
	}
	o.held = max(o.held, -between)
	if o.lazy > o.at {
		o.held, o.inside = int64(float64(o.queue.waiting)/o.scale), 0
	}
	return taken{bytes: o.took(gave, o.held-now), waiting: o.waiting(), losses: losses}
}

// weigh takes in what waits in the queueing discipline.
func (o *outlet) weigh(s *sight, between int64) {
	q := s.queue
	queued := int64(float64(q.waiting) / o.scale)
	if o.dirty {
		in := o.inside
		if q.passed > 0 {
			in += int64(float64(q.passed-o.queue.passed)/o.scale) - o.counting.left
		}
		o.held = min(o.held, queued+max(in, 0))
		o.given = s.after // what was given before queue was read is in it
	}
	o.held = max(o.held, queued-between)
	o.inside = max(o.held-queued, 0)
	whole, known := o.counting.whole(int64(q.waiting)-int64(o.queue.waiting), o.dirty || o.lazy > o.at, o.at)
	if known && whole != o.whole {
		o.whole, o.inside, o.held = whole, 0, queued
	}
	o.queue, o.dirty = q, false
}

// unit is what was given, as the NIC counts.
func (o *outlet) unit(g given) uint64 {
	if o.whole {
		return g.bytes
	}
	return g.octets
}

// gauge has the scale follow what is given.
func (o *outlet) gauge(gave given) {
	switch {
	case o.whole:
		o.scale = 1
	case gave.octets > 0:
		o.scale += (float64(gave.bytes)/float64(gave.octets) - o.scale) / 4
	}
}

func (o *outlet) waiting() int { return int(float64(max(o.held, 0)) * o.scale) }

// took is what the member has taken of what it was given, where the estimate was adjusted by some bytes: what is no
// longer taken to wait was dropped, and what waits beyond what was known was given by others.
func (o *outlet) took(gave given, adjusted int64) uint64 {
	if o.lazy > o.at {
		return gave.bytes
	}
	return uint64(max(int64(gave.bytes)+int64(float64(adjusted)*o.scale), 0))
}

// doubt looks whether what the NIC says can be.
func (o *outlet) doubt(s *sight, gave given, left int64) {
	waits := o.queue.waiting > 0
	passes := gave.bytes > 0
	if s.queued {
		// Where something waits in the queueing discipline the NIC may be stopped, unless that goes on giving.
		waits = s.queue.waiting > 0
		passes = passes && !waits || s.queue.passed != o.queue.passed
	} else if waits {
		passes = false
	}
	lasting(&o.still, left == 0 && !waits && gave.bytes == 0, o.at)
	lasting(&o.stands, left == 0 && o.held > 0 && (passes || o.stands != 0), o.at)
	switch {
	case o.still != 0 && o.at-o.still >= stillFor:
		o.held, o.inside = 0, 0
	case o.stands != 0 && o.at-o.stands >= standsFor && passes:
		o.lazy = o.at + lazyFor
	}
}

// lasting keeps in *from since when something is so.
func lasting(from *int64, so bool, now int64) {
	switch {
	case !so:
		*from = 0
	case *from == 0:
		*from = now
	}
}

// counting finds out how a NIC counts super-frames: by what it says to have sent of what was given.
type counting struct {
	since   int64 // of the sums
	given   given
	sent    int64 // or waits
	pending given // since the queueing discipline was last read
	left    int64
}

func (c *counting) add(gave given, left int64) {
	c.pending.bytes += gave.bytes
	c.pending.octets += gave.octets
	c.left += left
}

// whole reports whether it counts the frames that a super-frame becomes, as soon as that is known. In the queueing
// discipline wait so many bytes more than the last time; unclear says that there were drops.
func (c *counting) whole(more int64, unclear bool, now int64) (whole, known bool) {
	if !unclear {
		c.given.bytes += c.pending.bytes
		c.given.octets += c.pending.octets
		c.sent += c.left + more
	}
	c.pending, c.left = given{}, 0
	if now-c.since < countsFor || c.given.bytes-c.given.octets < tellsApart {
		return false, false
	}
	whole = apart(c.sent, c.given.bytes) < apart(c.sent, c.given.octets)
	*c = counting{since: now}
	return whole, true
}

// apart is how far apart two sums are.
func apart(a int64, b uint64) int64 {
	d := a - int64(b)
	return max(d, -d)
}
