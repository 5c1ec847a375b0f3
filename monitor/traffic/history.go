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
	// The budgets are for both rings the most that they take in memory.
	fineBudget   = 2 << 20
	coarseBudget = 11 << 19

	// shortest is the least time between two readings; one that comes sooner is not taken.
	shortest = 500 * time.Millisecond
	// longest is how late a reading may be. What moved in a longer time is not known well enough to be shown as rates.
	longest = 5 * time.Second
	// jump is how far apart the clock on the wall and the one that only counts may have gone between two readings.
	jump = 250 * time.Millisecond
	// patience is how long a clock may be before what is kept already. A machine without a clock of its own starts in the past and is
	// told the time soon: its history must not be lost for that.
	patience = 2 * time.Minute
)

// Totals are what the data path has counted of a member, since any time.
type Totals struct {
	Name    string
	Account int // which of the data path's accounts it is: those of different ones are not compared
	RX, TX  [frame.Protocols]Count
}

// History is what a team carried. The zero value is not one; see New and Read.
type History struct {
	fine, coarse ring
	names        []string
	bases        []base // by name
	gathered     record // what is to become the next coarse record, if any
	now          record // of Add, for its room

	sample uint64        // number of the last reading, 0 for none
	at     int64         // when that was
	up     time.Duration // and by the clock that only counts
	early  time.Duration // for how long the clock has been before what is kept
}

// base is a reading of a member to compare the next one with.
type base struct {
	sample  uint64 // when it was read; one that is not of the last reading is worth nothing
	account int
	at      counts
}

// New returns a history of nothing.
func New() *History {
	return &History{fine: ring{keep: fineKeep, budget: fineBudget}, coarse: ring{coarse: true, keep: coarseKeep, budget: coarseBudget}}
}

// Add takes the totals of all members that there are at the moment now, about once a second; it keeps nothing of members.
// up is a clock that only counts, from any beginning: it says how long ago the last reading was whatever was done to the
// clock of now. What moved before the first reading of a member is not counted, and where totals have become less the member
// has begun anew: better a second that lacks something than a peak that never was.
func (h *History) Add(now time.Time, up time.Duration, members []Totals) {
	at, took := now.UnixMilli(), up-h.up
	if h.sample > 0 && took >= 0 && took < shortest {
		return
	}
	if h.sample == 0 || took < 0 || took > longest {
		h.rebase(at, up, members)
		return
	}
	r := &h.now
	r.reset(h.at, at)
	if d := time.Duration(r.ms())*time.Millisecond - took; d < -jump || d > jump {
		r.start = at - took.Milliseconds()
	}
	fits := r.start > 0 && h.fits(r.start, took) // a clock before 1970 is none
	for i := range members {
		if fits {
			h.moved(r, &members[i])
		}
	}
	h.rebase(at, up, members)
	if !fits {
		return
	}
	all := r.moved()
	r.peak = all.rates(r.ms())
	h.fine.add(r)
	h.gather(r)
}

// fits reports whether a record may begin at start, and makes room for it where the clock stays behind what is kept.
func (h *History) fits(start int64, took time.Duration) bool {
	if start >= h.end() {
		h.early = 0
		return true
	}
	if h.early += took; h.early < patience {
		return false
	}
	h.early = 0
	h.flush()
	h.fine.cut(start)
	h.coarse.cut(start)
	return true
}

func (h *History) end() int64 { return max(h.fine.end(), h.coarse.end(), h.gathered.end) }

// rebase remembers a reading for the next one.
func (h *History) rebase(at int64, up time.Duration, members []Totals) {
	h.at, h.up = at, up
	h.sample++
	for i := range members {
		if m := h.member(members[i].Name); m >= 0 {
			h.bases[m] = base{h.sample, members[i].Account, counts{members[i].RX, members[i].TX}}
		}
	}
}

// moved puts into r what a member has carried since the last reading.
func (h *History) moved(r *record, t *Totals) {
	m := slices.Index(h.names, t.Name)
	if m < 0 || h.bases[m].sample != h.sample || h.bases[m].account != t.Account {
		return
	}
	diff := counts{t.RX, t.TX}
	for d := range diff {
		for p := range diff[d] {
			n, was := &diff[d][p], h.bases[m].at[d][p]
			if n.Bytes < was.Bytes || n.Frames < was.Frames {
				return // it has begun anew
			}
			n.Bytes -= was.Bytes
			n.Frames -= was.Frames
		}
	}
	if diff == (counts{}) {
		return
	}
	p := r.ofMember(m)
	p.moved = diff
	p.peak = diff.rates(r.ms())
}

// gather makes coarse records of fine ones.
func (h *History) gather(r *record) {
	g := &h.gathered
	if g.end != r.start {
		h.flush()
	}
	if g.end == 0 {
		g.reset(r.start, r.start)
	}
	g.extend(r)
	if g.start/coarseMs != g.end/coarseMs {
		h.flush()
	}
}

// flush ends the coarse record that is being gathered.
func (h *History) flush() {
	if h.gathered.end != 0 {
		h.coarse.add(&h.gathered)
		h.gathered.reset(0, 0)
	}
}

// member is the index of a name, which becomes known. Names of which nothing is kept are forgotten for new ones; where all
// are in use it is -1, and what the member carries is not kept until one is free.
func (h *History) member(name string) int {
	if i := slices.Index(h.names, name); i >= 0 {
		return i
	}
	if len(h.names) < maxNames {
		h.names = append(h.names, name)
		h.bases = append(h.bases, base{})
		return len(h.names) - 1
	}
	for i := range h.names {
		gathered := slices.ContainsFunc(h.gathered.parts, func(p part) bool { return p.member == i })
		if h.bases[i].sample+1 < h.sample && !gathered && !h.fine.uses(i) && !h.coarse.uses(i) {
			h.names[i], h.bases[i] = name, base{}
			return i
		}
	}
	return -1
}

// Size is how many bytes the records take in memory.
func (h *History) Size() (n int) {
	for _, g := range []*ring{&h.fine, &h.coarse} {
		n += g.bytes
		if g.open {
			n += g.blocks[len(g.blocks)-1].size()
		}
	}
	return n
}
