// SPDX-License-Identifier: MIT

package tui

import (
	"slices"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/monitor/chart"
)

// maxColumns bounds the columns of a live window.
const maxColumns = 4000

// window is the traffic of a team, or of one NIC, in columns of equal length. All series have the
// same number of columns; the first is the column that begins first steps after 1970.
type window struct {
	nic         string // "" for the team
	step        time.Duration
	firstColumn int64
	known       []int // seconds known of each column
	total       chart.Series
	members     []chart.Series
	protocols   []chart.Series
}

// newWindow converts a document; a column that is hardly covered becomes a gap. The last column has often just begun:
// a few ms give no rate, and the rates of its second arrive soon.
func newWindow(d *api.History) *window {
	n := max(d.Columns, 0)
	b := &window{nic: d.Member, step: max(time.Duration(d.Step), time.Second).Truncate(time.Second),
		known: make([]int, n)}
	b.firstColumn = d.From.Unix() / b.seconds()
	for i := range min(n, len(d.Covered)) {
		b.known[i] = int((time.Duration(d.Covered[i]) + time.Second/2) / time.Second)
	}
	series := func(name string, rx, tx api.SeriesColumns) chart.Series {
		return chart.Series{Name: name, In: b.bins(d.Covered, rx), Out: b.bins(d.Covered, tx)}
	}
	b.total = series("", d.RX, d.TX)
	for _, m := range d.Members {
		b.members = append(b.members, series(m.Name, m.RX, m.TX))
	}
	for _, p := range d.Protocols {
		b.protocols = append(b.protocols, series(p.Name, p.RX, p.TX))
	}
	return b
}

func (b *window) seconds() int64 { return int64(b.step / time.Second) }

func (b *window) bins(covered []int64, c api.SeriesColumns) []chart.Bin {
	bins := make([]chart.Bin, len(b.known))
	at := func(list []uint64, i int) float64 {
		if i < len(list) {
			return float64(list[i])
		}
		return 0
	}
	for i := range bins {
		if b.known[i] == 0 {
			continue
		}
		s := time.Duration(covered[i]).Seconds()
		bins[i] = chart.Bin{Known: true, Bytes: at(c.Bytes, i) / s, Frames: at(c.Frames, i) / s,
			MaxBytes: at(c.BytesPeak, i), MaxFrames: at(c.FramesPeak, i)}
	}
	return bins
}

// end returns the end of the last column.
func (b *window) end() time.Time {
	return time.Unix((b.firstColumn+int64(len(b.known)))*b.seconds(), 0)
}

// add adds the traffic of a second, by number.
func (b *window) add(second int64, r *api.Rates) {
	if second < 0 {
		return
	}
	col := second / b.seconds()
	// or so much later that no old column remains
	if len(b.known) == 0 || col-b.firstColumn >= int64(len(b.known)+maxColumns) {
		b.trim(len(b.known))
		b.firstColumn = col
	}
	if col < b.firstColumn {
		return
	}
	b.grow(int(col-b.firstColumn) + 1 - len(b.known))
	i := int(col - b.firstColumn)
	interval := time.Duration(r.Interval).Seconds()
	if interval <= 0 {
		interval = 1
	}
	had := b.known[i]
	if had >= int(b.seconds()) { // a repeated second
		had = int(b.seconds()) - 1
	}
	b.known[i] = had + 1
	rx, tx, members, protocols := r.RX, r.TX, r.Members, r.Protocols
	if b.nic != "" {
		rx, tx, members, protocols = frame.Count{}, frame.Count{}, nil, nil
		for _, m := range r.Members {
			if m.Name == b.nic {
				rx, tx = m.RX, m.TX
			}
		}
	}
	addSecond(&b.total, i, had, rx, tx, interval)
	told := map[string]bool{}
	for _, m := range members {
		told[m.Name] = true
		addSecond(b.series(&b.members, m.Name), i, had, m.RX, m.TX, interval)
	}
	for j := range b.members { // members missing in the rates carried nothing
		if s := &b.members[j]; !told[s.Name] {
			addSecond(s, i, had, frame.Count{}, frame.Count{}, interval)
		}
	}
	for _, p := range protocols {
		addSecond(b.series(&b.protocols, p.Name), i, had, p.RX, p.TX, interval)
	}
}

// grow appends gaps, and forgets the oldest columns when there are too many.
func (b *window) grow(over int) {
	if over <= 0 {
		return
	}
	b.known = append(b.known, make([]int, over)...)
	b.each(func(s *chart.Series) {
		s.In, s.Out = append(s.In, make([]chart.Bin, over)...), append(s.Out, make([]chart.Bin, over)...)
	})
	if old := len(b.known) - maxColumns; old > 0 {
		b.trim(old)
		b.firstColumn += int64(old)
	}
}

func (b *window) trim(n int) {
	b.known = slices.Clone(b.known[n:])
	b.each(func(s *chart.Series) { s.In, s.Out = slices.Clone(s.In[n:]), slices.Clone(s.Out[n:]) })
}

func (b *window) each(f func(*chart.Series)) {
	f(&b.total)
	for i := range b.members {
		f(&b.members[i])
	}
	for i := range b.protocols {
		f(&b.protocols[i])
	}
}

