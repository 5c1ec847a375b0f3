// SPDX-License-Identifier: MIT

package spread

import "time"

// Capacity estimates what a member carries from readings of its queue. Link speed is wrong wherever something behind
// the link is slower, and some drivers report less than they carry. If frames wait at both ends of an interval the
// member was busy all along, and what left is its capacity.
//
// The zero value has no estimate. It reads no clock; times are ns of any clock that only moves forward.
type Capacity struct {
	bps  uint64 // 0 no estimate
	link uint64 // bit/s, 0 unknown
	more bool   // it carries more than the link says

	begun    bool
	last     int64 // reading
	begin    int64 // of the interval
	sent     uint64
	waited   int  // at the beginning
	standing bool // a standing backlog from the beginning on

	lower bool // the last interval showed much less than the estimate

	run     int64  // beginning of a run of intervals
	runSent uint64 // in it
	runWait int    // at its beginning
}

const (
	// capacityEvery is the shortest interval that counts. Backlogs are known roughly, so where much waits an interval
	// lasts until capacityTimes as much has left, or for capacityMost.
	capacityEvery, capacityMost = int64(10 * time.Millisecond), int64(60 * time.Millisecond)
	capacityTimes               = 2
	// capacityStale ends an interval without a result: hardly anything was sent, or the machine stood still.
	capacityStale = int64(100 * time.Millisecond)
	// capacityRun is the time that shows more than link speed. One interval is not enough: queues hold something.
	capacityRun = int64(200 * time.Millisecond)
	// standingLeast is the least standing backlog, in bytes that have waited for a ms or two. Less waits on a member
	// that is idle most of the time.
	standingLeast = 16 << 10
	// creepPart: the estimate of a busy member without backlog grows by estimate/creepPart a second, 2 %.
	creepPart = 50
)

// Bps returns the estimate in bit/s, 0 for none.
func (c *Capacity) Bps() uint64 { return c.bps }

// SetLink sets the link's speed in bit/s, 0 unknown. Another speed is another link: the estimate is dropped.
func (c *Capacity) SetLink(bps uint64) {
	if bps != c.link {
		*c = Capacity{link: bps}
	}
}

// rate returns the rate to use, and its source.
func (c *Capacity) rate() (uint64, RateSource) {
	switch {
	case c.bps > 0 && (c.bps < c.link || c.link == 0 || c.more):
		return c.bps, RateMeasured
	case c.link > 0:
		return c.link, RateLink
	}
	return 0, RateAssumed
}

// Measure reads the member's queue: bytes sent to it since the last reading, and bytes that wait, of which fresh were
// queued in the last ms or two. It reports whether the estimate has changed.
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
	was, wasMore := c.bps, c.more
	if now-c.run >= capacityRun {
		c.endRun(now, waiting)
	}
	took := now - c.begin
	left := max(int64(c.sent)+int64(c.waited)-int64(waiting), 0)
	full := c.standing && stands
	if took >= capacityEvery && (!full || left >= capacityTimes*int64(waiting) || took >= capacityMost) {
		c.endInterval(bitRate(uint64(left), took), bitRate(c.sent, took), took, full)
		c.start(now, waiting, stands)
	}
	return c.bps != was || c.more != wasMore
}

// grow lets the estimate grow for so many ns without confirmation, up to link speed or else most. It reports whether it
// did.
func (c *Capacity) grow(took int64, most uint64) bool {
	if c.link > 0 {
		most = c.link
	}
	if c.bps == 0 || c.bps >= most {
		return false
	}
	c.bps = min(c.bps+uint64(float64(c.bps)/recoverPart*float64(took)/float64(recoverEvery))+1, most)
	return true
}

// start begins an interval.
func (c *Capacity) start(now int64, waiting int, stands bool) {
	c.last, c.begin, c.sent, c.waited, c.standing = now, now, 0, waiting, stands
}

// endInterval updates the estimate by an interval: bit/s that left, and that came.
func (c *Capacity) endInterval(left, came uint64, took int64, full bool) {
	// Without a backlog only what came and left is sure.
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
	if c.link > 0 && !c.more {
		c.bps = min(c.bps, c.link)
	}
}

// endRun checks whether the member carries more than the link says.
func (c *Capacity) endRun(now int64, waiting int) {
	left := max(int64(c.runSent)+int64(c.runWait)-int64(waiting), 0)
	seen := bitRate(uint64(left), now-c.run)
	c.run, c.runSent, c.runWait = now, 0, waiting
	if c.link > 0 && seen > c.link/8*9 {
		c.more = true
		c.bps = max(c.bps, seen)
	}
}

// bitRate returns bit/s for bytes in ns.
func bitRate(bytes uint64, took int64) uint64 {
	return uint64(float64(bytes) * 8 * float64(time.Second) / float64(took))
}
