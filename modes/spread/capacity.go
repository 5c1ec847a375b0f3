package spread

import "time"

// Capacity estimates what a member carries, from readings of what waits for it: the speed that a link tells is a
// lie wherever something behind it is slower, and some drivers tell less than they carry. Where frames wait
// at both ends of an interval the member was busy all along, and what left is what it can.
//
// The zero value knows nothing. It reads no clock; times are ns of any clock that only moves forward.
type Capacity struct {
	bps  uint64 // 0 never shown
	link uint64 // bit/s, 0 unknown
	lies bool   // it carries more than the link says

	begun    bool
	last     int64 // of the readings
	begin    int64 // of the interval
	sent     uint64
	waited   int  // at the beginning
	standing bool // frames had to wait from the beginning on

	lower bool // the last interval has shown much less than the estimate

	run     int64  // beginning of a run of readings
	runSent uint64 // in it
	runWait int    // at its beginning
}

const (
	// capacityEvery is the least interval that says something. What waits is known only about, so where much
	// does an interval goes on until several times as much has left, or it is capacityMost.
	capacityEvery, capacityMost = int64(10 * time.Millisecond), int64(60 * time.Millisecond)
	capacityTimes               = 2
	// capacityStale ends an interval that says nothing: hardly anything was sent, or the machine stood still.
	capacityStale = int64(100 * time.Millisecond)
	// capacityRun is the time in which a link is proved a liar. One interval is not enough: queues hold something.
	capacityRun = int64(200 * time.Millisecond)
	// standingLeast is a standing backlog, in bytes: frames that have waited for a ms or two. Less is there on a
	// member that has nothing to do most of the time.
	standingLeast = 16 << 10
	// creepPart is the part of the estimate by which it grows in a second, 2 %.
	creepPart = 50
)

// Bps is the estimate, 0 while nothing was shown.
func (c *Capacity) Bps() uint64 { return c.bps }

// SetLink takes in what the link says, 0 for nothing. Another speed is another link: what was shown is forgotten.
func (c *Capacity) SetLink(bps uint64) {
	if bps != c.link {
		*c = Capacity{link: bps}
	}
}

// rate is what to reckon with, and where it comes from.
func (c *Capacity) rate() (uint64, RateSource) {
	switch {
	case c.bps > 0 && (c.bps < c.link || c.link == 0 || c.lies):
		return c.bps, RateMeasured
	case c.link > 0:
		return c.link, RateLink
	}
	return 0, RateAssumed
}

// Measure takes in a reading: bytes that were given to the member since the last one, and bytes that wait, of
// which fresh were given in the last ms or two. It reports whether the estimate has changed.
func (c *Capacity) Measure(now int64, sent uint64, waiting, fresh int) bool {
	stands := waiting-fresh >= standingLeast
	if !c.begun || now-c.last > capacityStale {
		c.begun, c.run, c.runSent, c.runWait = true, now, 0, waiting
		c.start(now, waiting, stands)
		return false
	}
	c.last = now
	c.sent += sent
	c.runSent += sent
	was, lied := c.bps, c.lies
	if now-c.run >= capacityRun {
		c.judge(now, waiting)
	}
	took := now - c.begin
	left := max(int64(c.sent)+int64(c.waited)-int64(waiting), 0)
	full := c.standing && stands
	if took >= capacityEvery && (!full || left >= capacityTimes*int64(waiting) || took >= capacityMost) {
		c.take(bitRate(uint64(left), took), bitRate(c.sent, took), took, full)
		c.start(now, waiting, stands)
	}
	return c.bps != was || c.lies != lied
}

// grow has the estimate grow for so many ns in which nothing confirmed it, up to what the link says or else most. It
// reports whether it did.
func (c *Capacity) grow(took int64, most uint64) bool {
	if c.link > 0 {
		most = c.link
	}
	if c.bps == 0 || c.bps >= most {
		return false
	}
	c.bps = min(c.bps+uint64(float64(c.bps)/doubtPart*float64(took)/float64(doubtEvery))+1, most)
	return true
}

// start begins an interval.
func (c *Capacity) start(now int64, waiting int, stands bool) {
	c.last, c.begin, c.sent, c.waited, c.standing = now, now, 0, waiting, stands
}

// take takes in what an interval has shown: bit/s that left, and that came.
func (c *Capacity) take(left, came uint64, took int64, full bool) {
	// Without a backlog all that is sure is what came and went.
	least := min(left, came)
	lower := full && left < c.bps/2
	switch {
	case full && (c.bps == 0 || lower && c.lower):
		c.bps = left
	case full && (left < c.bps/4*3 || left > c.bps/4*5):
		c.bps = (c.bps + left) / 2 // small virtual machines stand still for some ms now and then
	case full:
		c.bps = (3*c.bps + left) / 4
	case c.bps == 0:
	case least > c.bps:
		c.bps = least
	case least >= c.bps/8*7:
		c.bps += uint64(float64(c.bps) / creepPart * float64(took) / float64(time.Second))
	}
	c.lower = lower
	if c.link > 0 && !c.lies {
		c.bps = min(c.bps, c.link)
	}
}

// judge ends a run: did the member carry more than the link says?
func (c *Capacity) judge(now int64, waiting int) {
	left := max(int64(c.runSent)+int64(c.runWait)-int64(waiting), 0)
	seen := bitRate(uint64(left), now-c.run)
	c.run, c.runSent, c.runWait = now, 0, waiting
	if c.link > 0 && seen > c.link/8*9 {
		c.lies = true
		c.bps = max(c.bps, seen)
	}
}

// bitRate returns bit/s for bytes in ns.
func bitRate(bytes uint64, took int64) uint64 {
	return uint64(float64(bytes) * 8 * float64(time.Second) / float64(took))
}
