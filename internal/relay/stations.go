package relay

import (
	"sync/atomic"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/team"
)

const (
	// RecentTime is how long after the adapter has sent from a station what comes in from it is taken for that come
	// back.
	RecentTime = time.Second
	// MovedAfter is how long after that what comes in from it is a sign that it has moved. No switch holds a
	// frame for so long, but the relay may: what comes between the two is not taken in all the same.
	MovedAfter = 400 * time.Millisecond
	// recentUnit is the shift that makes ns the unit in which that is measured, 34 ms.
	recentUnit = 25
	// recentAhead is so many units that one may have been noted in after somebody has read the clock: it may stand
	// still.
	recentAhead = 128
	recentWays  = 4
	recentSets  = 2048 // more than the control loop remembers have room
)

// recentLocal are the stations behind the adapter that have sent lately. What a switch that floods brings back of theirs
// by another member is told by this, and not by the Plan: the very first broadcast of one comes back before the
// control loop has so much as heard of it, and one that has moved to another host is to be heard from there soon. So
// whoever sends in the name of a station notes it here before, and those that receive look here, for as long as
// somebody was noted lately.
type recentLocal struct {
	until atomic.Int64                          // ns of the relay's clock, 0: nobody was noted lately
	sets  [recentSets][recentWays]atomic.Uint64 // station and moment
}

// recentKey is a station as the table has it. That of an untagged one is its MAC; VLANs scatter over the rest, which
// nobody has by chance.
func recentKey(s frame.Station) uint64 {
	return uint64(s.MAC()) ^ uint64(s.VLAN())*0x9e3779b97f4a7c15>>16
}

func recentSet(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> 53 }

// noteSent takes in that the adapter has sent from s at now. Any goroutine may call it.
func (g *recentLocal) noteSent(now int64, s frame.Station) {
	key := recentKey(s)
	set := &g.sets[recentSet(key)]
	moment := uint16(now >> recentUnit)
	for e := key<<16 | uint64(moment); ; {
		way, was := findWay(set, key, moment)
		if was == e || set[way].CompareAndSwap(was, e) {
			break
		}
	}
	if g.until.Load() < now+int64(RecentTime)-1<<recentUnit {
		g.until.Store(now + int64(RecentTime))
	}
}

// findWay returns where a station stands in its set, and what stands there: its own, or the place of nobody, or of the
// one that was noted longest ago.
func findWay(set *[recentWays]atomic.Uint64, key uint64, moment uint16) (way int, was uint64) {
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

// lookupTime returns the time for since, 0 when that would find nobody.
func (g *recentLocal) lookupTime(c clock) int64 {
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

// sinceSent is the least time since the adapter last sent from s, RecentTime when it has not lately.
func (g *recentLocal) sinceSent(now int64, s frame.Station) time.Duration {
	if now == 0 {
		return RecentTime
	}
	key := recentKey(s)
	set := &g.sets[recentSet(key)]
	least := RecentTime
	for i := range set { // two that noted it at once may have taken a place each
		e := set[i].Load()
		if e>>16 != key || e == 0 {
			continue
		}
		units := uint16(now>>recentUnit) - uint16(e)
		if units == 0 || -units <= recentAhead {
			return 0
		}
		d := time.Duration(units-1) << recentUnit
		if d >= RecentTime {
			set[i].CompareAndSwap(e, 0) // or it would look young again when the moments have come round
		}
		least = min(least, d)
	}
	return least
}

// sentRecently reports whether the adapter has sent from s lately.
func (g *recentLocal) sentRecently(now int64, s frame.Station) bool {
	return g.sinceSent(now, s) < RecentTime
}

// newSources are the stations told of since the Plan in force came. It belongs to one goroutine.
type newSources struct {
	rule     *Rule
	stations [64]frame.Station
	n        int
}

// report tells of s, whose address is unicast, once a rule, and of so many a rule only: the control loop answers with a
// new Plan.
func (l *newSources) report(n *controlQueue, u *Rule, s frame.Station) {
	if l.rule != u {
		l.rule, l.n = u, 0
	}
	for _, known := range l.stations[:l.n] {
		if known == s {
			return
		}
	}
	if l.n == len(l.stations) {
		return
	}
	if n.report(team.Control{Kind: team.ControlBehind, Member: -1, Station: s}) {
		l.stations[l.n] = s
		l.n++
	}
}

// MoveCandidates are the stations behind the adapter that frames have come in from lately. It belongs to one goroutine, and
// keeps a flood of forged ones from costing more than looking.
type MoveCandidates struct {
	start    int64 // ns
	stations [64]frame.Station
	n        int
}

// moveCandidatesInterval is how often a station is worth a look, and so many in that time.
const moveCandidatesInterval = time.Second

// Add reports whether s is worth a look at now, ns of any clock.
func (l *MoveCandidates) Add(now int64, s frame.Station) bool {
	if now-l.start >= int64(moveCandidatesInterval) || l.n == 0 {
		l.start, l.n = now, 0
	}
	for _, known := range l.stations[:l.n] {
		if known == s {
			return false
		}
	}
	if l.n == len(l.stations) {
		return false
	}
	l.stations[l.n] = s
	l.n++
	return true
}

// maxQueuedBatches are more than all that may wait in the adapter's queue takes.
const maxQueuedBatches = 128

// moveCheckDelay is how long whoever is here has to say so. After a standstill of the machine frames that came back are
// as old as that took, and whoever goes on sending does so in a moment.
const moveCheckDelay = 50 * time.Millisecond

// CheckMoved takes in that a frame has come from s, a station of the Plan in force, and the adapter has not sent from it
// for MovedAfter. Whoever the adapter sends from in the next moment is here.
func (r *Relay) CheckMoved(s frame.Station) {
	time.AfterFunc(moveCheckDelay, func() { r.reportIfMoved(s) })
}

// reportIfMoved tells that a station is elsewhere unless it is here. The transmitter first takes what the adapter has sent
// meanwhile.
func (r *Relay) reportIfMoved(s frame.Station) {
	t := r.tx
	_, _ = t.between.post(func() { // a relay that is about to be closed tells nobody
		for range maxQueuedBatches {
			if t.take() != nil {
				break
			}
		}
		now := r.clock.now()
		if also := r.sentByPrograms.Load(); r.recentLocal.sinceSent(now, s) < MovedAfter || also != nil && (*also)(s) {
			return
		}
		r.control.report(team.Control{Kind: team.ControlElsewhere, Member: -1, Station: s})
	}, t.queue.Wake)
}

// SetSentByPrograms says who else knows whom the adapter has sent from, f: whether it has from a station within MovedAfter.
// It is called by the transmitter's goroutine and must not wait; nil: nobody does.
func (r *Relay) SetSentByPrograms(f func(frame.Station) bool) {
	if f == nil {
		r.sentByPrograms.Store(nil)
		return
	}
	r.sentByPrograms.Store(&f)
}

// NoteSentByPrograms takes in when the adapter has last sent from stations, at moments of CLOCK_MONOTONIC, by programs.
func (r *Relay) NoteSentByPrograms(sent map[frame.Station]int64) {
	_ = r.DoWithPicker(func(_ *spread.Picker, now int64) {
		for s, at := range sent {
			if time.Duration(now-at) < r.recentLocal.sinceSent(now, s) {
				r.recentLocal.noteSent(at, s)
			}
		}
	})
}
