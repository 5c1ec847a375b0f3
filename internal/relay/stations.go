package relay

import (
	"sync/atomic"
	"time"

	"nicteam/internal/frame"
)

const (
	// GuestTime is how long after the adapter has sent from a station what comes in from it is taken for that come
	// back.
	GuestTime = time.Second
	// ElsewhereAfter is how long after that what comes in from it is a sign that it has moved. No switch holds a
	// frame for so long, but the relay may: what comes between the two is not taken in all the same.
	ElsewhereAfter = 400 * time.Millisecond
	// guestUnit is the shift that makes ns the unit in which that is measured, 34 ms.
	guestUnit = 25
	// guestAhead is so many units that one may have been noted in after somebody has read the clock: it may stand
	// still.
	guestAhead = 128
	guestWays  = 4
	guestSets  = 2048 // more than the control loop remembers have room
)

// guests are the stations behind the adapter that have sent lately. What a switch that floods brings back of theirs
// by another member is told by this, and not by the Plan: the very first broadcast of one comes back before the
// control loop has so much as heard of it, and one that has moved to another host is to be heard from there soon. So
// whoever sends in the name of a station notes it here before, and those that receive look here, for as long as
// somebody was noted lately.
type guests struct {
	until atomic.Int64                        // ns of the relay's clock, 0: nobody was noted lately
	seen  [guestSets][guestWays]atomic.Uint64 // station and moment
}

// guestKey is a station as the table has it. That of an untagged one is its MAC; VLANs scatter over the rest, which
// nobody has by chance.
func guestKey(s frame.Station) uint64 {
	return uint64(s.MAC()) ^ uint64(s.VLAN())*0x9e3779b97f4a7c15>>16
}

func guestSet(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> 53 }

// note takes in that the adapter has sent from s at now. Any goroutine may call it.
func (g *guests) note(now int64, s frame.Station) {
	key := guestKey(s)
	set := &g.seen[guestSet(key)]
	moment := uint16(now >> guestUnit)
	for e := key<<16 | uint64(moment); ; {
		way, was := place(set, key, moment)
		if was == e || set[way].CompareAndSwap(was, e) {
			break
		}
	}
	if g.until.Load() < now+int64(GuestTime)-1<<guestUnit {
		g.until.Store(now + int64(GuestTime))
	}
}

// place returns where a station stands in its set, and what stands there: its own, or the place of nobody, or of the
// one that was noted longest ago.
func place(set *[guestWays]atomic.Uint64, key uint64, moment uint16) (way int, was uint64) {
	oldest := -1
	for i := range set {
		e := set[i].Load()
		if e>>16 == key {
			return i, e
		}
		age := int(moment - uint16(e))
		if e == 0 {
			age = 1 << 16
		}
		if age > oldest {
			way, was, oldest = i, e, age
		}
	}
	return way, was
}

// lately returns the time for since, 0 when that would find nobody.
func (g *guests) lately(c clock) int64 {
	until := g.until.Load()
	if until == 0 {
		return 0
	}
	if now := c.now(); now < until {
		return now
	}
	g.until.CompareAndSwap(until, 0)
	return 0
}

// since is the least time since the adapter last sent from s, GuestTime when it has not lately.
func (g *guests) since(now int64, s frame.Station) time.Duration {
	if now == 0 {
		return GuestTime
	}
	key := guestKey(s)
	set := &g.seen[guestSet(key)]
	least := GuestTime
	for i := range set { // two that noted it at once may have taken a place each
		e := set[i].Load()
		if e>>16 != key || e == 0 {
			continue
		}
		units := uint16(now>>guestUnit) - uint16(e)
		if units == 0 || -units <= guestAhead {
			return 0
		}
		d := time.Duration(units-1) << guestUnit
		if d >= GuestTime {
			set[i].CompareAndSwap(e, 0) // or it would look young again when the moments have come round
		}
		least = min(least, d)
	}
	return least
}

// has reports whether the adapter has sent from s lately.
func (g *guests) has(now int64, s frame.Station) bool { return g.since(now, s) < GuestTime }
