// SPDX-License-Identifier: MIT

package traffic

import (
	"slices"
	"time"

	"nicteam/internal/frame"
)

const (
	fineKeep   = 3600 // records of about 1 s
	coarseKeep = 8640 // records of about 10 s
	coarseMs   = 10_000
	// The memory of both rings in bytes.
	fineBudget   = 2 << 20
	coarseBudget = 11 << 19

	// shortestInterval is the least time between two readings; an earlier one is ignored.
	shortestInterval = 500 * time.Millisecond
	// longestInterval is the longest time between two readings whose difference is shown as a rate.
	longestInterval = 5 * time.Second
	// clockJump is the largest difference between wall clock and monotonic clock from one reading to the next.
	clockJump = 250 * time.Millisecond
	// clockPatience is how long the clock may be behind the newest record before that is dropped. A host without a
	// battery-backed clock starts in the past until NTP sets it, and must not lose its history by that.
	clockPatience = 2 * time.Minute
)

// Totals are the counters of a member.
type Totals struct {
	Name    string
	Account int // the member id in the data path: totals of different ones are not compared
	RX, TX  [frame.Protocols]Count
}

// History is what a team carried. Make it with New or Read.
type History struct {
	fine, coarse ring
	names        []string
	bases        []base // by name
	coarsening   record // the next coarse record, not yet complete
	record       record // of Add, for its memory

	reading     uint64        // number of the last one, 0 none
	readAt      int64         // when that was
	readUp      time.Duration // by the monotonic clock
	clockBehind time.Duration // for how long the clock has been behind the newest record
}

// base is the last reading of a member, for the difference.
type base struct {
	reading uint64 // its number; only the last one counts
	account int
	totals  counts
}

// New returns an empty history.
func New() *History {
	return &History{fine: ring{keep: fineKeep, budget: fineBudget},
		coarse: ring{coarse: true, keep: coarseKeep, budget: coarseBudget}}
}

// Add adds the totals of all present members at now, about once a second; members is borrowed. up is a monotonic clock,
// of any start: it gives the time since the last reading whatever happened to the wall clock. What moved before the
// first reading of a member is not counted. Totals that have become less were reset: the second is left out, since a
// wrong peak is worse.
func (h *History) Add(now time.Time, up time.Duration, members []Totals) {
	at, took := now.UnixMilli(), up-h.readUp
	if h.reading > 0 && took >= 0 && took < shortestInterval {
		return
	}
	if h.reading == 0 || took < 0 || took > longestInterval {
		h.rebase(at, up, members)
		return
	}
	r := &h.record
	r.reset(h.readAt, at)
	if d := time.Duration(r.ms())*time.Millisecond - took; d < -clockJump || d > clockJump {
		r.start = at - took.Milliseconds()
	}
	fits := r.start > 0 && h.fitsClock(r.start, took) // a clock before 1970 is not set
	for i := range members {
		if fits {
			h.addMember(r, &members[i])
		}
	}
	h.rebase(at, up, members)
	if !fits {
		return
	}
	all := r.moved()
	r.peak = all.rates(r.ms())
	h.fine.add(r)
	h.coarsen(r)
}

// fitsClock reports whether a record may start at start. Newer records are dropped when the clock stays behind them.
func (h *History) fitsClock(start int64, took time.Duration) bool {
	if start >= h.end() {
		h.clockBehind = 0
		return true
	}
	if h.clockBehind += took; h.clockBehind < clockPatience {
		return false
	}
	h.clockBehind = 0
	h.flush()
	h.fine.cut(start)
	h.coarse.cut(start)
	return true
}

func (h *History) end() int64 { return max(h.fine.end(), h.coarse.end(), h.coarsening.end) }

// rebase keeps a reading for the next difference.
func (h *History) rebase(at int64, up time.Duration, members []Totals) {
	h.readAt, h.readUp = at, up
	h.reading++
	for i := range members {
		if m := h.memberIndex(members[i].Name); m >= 0 {
			h.bases[m] = base{h.reading, members[i].Account, counts{members[i].RX, members[i].TX}}
		}
	}
}

// addMember adds to r what a member carried since the last reading.
func (h *History) addMember(r *record, t *Totals) {
	m := slices.Index(h.names, t.Name)
	if m < 0 || h.bases[m].reading != h.reading || h.bases[m].account != t.Account {
		return
	}
	diff := counts{t.RX, t.TX}
	for d := range diff {
		for p := range diff[d] {
			n, was := &diff[d][p], h.bases[m].totals[d][p]
			if n.Bytes < was.Bytes || n.Frames < was.Frames {
				return // the counters were reset
			}
			n.Bytes -= was.Bytes
			n.Frames -= was.Frames
		}
	}
	if diff == (counts{}) {
		return
	}
	p := r.memberPart(m)
	p.moved = diff
	p.peak = diff.rates(r.ms())
}

// coarsen adds a fine record to the coarse one.
func (h *History) coarsen(r *record) {
	g := &h.coarsening
	if g.end != r.start {
		h.flush()
	}
	if g.end == 0 {
		g.reset(r.start, r.start)
	}
	g.append(r)
	if g.start/coarseMs != g.end/coarseMs {
		h.flush()
	}
}

// flush completes the coarse record.
func (h *History) flush() {
	if h.coarsening.end != 0 {
		h.coarse.add(&h.coarsening)
		h.coarsening.reset(0, 0)
	}
}

// memberIndex returns the index of a name, and adds it. Names without records make room for new ones; when all are in
// use it returns -1, and what the member carries is not kept.
func (h *History) memberIndex(name string) int {
	if i := slices.Index(h.names, name); i >= 0 {
		return i
	}
	if len(h.names) < maxNames {
		h.names = append(h.names, name)
		h.bases = append(h.bases, base{})
		return len(h.names) - 1
	}
	for i := range h.names {
		gathered := slices.ContainsFunc(h.coarsening.parts, func(p part) bool { return p.member == i })
		if h.bases[i].reading+1 < h.reading && !gathered && !h.fine.hasMember(i) && !h.coarse.hasMember(i) {
			h.names[i], h.bases[i] = name, base{}
			return i
		}
	}
	return -1
}

// Size is the memory of the records in bytes.
func (h *History) Size() (n int) {
	for _, g := range []*ring{&h.fine, &h.coarse} {
		n += g.bytes
		if g.open {
			n += g.blocks[len(g.blocks)-1].size()
		}
	}
	return n
}
