package modes

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
	begin    int64 // of the interval
	sent     uint64
	waited   int  // at the beginning
	standing bool // frames had to wait at the beginning

	run     int64  // beginning of a run of intervals
	runSent uint64 // in it
	runWait int    // at its beginning
}

const (
	// capacityEvery is the least interval that says something.
	capacityEvery = int64(10 * time.Millisecond)
	// capacityStale ends an interval that says nothing: hardly anything was sent, or the machine stood still.
	capacityStale = int64(100 * time.Millisecond)
	// capacityRun is the time in which a link is proved a liar. One interval is not enough: what waits is known
	// only about, and queues hold something.
	capacityRun = int64(200 * time.Millisecond)
	// What waits is a standing backlog from 1 ms of the rate on, within these bounds: less than that is there
	// between one batch and the next on a member that has nothing to do most of the time.
	standingLeast, standingMost = 16 << 10, 64 << 10
	// creepPart is the part of the estimate by which it grows in a second, 2 %.
	creepPart = 50
)

// Bps is the estimate, 0 while nothing was shown.
func (c *Capacity) Bps() uint64 { return c.bps }

// Link takes in what the link says, 0 for nothing. Another speed is another link: what was shown is forgotten.
func (c *Capacity) Link(bps uint64) {
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
// which fresh were given just before and cannot have left. It reports whether the estimate has changed.
func (c *Capacity) Measure(now int64, sent uint64, waiting, fresh int) bool {
	took := now - c.begin
	if c.begun && took < capacityEvery {
		c.sent += sent
		return false
	}
	sent += c.sent
	begun, before, waited := c.begun, c.standing, c.waited
	c.begun, c.begin, c.sent, c.waited = true, now, 0, waiting
	c.standing = waiting-fresh >= c.standingFrom()
	if !begun || took > capacityStale {
		c.run, c.runSent, c.runWait = now, 0, waiting
		return false
	}
	was, lied := c.bps, c.lies
	c.runSent += sent
	if now-c.run >= capacityRun {
		c.judge(now, waiting)
	}
	left := max(int64(sent)+int64(waited)-int64(waiting), 0)
	seen := bitRate(uint64(left), took)
	// Without a backlog at both ends all that is sure is what came and went.
	least := min(seen, bitRate(sent, took))
	switch {
	case before && c.standing && c.bps == 0:
		c.bps = seen
	case before && c.standing:
		c.bps = (c.bps + seen) / 2 // small virtual machines stand still for some ms now and then
	case c.bps == 0:
	case least > c.bps:
		c.bps = least
	case least >= c.bps/8*7:
		c.bps += uint64(float64(c.bps) / creepPart * float64(took) / float64(time.Second))
	}
	if c.link > 0 && !c.lies {
		c.bps = min(c.bps, c.link)
	}
	return c.bps != was || c.lies != lied
}

// standingFrom is the least that counts as a standing backlog.
func (c *Capacity) standingFrom() int {
	r, _ := c.rate()
	return int(min(max(r/8/1000, standingLeast), standingMost))
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
