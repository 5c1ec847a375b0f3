// SPDX-License-Identifier: MIT

package chart

import (
	"fmt"
	"strings"
	"time"
)

// Screen lays out everything for a size: the screen of nicteam watch, and its --once text.
//
//	≥ 100 × 28  frame, summary, chart with three rows of events, strips, notes, shares
//	≥ 60 × 16   the same with one row of events (80 × 24 too); at most a third of the rows are strips
//	≥ 40 × 10   without frame, notes and shares
//	less        one line, and a bare chart below it if there is room
func Screen(d Data, o Options) Grid {
	g := newGrid(o.Width, o.Height)
	switch {
	case o.Width < 1 || o.Height < 1:
	case o.Width >= 60 && o.Height >= 16:
		drawFramed(g, d, o)
	case o.Width >= 40 && o.Height >= 10:
		drawCompact(g, d, o)
	default:
		g.paste(0, 0, nameAndSummary(d, o))
		if o.Width >= 20 && o.Height >= 5 {
			o.Height--
			g.paste(0, 1, renderChart(d, o))
		}
	}
	return g
}

func drawFramed(g Grid, d Data, o Options) {
	width, height := o.Width, o.Height
	drawFrame(g, &d, &o)
	in := o
	in.Width = width - 2
	if width >= 100 && height >= 28 {
		in.EventRows = 3
	}
	strips := min(len(d.Members), (height-4)/3)
	hasShares := 0
	if len(d.Protocols) > 0 {
		hasShares = 1
	}
	notes := min(len(d.Notes), max((height-12)/6, 1))
	in.Height = height - 3 - strips - notes - hasShares
	in.shownPeriod = shownPeriod(&d, &in)
	g.paste(1, 1, summaryRow(d, in))
	g.paste(1, 2, renderChart(d, in))
	y := 2 + in.Height
	pasteStrips(g, 1, y, strips, d, in)
	pasteNotes(g, 1, y+strips, notes, &d, &in)
	if hasShares > 0 {
		g.paste(1, y+strips+notes, shareRow(d, in))
	}
}

// pasteNotes writes at most rows notes. If some are left over, the last row ends with how many.
func pasteNotes(g Grid, x, y, rows int, d *Data, o *Options) {
	for i := range rows {
		more := ""
		if left := len(d.Notes) - rows; left > 0 && i == rows-1 {
			more = fmt.Sprintf(" (%d more)", left)
		}
		text := o.Glyphs.clip(o.Glyphs.clean(d.Notes[i]), o.Width-cells(more))
		g.text(x, y+i, text+more, EventRole)
	}
}

// pasteStrips pastes at most rows strips. If members are left over, the last row counts them.
func pasteStrips(g Grid, x, y, rows int, d Data, o Options) {
	if rows < 1 {
		return
	}
	all := memberStrips(d, o)
	if len(all) <= rows {
		g.paste(x, y, all)
		return
	}
	g.paste(x, y, all[:rows-1])
	down := 0
	for _, m := range d.Members[rows-1:] {
		if !m.Up {
			down++
		}
	}
	g.text(x, y+rows-1, o.Glyphs.clip(fmt.Sprintf("%d more, %d of them not up", len(all)-rows+1, down), o.Width), Label)
}

func drawCompact(g Grid, d Data, o Options) {
	g.text(0, 0, o.Glyphs.clip(o.Glyphs.clean(d.Name), o.Width), Title)
	in := o
	strips := min(len(d.Members), max(o.Height-8, 0))
	in.Height = o.Height - 2 - strips
	in.shownPeriod = shownPeriod(&d, &in)
	g.paste(0, 1, summaryRow(d, in))
	g.paste(0, 2, renderChart(d, in))
	pasteStrips(g, 0, 2+in.Height, strips, d, in)
}

// drawFrame draws the box with the title, the description and the caller's footer.
func drawFrame(g Grid, d *Data, o *Options) {
	box := []rune("┌┐└┘─│")
	if o.Glyphs == ASCII {
		box = []rune("++++-|")
	}
	w, h := o.Width-1, o.Height-1
	for x := range o.Width {
		g.put(x, 0, box[4], AxisRole)
		g.put(x, h, box[4], AxisRole)
	}
	for y := range o.Height {
		g.put(0, y, box[5], AxisRole)
		g.put(w, y, box[5], AxisRole)
	}
	g.put(0, 0, box[0], AxisRole)
	g.put(w, 0, box[1], AxisRole)
	g.put(0, h, box[2], AxisRole)
	g.put(w, h, box[3], AxisRole)

	name := o.Glyphs.clean(d.Name)
	about := ""
	for _, part := range o.describe(d, w-1) { // as many as fit beside the name
		part = o.Glyphs.clean(part)
		if longer := about + part; cells(longer)+cells(name)+6 <= w {
			about = longer
		}
	}
	g.text(1, 0, " "+o.Glyphs.clip(name, w-4)+" ", Title)
	if about != "" {
		about = " " + strings.TrimPrefix(strings.TrimPrefix(about, o.Glyphs.clean(" · ")), " ") + " "
		g.text(w-cells(about), 0, about, Label)
	}
	if o.Footer != "" {
		g.text(1, h, o.Glyphs.clip(" "+o.Glyphs.clean(o.Footer)+" ", w-2), Label)
	}
}

// describe returns the view, unit, scale and period of a chart of this width, as parts of a title.
func (o *Options) describe(d *Data, width int) []string {
	view := map[View]string{ByMember: "in+out by NIC", ByProtocol: "in+out by protocol", Total: "in+out"}[o.View]
	in := *o
	in.Width = width
	last := formatPeriod(shownPeriod(d, &in))
	return []string{view, " · " + o.Unit.symbol(), " · " + o.Scale.String(), " · last " + last}
}

// shownPeriod returns the period that a full chart with these options shows.
func shownPeriod(d *Data, o *Options) time.Duration {
	w := newWindow(d, o.Last, plotDots(o))
	return time.Duration(min(float64(w.cols)*float64(w.per)/float64(w.wide)*float64(w.step), float64(longest)))
}

// formatPeriod formats a duration in its largest fitting unit, rounded down.
func formatPeriod(d time.Duration) string {
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d d", d/day)
	case d >= 2*time.Hour || d >= time.Hour && d%time.Hour < 5*time.Minute:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= 2*time.Minute || d >= time.Minute && d%time.Minute < 5*time.Second:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
