// SPDX-License-Identifier: MIT

package traffic

import (
	"slices"
	"time"

	"nicteam/internal/frame"
)

// Query asks for columns of Step, from the one with From to the one with To.
type Query struct {
	From, To time.Time
	Step     time.Duration // at least a second, whole milliseconds
	Member   string        // "": the team
}

// Window is the answer to a Query.
type Window struct {
	From      time.Time // when the first column begins
	Step      time.Duration
	Covered   []time.Duration // by column: how much of it has records; 0 is a gap
	Total     Flow            // of the team, or of Member
	Protocols [frame.Protocols]Flow
	Members   []MemberFlow // of a team: all that carried something, by name
}

// Flow is both directions.
type Flow struct{ RX, TX Series }

// MemberFlow is what a member carried.
type MemberFlow struct {
	Name string
	Flow
}

// Series has a value a column: sums, and the rate of the busiest second. All are nil when nothing moved.
type Series struct {
	Bytes, Frames         []uint64
	BytesPeak, FramesPeak []uint64
}

// add allocates when there is something to add.
func (s *Series) add(columns, i int, n Count) {
	if n == (Count{}) {
		return
	}
	s.allocate(columns)
	s.Bytes[i] += n.Bytes
	s.Frames[i] += n.Frames
}

func (s *Series) raise(columns, i int, peak Count) {
	if peak == (Count{}) {
		return
	}
	s.allocate(columns)
	s.BytesPeak[i] = max(s.BytesPeak[i], peak.Bytes)
	s.FramesPeak[i] = max(s.FramesPeak[i], peak.Frames)
}

func (s *Series) allocate(columns int) {
	if s.Bytes == nil {
		all := make([]uint64, 4*columns)
		s.Bytes, s.Frames = all[:columns:columns], all[columns:2*columns:2*columns]
		s.BytesPeak, s.FramesPeak = all[2*columns:3*columns:3*columns], all[3*columns:]
	}
}

func (f *Flow) direction(d int) *Series {
	if d == RX {
		return &f.RX
	}
	return &f.TX
}

// Columns is the number of columns of the answer.
func (q Query) Columns() int {
	step := q.Step.Milliseconds()
	if step <= 0 || !q.From.Before(q.To) {
		return 0
	}
	return int((q.To.UnixMilli()+step-1)/step - floor(q.From.UnixMilli(), step))
}

func floor(t, step int64) int64 {
	n := t / step
	if t%step < 0 {
		n--
	}
	return n
}

// Query makes columns of records. The counts of a record are divided by time among the columns that it overlaps, so
// that the columns add up to exactly what moved. Its peak goes to the column of its middle. Of a record longer than a
// column nobody knows where its peak was: it goes to each column whose middle is in the record.
func (s *Snapshot) Query(q Query) *Window {
	step, n := q.Step.Milliseconds(), q.Columns()
	if n == 0 {
		return &Window{From: q.From, Step: q.Step}
	}
	first := floor(q.From.UnixMilli(), step) * step
	w := &window{from: first, step: step, n: n, covered: make([]int64, n), members: make([]Flow, len(s.names)),
		onlyMember: -1}
	if q.Member != "" {
		if w.onlyMember = slices.Index(s.names, q.Member); w.onlyMember < 0 {
			w.onlyMember = len(s.names) // no member
		}
	}
	s.each(first, first+int64(n)*step, w.add)
	w.peakAtLeastAverage()
	return w.answer(q, s.names)
}

// window is a Window in the making.
type window struct {
	from, step int64
	n          int
	onlyMember int // a member's index, -1 for the team
	covered    []int64
	total      Flow
	protocols  [frame.Protocols]Flow
	members    []Flow
}

func (w *window) add(r *record, from, to int64) {
	for i := (from - w.from) / w.step; ; i++ {
		lo := max(from, w.from+i*w.step)
		hi := min(to, w.from+(i+1)*w.step)
		if lo >= hi {
			break
		}
		w.covered[i] += hi - lo
		for m := range r.parts {
			w.addSums(r, &r.parts[m], int(i), lo-r.start, hi-r.start)
		}
		middle := w.from + i*w.step + w.step/2
		if r.ms() > w.step && middle >= r.start && middle < r.end {
			w.addPeaks(r, int(i))
		}
	}
	if middle := r.start + r.ms()/2; r.ms() <= w.step && middle >= from && middle < to {
		w.addPeaks(r, int((middle-w.from)/w.step))
	}
}

// addSums adds what a part carried between lo and hi ms of its record.
func (w *window) addSums(r *record, p *part, i int, lo, hi int64) {
	if w.onlyMember >= 0 && p.member != w.onlyMember {
		return
	}
	for d := range p.moved {
		for k, n := range p.moved[d] {
			if n == (Count{}) {
				continue
			}
			n = Count{
				share(n.Bytes, hi, r.ms()) - share(n.Bytes, lo, r.ms()),
				share(n.Frames, hi, r.ms()) - share(n.Frames, lo, r.ms()),
			}
			w.protocols[k].direction(d).add(w.n, i, n)
			w.total.direction(d).add(w.n, i, n)
			if w.onlyMember < 0 {
				w.members[p.member].direction(d).add(w.n, i, n)
			}
		}
	}
}

func (w *window) addPeaks(r *record, i int) {
	of := &r.peak
	if w.onlyMember >= 0 {
		of = nil
	}
	for m := range r.parts {
		p := &r.parts[m]
		if w.onlyMember < 0 {
			for d := range p.peak {
				w.members[p.member].direction(d).raise(w.n, i, p.peak[d][sum])
			}
		} else if p.member == w.onlyMember {
			of = &p.peak
		}
	}
	if of == nil {
		return
	}
	for d := range of {
		for k := range w.protocols {
			w.protocols[k].direction(d).raise(w.n, i, of[d][k])
		}
		w.total.direction(d).raise(w.n, i, of[d][sum])
	}
}

// peakAtLeastAverage raises peaks to the average of their column, which is higher where a column has only one end of a
// busy record. A column covered for less than a second is averaged over a second: a frame in 5 ms is not 200 a second.
func (w *window) peakAtLeastAverage() {
	flows := []*Flow{&w.total}
	for k := range w.protocols {
		flows = append(flows, &w.protocols[k])
	}
	for m := range w.members {
		flows = append(flows, &w.members[m])
	}
	for _, f := range flows {
		for d := range directions {
			s := f.direction(d)
			for i := range s.Bytes {
				s.raise(w.n, i, Count{s.Bytes[i], s.Frames[i]}.rate(max(w.covered[i], 1000)))
			}
		}
	}
}

func (w *window) answer(q Query, names []string) *Window {
	a := &Window{From: time.UnixMilli(w.from), Step: q.Step, Covered: make([]time.Duration, w.n), Total: w.total,
		Protocols: w.protocols}
	for i, ms := range w.covered {
		a.Covered[i] = time.Duration(ms) * time.Millisecond
	}
	for m := range w.members {
		if f := w.members[m]; f.RX.Bytes != nil || f.TX.Bytes != nil {
			a.Members = append(a.Members, MemberFlow{names[m], f})
		}
	}
	slices.SortFunc(a.Members, func(a, b MemberFlow) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return a
}
