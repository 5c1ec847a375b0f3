// SPDX-License-Identifier: MIT

package relay

import (
	"slices"
	"sync/atomic"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/team"
)

const (
	// RecentTime is how long after the adapter sent from a station a received frame from it counts as reflected.
	RecentTime = time.Second
	// MovedAfter is how long after that a received frame from it shows that the station has moved. No switch holds a
	// frame for so long, but the relay may: between MovedAfter and RecentTime the frame is not accepted either.
	MovedAfter = 400 * time.Millisecond
	// recentUnit is the shift from ns to the table's unit of time, 34 ms.
	recentUnit = 25
	// recentAhead are units by which an entry may be later than the reader's clock: the reader may be suspended after
	// it read the clock.
	recentAhead = 128
	recentWays  = 4
	recentSets  = 2048 // more entries than stations that the control loop remembers
)

// recentLocal is a set-associative table of the stations behind the adapter that sent recently. A switch that floods
// reflects their frames to another member. The Plan cannot tell: the first broadcast of a station is reflected before
// the control loop knows the station, and a station that moved to another host must soon be received from there. So
// each sender in the name of a station adds it before, and receivers look it up while the table has recent entries.
type recentLocal struct {
	until atomic.Int64                          // ns of the relay's clock; 0: there are no recent entries
	sets  [recentSets][recentWays]atomic.Uint64 // 48 bits of station, 16 of time
}

// recentKey returns a station as 48 bits: the MAC of an untagged one; with a VLAN scattered over the rest, where no
// other station is by chance.
func recentKey(s frame.Station) uint64 {
	return uint64(s.MAC()) ^ uint64(s.VLAN())*0x9e3779b97f4a7c15>>16
}

func recentSet(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> 53 }

// noteSent records that the adapter sent from s at now. Any goroutine may call it.
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

// findWay returns the way of a station in its set, and the entry there: the station's own, an empty one, or the oldest.
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

// lookupTime returns the time for sinceSent, 0 if the table has no recent entries.
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

// sinceSent returns the least time since the adapter last sent from s, at most RecentTime.
func (g *recentLocal) sinceSent(now int64, s frame.Station) time.Duration {
	if now == 0 {
		return RecentTime
	}
	key := recentKey(s)
	set := &g.sets[recentSet(key)]
	least := RecentTime
	for i := range set { // two concurrent noteSent may have used a way each
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
			set[i].CompareAndSwap(e, 0) // or it would look recent again when the 16 bits wrap
		}
		least = min(least, d)
	}
	return least
}

// sentRecently reports whether the adapter sent from s within RecentTime.
func (g *recentLocal) sentRecently(now int64, s frame.Station) bool {
	return g.sinceSent(now, s) < RecentTime
}

// stationList is a bounded set of stations. It belongs to one goroutine.
type stationList struct {
	stations [64]frame.Station
	n        int
}

// misses reports whether s is not in l and has room there.
func (l *stationList) misses(s frame.Station) bool {
	return l.n < len(l.stations) && !slices.Contains(l.stations[:l.n], s)
}

func (l *stationList) add(s frame.Station) {
	l.stations[l.n] = s
	l.n++
}

// newSources are the stations reported since the Plan in force came.
type newSources struct {
	stationList
	plan *ActivePlan
}

// reportOnce reports s, whose address is unicast, once a Plan, and a bounded number of stations a Plan: the control
// loop answers with a new Plan.
func (l *newSources) reportOnce(q *controlQueue, u *ActivePlan, s frame.Station) {
	if l.plan != u {
		l.plan, l.n = u, 0
	}
	if l.misses(s) && q.report(team.Control{Kind: team.ControlStation, Member: -1, Station: s}) {
		l.add(s)
	}
}

// MoveCandidates are stations behind the adapter from which frames were received recently: they may have moved. It
// belongs to one goroutine, and bounds what a flood of forged sources costs.
type MoveCandidates struct {
	stationList
	start int64 // ns
}

// moveCandidatesInterval is how often a station, and as many as fit, are checked.
const moveCandidatesInterval = time.Second

// Add reports whether s must be checked at now, ns of any clock.
func (l *MoveCandidates) Add(now int64, s frame.Station) bool {
	if now-l.start >= int64(moveCandidatesInterval) || l.n == 0 {
		l.start, l.n = now, 0
	}
	if !l.misses(s) {
		return false
	}
	l.add(s)
	return true
}

// maxQueuedBatches hold more than may wait in the adapter's queue.
const maxQueuedBatches = 128

// moveCheckDelay is how long a station that has not moved has to send. After a standstill of the machine reflected
// frames are as old as the standstill, and a station that is still here sends again within a moment.
const moveCheckDelay = 50 * time.Millisecond

// CheckMoved checks whether s, a station of the Plan in force, has moved: a frame was received from it, and the adapter
// has not sent from it for MovedAfter. If the adapter sends from it within moveCheckDelay, it has not moved.
func (r *Relay) CheckMoved(s frame.Station) {
	time.AfterFunc(moveCheckDelay, func() { r.reportIfMoved(s) })
}

// reportIfMoved reports that a station has moved, unless the adapter sent from it. The transmitter first moves what the
// adapter has sent.
func (r *Relay) reportIfMoved(s frame.Station) {
	t := r.tx
	_, _ = t.between.post(func() { // a relay that is closing reports nothing
		for range maxQueuedBatches {
			if t.take() != nil {
				break
			}
		}
		now := r.clock.now()
		if also := r.sentByPrograms.Load(); r.recentLocal.sinceSent(now, s) < MovedAfter || also != nil && (*also)(s) {
			return
		}
		r.control.report(team.Control{Kind: team.ControlStationMoved, Member: -1, Station: s})
	}, t.wake)
}

// SetSentByPrograms sets f, which reports whether programs sent from a station within MovedAfter; nil: no programs
// send. The transmitter's goroutine calls it, and it must not wait.
func (r *Relay) SetSentByPrograms(f func(frame.Station) bool) {
	if f == nil {
		r.sentByPrograms.Store(nil)
		return
	}
	r.sentByPrograms.Store(&f)
}

// NoteSentByPrograms records when programs last sent from stations, in ns of CLOCK_MONOTONIC.
func (r *Relay) NoteSentByPrograms(sent map[frame.Station]int64) {
	_ = r.DoWithPicker(func(_ *spread.Picker, now int64) {
		for s, at := range sent {
			if time.Duration(now-at) < r.recentLocal.sinceSent(now, s) {
				r.recentLocal.noteSent(at, s)
			}
		}
	})
}
