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
//   - What is dropped never leaves. Of how many bytes that were nobody tells, so the NIC is taken to hold what it held before.
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
	inside inside

	still, stands int64 // since when nothing moves, and since when nothing is said to leave though something is given; 0 not
	lazy          int64 // until when it is taken for one that tells seldom

	sumGiven given // since it was last looked how it counts
	sumSent  int64 // that left its queueing discipline, or was dropped
}

const (
	// stillFor is how long nothing moves where nothing waits.
	stillFor = int64(50 * time.Millisecond)
	// standsFor is longer than a NIC that is not stopped sends nothing, lazyFor than one that tells seldom is silent.
	standsFor, lazyFor = int64(60 * time.Millisecond), int64(10 * time.Second)
	// tellsApart are bytes by which the two ways to count differ when they are told apart.
	tellsApart = 512 << 10
)

// inside is what was in the NIC itself at the last readings, in bytes. The two numbers of which it is the difference are not read
// at one instant, so it is the least that counts.
type inside struct {
	now, before int64
	n           int
}

func (in *inside) add(bytes int64) {
	if in.n++; in.n > 8 {
		in.before, in.n = in.now, 1
	}
	if bytes = max(bytes, 0); in.n == 1 || bytes < in.now {
		in.now = bytes
	}
}

func (in *inside) least() int64 { return min(in.now, in.before) }

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
	o.sumSent = -int64(o.queue.waiting)
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
	dropped := int64(0)
	o.held = now
	if s.queued {
		queued := int64(float64(s.queue.waiting) / o.scale)
		if o.dirty {
			o.held = min(o.held, queued+o.inside.least())
			dropped = now - o.held
		}
		o.held = max(o.held, queued-between)
		o.inside.add(o.held - queued)
		o.queue, o.dirty = s.queue, false
	}
	o.held = max(o.held, -between)
	o.doubt(gave, left)
	adjusted := o.held - now
	o.count(gave, left+dropped)
	return taken{bytes: o.took(gave, adjusted), waiting: o.waiting(), losses: losses}
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
func (o *outlet) doubt(gave given, left int64) {
	silent := left == 0 && o.queue.waiting == 0
	lasting(&o.still, silent && gave.bytes == 0, o.at)
	lasting(&o.stands, silent && o.held > 0 && (gave.bytes > 0 || o.stands != 0), o.at)
	switch {
	case o.still != 0 && o.at-o.still >= stillFor:
		o.held, o.inside = 0, inside{}
	case o.stands != 0 && o.at-o.stands >= standsFor:
		o.lazy = o.at + lazyFor
	}
	if o.lazy > o.at {
		o.held, o.inside = int64(float64(o.queue.waiting)/o.scale), inside{}
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

// count finds out how the NIC counts super-frames: by what it says to have sent, of what was given and waits no more.
func (o *outlet) count(gave given, left int64) {
	o.sumGiven.bytes += gave.bytes
	o.sumGiven.octets += gave.octets
	o.sumSent += left
	if o.lazy > o.at || o.sumGiven.bytes-o.sumGiven.octets < tellsApart {
		return
	}
	sent := o.sumSent + int64(o.queue.waiting)
	whole := apart(sent, o.sumGiven.bytes) < apart(sent, o.sumGiven.octets)
	if whole != o.whole {
		o.whole, o.inside = whole, inside{}
		o.held = int64(o.queue.waiting)
	}
	o.sumGiven, o.sumSent = given{}, -int64(o.queue.waiting)
}

// apart is how far apart two sums are.
func apart(a int64, b uint64) uint64 {
	if d := a - int64(b); d < 0 {
		return uint64(-d)
	} else {
		return uint64(d)
	}
}