// series returns the series of a name; a new one is zero in all known columns.
func (b *window) series(list *[]chart.Series, name string) *chart.Series {
	for i := range *list {
		if (*list)[i].Name == name {
			return &(*list)[i]
		}
	}
	s := chart.Series{Name: name, In: make([]chart.Bin, len(b.known)), Out: make([]chart.Bin, len(b.known))}
	for i := range b.total.In {
		s.In[i].Known, s.Out[i].Known = b.total.In[i].Known, b.total.Out[i].Known
	}
	*list = append(*list, s)
	return &(*list)[len(*list)-1]
}

// addSecond makes column i the average of the seconds it had and this one.
func addSecond(s *chart.Series, i, had int, rx, tx frame.Count, interval float64) {
	for _, d := range []struct {
		bin *chart.Bin
		c   frame.Count
	}{{&s.In[i], rx}, {&s.Out[i], tx}} {
		bytes, frames := float64(d.c.Bytes)/interval, float64(d.c.Frames)/interval
		if had == 0 {
			*d.bin = chart.Bin{}
		}
		n := float64(had + 1)
		d.bin.Known = true
		d.bin.Bytes += (bytes - d.bin.Bytes) / n
		d.bin.Frames += (frames - d.bin.Frames) / n
		d.bin.MaxBytes, d.bin.MaxFrames = max(d.bin.MaxBytes, bytes), max(d.bin.MaxFrames, frames)
	}
}

// mergeLive copies into b, a newer history, the columns of which live covers more.
func (b *window) mergeLive(live *window) {
	if live == nil || live.nic != b.nic || live.step != b.step || len(b.known) == 0 {
		return
	}
	if last := live.firstColumn + int64(len(live.known)) - b.firstColumn; last > int64(len(b.known)) &&
		last-int64(len(b.known)) < maxColumns {
		b.grow(int(last) - len(b.known))
	}
	for i := range b.known {
		j := b.firstColumn + int64(i) - live.firstColumn
		if j < 0 || j >= int64(len(live.known)) || b.known[i] >= live.known[j] {
			continue
		}
		b.known[i] = live.known[j]
		copyColumn := func(to, from *chart.Series) { to.In[i], to.Out[i] = from.In[j], from.Out[j] }
		copyColumn(&b.total, &live.total)
		for k := range live.members {
			copyColumn(b.series(&b.members, live.members[k].Name), &live.members[k])
		}
		for k := range live.protocols {
			copyColumn(b.series(&b.protocols, live.protocols[k].Name), &live.protocols[k])
		}
	}
}

// memberWindow returns the part of one NIC, for use until its own history arrives.
func (b *window) memberWindow(nic string) *window {
	o := &window{nic: nic, step: b.step, firstColumn: b.firstColumn, known: slices.Clone(b.known)}
	o.total = *b.series(&b.members, nic)
	o.total.Name = ""
	o.total.In, o.total.Out = slices.Clone(o.total.In), slices.Clone(o.total.Out)
	return o
}

// before returns b without the columns that begin at t or later; they share the others.
func (b *window) before(t time.Time) *window {
	secs := b.seconds()
	n := int(min(max((t.Unix()+secs-1)/secs-b.firstColumn, 0), int64(len(b.known))))
	o := *b
	o.known = b.known[:n]
	o.members, o.protocols = slices.Clone(b.members), slices.Clone(b.protocols)
	o.each(func(s *chart.Series) { s.In, s.Out = s.In[:n], s.Out[:n] })
	return &o
}

// hasTraffic reports whether a series carried anything.
func hasTraffic(s *chart.Series) bool {
	busy := func(b chart.Bin) bool { return b.Bytes > 0 }
	return slices.ContainsFunc(s.In, busy) || slices.ContainsFunc(s.Out, busy)
}

// chartData returns what the chart draws: the team's NICs in their order, then those that have left.
func (b *window) chartData(st *api.Status, events []api.Event, now time.Time) chart.Data {
	d := chart.Data{End: b.end(), Step: b.step, Total: b.total, Notes: notes(st, b.nic, now)}
	for i := range b.protocols {
		p := b.protocols[i]
		p.Name = api.ProtocolTitle(p.Name)
		d.Protocols = append(d.Protocols, p)
	}
	find := func(name string) chart.Series {
		if b.nic != "" {
			s := b.total
			s.Name = name
			return s
		}
		return *b.series(&b.members, name)
	}
	present := map[string]bool{}
	for _, m := range st.Members {
		present[m.Name] = true
		if b.nic == "" || b.nic == m.Name {
			d.Members = append(d.Members, chartMember(&m, find(m.Name)))
		}
	}
	for i := range b.members {
		if m := &b.members[i]; !present[m.Name] && hasTraffic(m) {
			d.Members = append(d.Members, chart.Member{Series: *m, State: "left"})
		}
	}
	for i := range events {
		if e := &events[i]; b.nic == "" || e.Member == "" || e.Member == b.nic {
			d.Events = append(d.Events, chart.Event{At: e.Time, Text: e.Text(), Label: e.Label()})
		}
	}
	return d
}

// mergeRecent copies the known columns of a later history, all of which b has, into b.
func (b *window) mergeRecent(h *window) {
	for j := range h.known {
		i := h.firstColumn + int64(j) - b.firstColumn
		if i < 0 || i >= int64(len(b.known)) || h.known[j] == 0 || h.known[j] < b.known[i] {
			continue
		}
		b.known[i] = h.known[j]
		b.total.In[i], b.total.Out[i] = h.total.In[j], h.total.Out[j]
		for k := range h.protocols {
			p := b.series(&b.protocols, h.protocols[k].Name)
			p.In[i], p.Out[i] = h.protocols[k].In[j], h.protocols[k].Out[j]
		}
	}
}
