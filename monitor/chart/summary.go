// SPDX-License-Identifier: MIT

package chart

import "strings"

// summaryRow is one row with the latest rates of the whole and the highest of the period shown. Parts without room are
// left out, the last first.
func summaryRow(d Data, o Options) Grid {
	g := newGrid(o.Width, 1)
	if o.Width < 1 {
		return g
	}
	n := o.shownBins(&d)
	total := d.total()
	up, down := "▲", "▼"
	if o.Glyphs == ASCII {
		up, down = "^", "v"
	}
	in, out := o.Unit.longRate(latestRate(total.In, o.packets())), o.Unit.longRate(latestRate(total.Out, o.packets()))
	peak := func(bins []Bin) string {
		return "  peak " + o.Unit.shortRate(highestPeak(lastBins(bins, n), o.packets()))
	}
	inPeak, outPeak := peak(total.In), peak(total.Out)
	other := o
	other.Unit = Packets
	if o.packets() {
		other.Unit = Auto
	}
	more := other.Unit.longRate(latestRate(total.In, other.packets()) + latestRate(total.Out, other.packets()))

	room := o.Width
	need := cells(in+out) + 2*4 + 2
	if room < need {
		latest := func(bins []Bin) string { return o.Unit.shortRate(latestRate(bins, o.packets())) }
		writeShort(g, up+latest(total.In), down+latest(total.Out))
		return g
	}
	peaks := need+cells(inPeak+outPeak) <= room
	words := need+cells("in out")+cells(inPeak+outPeak) <= room
	write := func(x int, arrow, word, now, peak string, role Role) int {
		x = g.text(x, 0, arrow, role) + 1
		if words {
			x = g.text(x, 0, word, Title) + 1
		}
		x = g.text(x, 0, now, Text)
		if peaks {
			x = g.text(x, 0, peak, Label)
		}
		return x
	}
	x := write(0, up, "in", in, inPeak, In) + 3
	x = write(x, down, "out", out, outPeak, Out)
	if x+3+cells(more) <= room {
		g.text(x+3, 0, more, Label)
	}
	return g
}

// writeShort writes both figures, or the first alone, never a part of one.
func writeShort(g Grid, in, out string) {
	room := len(g[0])
	if cells(in) > room {
		in = strings.TrimSpace(strings.TrimLeft(in, "▲^"))
	}
	if cells(in) > room {
		return
	}
	x := g.text(0, 0, in, Text)
	if x+1+cells(out) <= room {
		g.text(x+1, 0, out, Text)
	}
}

// nameAndSummary is the name and the summary in one row, for a terminal with room for nothing else.
func nameAndSummary(d Data, o Options) Grid {
	o.Height = 1
	g := newGrid(o.Width, 1)
	name := o.Glyphs.clean(d.Name)
	if w := cells(name); w+2+2*(o.Unit.shortRateWidth()+2) < o.Width {
		x := g.text(0, 0, name, Title) + 2
		o.Width -= x
		g.paste(x, 0, summaryRow(d, o))
		return g
	}
	return summaryRow(d, o)
}
