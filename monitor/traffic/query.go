package traffic

import (
	"slices"
	"time"

	"nicteam/internal/frame"
)

// Query asks for columns of Step each, from the whole Step that From is in to the one that To is in. With Member only of that one.
type Query struct {
	From, To time.Time
	Step     time.Duration // at least a second, whole milliseconds
	Member   string        // "" for the team
}

// Window is the answer to a Query.
type Window struct {
	From      time.Time // when the first column begins
	Step      time.Duration
	Covered   []time.Duration // by column: how much of it is known; 0 is a gap
	Total     Flow            // of the team, or of the member that was asked for
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

// Series is a value a column: sums, and what moved per second in the busiest second. All are nil where nothing moved.
type Series struct {
	Bytes, Frames         []uint64
	BytesPeak, FramesPeak []uint64
}

// add makes room when there is something to add.
func (s *Series) add(columns, i int, n Count) {
	if n == (Count{}) {
		return
	}
	s.room(columns)
	s.Bytes[i] += n.Bytes
	s.Frames[i] += n.Frames
}

func (s *Series) raise(columns, i int, peak Count) {
	if peak == (Count{}) {
		return
	}
	s.room(columns)
	s.BytesPeak[i] = max(s.BytesPeak[i], peak.Bytes)
	s.FramesPeak[i] = max(s.FramesPeak[i], peak.Frames)
}

func (s *Series) room(columns int) {
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

// Columns is how many columns the answer has.
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

// Query makes columns of records. What a record says is divided among the columns that it touches by time, so that
// the sum of the columns is exactly what moved. Its peak stands in the column that its middle is in; of a record longer
// than a column nobody knows where in it that was, and the peak stands in each column whose middle is in it.
func (s *Snapshot) Query(q Query) *Window {
	step, n := q.Step.Milliseconds(), q.Columns()
	if n == 0 {
		return &Window{From: q.From, Step: q.Step}
	}
	first := floor(q.From.UnixMilli(), step) * step
	w := &window{from: first, step: step, n: n, covered: make([]int64, n), members: make([]Flow, len(s.names)), only: -1}
	if q.Member != "" {
		if w.only = slices.Index(s.names, q.Member); w.only < 0 {
			w.only = len(s.names) // nobody
		}
	}
	s.each(first, first+int64(n)*step, w.add)
	w.peakAtLeastAverage()
	return w.answer(q, s.names)
}

// window is a Window that is being made.
type window struct {
	from, step int64
	n          int
	only       int // a member's index, -1 for the team
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
			w.sums(r, &r.parts[m], int(i), lo-r.start, hi-r.start)
		}
		middle := w.from + i*w.step + w.step/2
		if r.ms() > w.step && middle >= r.start && middle < r.end {
			w.peaks(r, int(i))
		}
	}
	if middle := r.start + r.ms()/2; r.ms() <= w.step && middle >= from && middle < to {
		w.peaks(r, int((middle-w.from)/w.step))
	}
}

// sums adds what a part carried from lo to hi of its record.
func (w *window) sums(r *record, p *part, i int, lo, hi int64) {
	if w.only >= 0 && p.member != w.only {
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
			if w.only < 0 {
				w.members[p.member].direction(d).add(w.n, i, n)
			}
		}
	}
}

func (w *window) peaks(r *record, i int) {
	of := &r.peak
	if w.only >= 0 {
		of = nil
	}
	for m := range r.parts {
		p := &r.parts[m]
		if w.only < 0 {
			for d := range p.peak {
				w.members[p.member].direction(d).raise(w.n, i, p.peak[d][sum])
			}
		} else if p.member == w.only {
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

// peakAtLeastAverage keeps a column that has only the beginning or the end of a busy record from being above its peak. A
// frame in a few milliseconds is one in a second, not hundreds.
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
	a := &Window{From: time.UnixMilli(w.from), Step: q.Step, Covered: make([]time.Duration, w.n), Total: w.total, Protocols: w.protocols}
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
