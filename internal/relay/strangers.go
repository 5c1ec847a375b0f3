package relay

import (
	"sync/atomic"
	"time"

	"nicteam/internal/frame"
	"nicteam/team"
)

// strangers are the source addresses told of since the Plan in force came. It belongs to one goroutine.
type strangers struct {
	under *Rule
	macs  [64]frame.MAC
	n     int
}

// met tells of m, a unicast address, once a rule, and of so many a rule only: the control loop answers with a new Plan.
func (s *strangers) met(n *news, u *Rule, m frame.MAC) {
	if s.under != u {
		s.under, s.n = u, 0
	}
	for _, known := range s.macs[:s.n] {
		if known == m {
			return
		}
	}
	if s.n == len(s.macs) {
		return
	}
	if n.tell(team.Control{Kind: team.ControlBehind, Member: -1, MAC: m}) {
		s.macs[s.n] = m
		s.n++
	}
}

const (
	// guestTime is how long an address is ours that the adapter sent from.
	guestTime = time.Second
	// guestUnit is the shift that makes ns the unit in which that is measured, a quarter of a second.
	guestUnit = 28
	guestWays = 4
	guestSets = 2048 // more than the control loop remembers have room
)

// guests are the addresses behind the adapter that have sent lately. What a switch that floods brings back of theirs
// by another member is told by this, and not by the Plan: the very first broadcast of one comes back before the
// control loop has so much as heard of it, and one that has moved to another host is to be heard from there at once. So
// the transmitter's goroutine notes an address here before it sends, and those that receive look here, for as long as
// somebody was noted lately.
type guests struct {
	until atomic.Int64                        // ns of the relay's clock, 0: nobody was noted lately
	seen  [guestSets][guestWays]atomic.Uint64 // address and moment
}

// note takes in that the adapter has sent from m at now. One goroutine calls it.
func (g *guests) note(now int64, m frame.MAC) {
	set := &g.seen[guestSet(m)]
	moment := uint16(now >> guestUnit)
	way, oldest := 0, -1
	for i := range set {
		e := set[i].Load()
		if frame.MAC(e>>16) == m {
			way = i
			break
		}
		// Otherwise it takes the place of nobody, or of the one that was noted longest ago.
		age := int(moment - uint16(e))
		if e == 0 {
			age = 1 << 16
		}
		if age > oldest {
			way, oldest = i, age
		}
	}
	if e := uint64(m)<<16 | uint64(moment); set[way].Load() != e {
		set[way].Store(e)
	}
	if g.until.Load() < now+int64(guestTime)-1<<guestUnit {
		g.until.Store(now + int64(guestTime))
	}
}

// lately returns the time for has, 0 when that would find nobody.
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

// has reports whether the adapter has sent from m lately.
func (g *guests) has(now int64, m frame.MAC) bool {
	if now == 0 {
		return false
	}
	set := &g.seen[guestSet(m)]
	for i := range set {
		if e := set[i].Load(); frame.MAC(e>>16) == m {
			return uint16(now>>guestUnit)-uint16(e) <= uint16(guestTime>>guestUnit)+1
		}
	}
	return false
}

func guestSet(m frame.MAC) uint64 { return uint64(m) * 0x9e3779b97f4a7c15 >> 53 }
