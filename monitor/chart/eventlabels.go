// SPDX-License-Identifier: MIT

package chart

import (
	"fmt"
	"math"
	"time"
)

// eventLabel is the text of an event beside a line that leads down to the event's mark on the axis.
type eventLabel struct {
	x        float64 // of the mark and its line
	text     string
	anchor   anchor  // atStart: the text is right of the line; atEnd: left of it
	from, to float64 // of the text
	row      int     // from the top; noRow: the mark alone is drawn
}

const noRow = -1

// longestLabel is how many characters a label has at most; a longer one is clipped.
const longestLabel = 40

// placeEvents finds a place for the label of each event, in at most so many rows, and returns how many rows it used.
func (p *picture) placeEvents(rows int) int {
	events := p.plot.eventsShown(p.d)
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		text := e.Label
		if text == "" {
			text = e.Text
		}
		p.labels = append(p.labels, eventLabel{
			x:    p.left + p.column(e.At)*p.colWidth,
			text: p.o.Glyphs.clip(p.o.Glyphs.clean(text), longestLabel)})
	}
	return placeLabels(p.labels, rows, p.lw, p.lw/2, p.w-p.lw/2)
}

// column is the place of a time that is shown, in columns from the left: to the fraction where a column is one bin.
func (p *picture) column(t time.Time) float64 {
	if after := p.plot.secondsAfterEnd(t) / p.plot.step.Seconds(); p.plot.per == 1 && p.plot.wide == 1 && after <= 0 {
		return max(0, float64(p.plot.cols)+after)
	}
	return float64(p.plot.columnAt(t))
}

// placeLabels gives each label, oldest first, the highest row in which neither its text nor its line touches those of
// another one, and returns how many rows are used. Texts stay between left and right. A label without room gets noRow.
func placeLabels(labels []eventLabel, rows int, letter, left, right float64) (used int) {
	for i := range labels {
		l := &labels[i]
		l.row = noRow
		length := float64(cells(l.text)) * letter
	search:
		for row := range rows {
			for _, l.anchor = range []anchor{atStart, atEnd} {
				if l.from = l.x + letter/2; l.anchor == atEnd {
					l.from = l.x - letter/2 - length
				}
				if l.to = l.from + length; l.from >= left && l.to <= right && l.fits(row, labels[:i], letter/2) {
					l.row, used = row, max(used, row+1)
					break search
				}
			}
		}
	}
	return used
}

// fits reports whether the label in this row stays clear of those placed before it. A line goes from its label's row
// down to the plot, so it passes all rows below.
func (l *eventLabel) fits(row int, placed []eventLabel, gap float64) bool {
	for i := range placed {
		p := &placed[i]
		switch {
		case p.row == noRow:
		case p.row == row && l.from < p.to+gap && p.from < l.to+gap,
			p.row <= row && l.from-gap < p.x && p.x < l.to+gap && p.x != l.x,
			p.row >= row && p.from-gap < l.x && l.x < p.to+gap && p.x != l.x:
			return false
		}
	}
	return true
}

// labelled says how many events have their label when not all have.
func (p *picture) labelled() string {
	n := 0
	for _, l := range p.labels {
		if l.row != noRow {
			n++
		}
	}
	if n == len(p.labels) {
		return ""
	}
	return fmt.Sprintf(" · %d of %d events labelled", n, len(p.labels))
}

// drawEvents marks each event on the axis and draws its label and the line between them.
func (p *picture) drawEvents() {
	mark := paint{role: EventRole}
	high, tip := make([]float64, 9), make([]float64, 9)
	for k := range tip {
		high[k] = p.axis - 9
		tip[k] = p.axis - 9 + 2*(4.5-math.Abs(float64(k)-4))
	}
	for _, l := range p.labels {
		p.area(l.x-4.5, 1, high, tip, mark)
		if l.row == noRow {
			continue
		}
		y := p.lh/2 + float64(3+l.row)*p.line
		for from := y; from < p.bottom; from += 6 {
			p.rect(l.x-0.5, from, l.x+0.5, min(from+3, p.bottom), mark)
		}
		x := l.from
		if l.anchor == atEnd {
			x = l.to
		}
		p.text(x, y, l.text, paint{role: Title}, l.anchor)
	}
}
