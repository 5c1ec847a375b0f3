// SPDX-License-Identifier: MIT

package chart

import (
	"strconv"
	"time"
)

// plotLayout divides the rows and columns of a chart.
type plotLayout struct {
	labels      int // columns of the y labels, 0 for none
	left, width int // of the plot
	rows        int // of the plot without the axis
	axis        bool
	times       bool // a row of time labels
	events      int  // rows of event text
}

// newPlotLayout gives room to the plot first, then to its axis, the y labels, the times and the texts of events.
func newPlotLayout(o *Options) plotLayout {
	f := plotLayout{width: max(o.Width, 1), rows: max(o.Height, 1)}
	if w := o.Unit.tickWidth(); o.Width >= w+9 {
		f.labels = w
		f.left = w + 1
		f.width = o.Width - f.left
	}
	if f.axis = f.rows >= 3; f.axis {
		f.rows--
	}
	if f.times = f.rows >= 6; f.times {
		f.rows--
	}
	if o.EventRows >= 0 {
		f.events = max(0, min(f.rows-7, max(o.EventRows, 1)))
		f.rows -= f.events
	}
	return f
}

// plotDots returns the number of data columns that a chart with these options shows.
func plotDots(o *Options) int {
	x, _ := o.Glyphs.dots()
	return newPlotLayout(o).width * x
}

// renderChart draws the chart with its axes in exactly Width × Height cells.
func renderChart(d Data, o Options) Grid {
	g := newGrid(o.Width, o.Height)
	if o.Width < 1 || o.Height < 1 {
		return g
	}
	f := newPlotLayout(&o)
	x, y := o.Glyphs.dots()
	p := newPlot(&d, &o, f.width*x)
	r := raster{plot: p, scale: newScale(p, &o, f.rows), glyphs: o.Glyphs, x: x, y: y}
	if !f.axis && f.rows == 1 {
		r.scale.inRows, r.scale.outRows = 1, 0
	}
	axis := r.scale.inRows
	below := axis
	if f.axis {
		below++
		f.drawAxis(g, &r, axis)
	}
	r.drawHalf(g, &p.in, p.inRole, f.left, axis-1, r.scale.inRows, true)
	r.drawHalf(g, &p.out, p.outRole, f.left, below, r.scale.outRows, false)
	f.drawLabels(g, &r, &o, axis, below)
	next := below + r.scale.outRows
	if f.times {
		f.drawTimes(g, &r, axis, next)
		next++
	}
	if f.axis {
		f.drawEvents(g, &r, &d, axis, next)
	}
	return g
}

// Span returns the period that the chart shows. A chart fills its width, so that may be longer than Options.Last; it is
// the history worth fetching.
func Span(d Data, o Options) (from, to time.Time) {
	w := newWindow(&d, o.Last, plotDots(&o))
	return w.end.Add(-w.span()), w.end
}

func (f *plotLayout) drawAxis(g Grid, r *raster, y int) {
	line, gap := '─', '┄'
	if r.glyphs == ASCII {
		line, gap = '-', '.'
	}
	for cx := range f.width {
		c := line
		for dx := range r.x {
			if !r.known(cx*r.x + dx) {
				c = gap
			}
		}
		g.put(f.left+cx, y, c, AxisRole)
	}
}

func (f *plotLayout) drawLabels(g Grid, r *raster, o *Options, axis, below int) {
	if f.labels == 0 {
		return
	}
	bar, tick, cross := '│', '┤', '┼'
	if r.glyphs == ASCII {
		bar, tick, cross = '|', '+', '+'
	}
	for y := 0; y < below+r.scale.outRows; y++ {
		g.put(f.labels, y, bar, AxisRole)
	}
	label := func(y int, v float64, c rune) {
		s := o.Unit.tickLabel(v)
		g.put(f.labels, y, c, AxisRole)
		g.text(f.labels-cells(s), y, s, Label)
	}
	if f.axis {
		label(axis, 0, cross)
	}
	for _, t := range r.scale.yTicks(r.scale.inRows, 2) {
		label(axis-rowOf(t.rows), t.value, tick)
	}
	for _, t := range r.scale.yTicks(r.scale.outRows, 2) {
		label(below+rowOf(t.rows)-1, t.value, tick)
	}
}

// rowOf returns the row in which a height ends, counted from 1 at the axis.
func rowOf(rows float64) int {
	n := int(rows)
	if rows-float64(n) > 1e-6 {
		n++
	}
	return max(n, 1)
}

func (f *plotLayout) drawTimes(g Grid, r *raster, axis, y int) {
	tick := '┬'
	if r.glyphs == ASCII {
		tick = '+'
	}
	free := f.left + f.width
	for _, m := range r.timeMarks(float64(r.x)) {
		x := f.left + m.column/r.x
		g.put(x, axis, tick, AxisRole)
		from := min(x-len(m.text)/2, f.left+f.width-len(m.text))
		if from < 0 || from+len(m.text) >= free && free != f.left+f.width {
			continue
		}
		g.text(from, y, m.text, Label)
		free = from
	}
}

// drawEvents marks events on the axis and writes the texts of the newest.
func (f *plotLayout) drawEvents(g Grid, r *raster, d *Data, axis, y int) {
	mark := '▾'
	if r.glyphs == ASCII {
		mark = 'v'
	}
	shown := r.eventsShown(d)
	for _, e := range shown {
		g.put(f.left+r.columnAt(e.At)/r.x, axis, mark, EventRole)
	}
	room := len(g[0]) - 2
	for i := range min(f.events, len(shown)) {
		s := shown[i].At.In(d.End.Location()).Format("15:04:05") + " " + r.glyphs.clean(shown[i].Text)
		if more := len(shown) - f.events; more > 0 && i == f.events-1 && room > 20 {
			n := " (+" + strconv.Itoa(more) + ")"
			s = r.glyphs.clip(s, room-len(n)) + n
		}
		g.put(0, y+i, mark, EventRole)
		g.text(2, y+i, r.glyphs.clip(s, room), EventRole)
	}
}
