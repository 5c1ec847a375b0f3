// SPDX-License-Identifier: MIT

package chart

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"nicteam/internal/units"
)

// sparkline draws a history in one row: heights against top, blanks for gaps. down hangs it from the upper edge, for
// transmit.
func sparkline(bins []Bin, d Data, o Options, top float64, down bool) []Cell {
	x, y := o.Glyphs.dots()
	width := max(o.Width, 0)
	row := newGrid(width, 1)
	if width == 0 {
		return row[0]
	}
	w := newWindow(&d, max(o.Last, o.shownPeriod), width*x)
	h := half{layers: [][]sample{w.resample(bins, o.packets())}}
	h.sum = append([]sample(nil), h.layers[0]...)
	for i := range h.sum { // no room for peaks beside averages
		h.sum[i].peak = h.sum[i].avg
	}
	p := &plot{window: w, in: h, solid: true}
	r := raster{plot: p, glyphs: o.Glyphs, x: x, y: y, scale: yscale{perRow: max(drawable(top), 1), inRows: 1}}
	if o.Scale.Kind == Log {
		r.scale = yscale{log: true, lowest: lowestTop(o.packets()), top: max(top, 10*lowestTop(o.packets())), inRows: 1}
	}
	role := In
	if down {
		role = Out
	}
	r.drawHalf(row, &h, []Role{role}, 0, 0, 1, !down)
	return row[0]
}

// stripWidths are the widths of a strip's parts, from left to right; 0 leaves a part out.
type stripWidths struct {
	name, state, link, utilisation int
	rtt, loss                      int
	rates                          int
	spark                          int
}

const (
	nameWidth  = 15 // IFNAMSIZ
	stateWidth = 12 // 24 on wide screens
	rttWidth   = 7  // "0.31 ms"
	lossWidth  = 9  // "loss 100%"
	leastSpark = 10 // columns of history that figures of link watches leave
)

func stripLayout(d *Data, o *Options) stripWidths {
	s := stripWidths{rates: o.Unit.shortRateWidth()}
	longestState, widest := 0, stateWidth
	if o.Width >= 100 {
		widest = 2 * stateWidth
	}
	for i := range d.Members {
		s.name = max(s.name, min(cells(d.Members[i].Name), nameWidth))
		longestState = max(longestState, min(cells(d.Members[i].State), widest))
	}
	// mark, name, two rates with their arrows
	need := 2 + s.name + 2*(3+s.rates)
	room := o.Width - need
	take := func(width *int, want int) {
		if want > 0 && room >= want+1 {
			*width = want
			room -= want + 1
		}
	}
	dot := 0
	take(&dot, 1)
	take(&s.utilisation, 4)
	if room >= 8+longestState+6 {
		take(&s.state, longestState)
		take(&s.link, 4)
	}
	if dot > 0 {
		s.state += 2
	}
	// With little room a loss stands in the place of the round trip time.
	if watched := slices.ContainsFunc(d.Members, func(m Member) bool { return m.Watched }); watched && s.state > 2 {
		if fits := func(w int) bool { return room-w-1 >= 2+2*leastSpark }; fits(rttWidth + 1 + lossWidth) {
			take(&s.rtt, rttWidth)
			take(&s.loss, lossWidth)
		} else if fits(lossWidth) {
			take(&s.loss, lossWidth)
		}
	}
	if s.spark = max(0, (room-2)/2); s.spark < 3 {
		s.spark = 0
	}
	return s
}

// memberStrips draws a line per member: swatch, name, rate and history of both directions, state, link speed and
// utilisation. All members share one scale unless OwnScales.
func memberStrips(d Data, o Options) Grid {
	g := newGrid(o.Width, len(d.Members))
	if o.Width < 1 {
		return g
	}
	lay := stripLayout(&d, &o)
	tops := stripTops(&d, &o, lay.spark)
	for i := range d.Members {
		m := &d.Members[i]
		in, out := latestRate(m.In, o.packets()), latestRate(m.Out, o.packets())
		if o.View == ByMember {
			g.put(0, i, o.Glyphs.swatch(i, o.Solid || len(d.Members) == 1), memberRole(i))
		}
		x := g.text(2, i, o.Glyphs.pad(o.Glyphs.clean(m.Name), lay.name), Title)
		x = lay.drawDirection(g, x, i, &d, &o, m.In, in, tops[i], false)
		x = lay.drawDirection(g, x, i, &d, &o, m.Out, out, tops[i], true)
		lay.drawStatus(g, x, i, &o, m)
	}
	return g
}

// drawDirection returns the column after the rate and the history that it draws.
func (s *stripWidths) drawDirection(g Grid, x, y int, d *Data, o *Options, bins []Bin, now, top float64,
	down bool) int {
	arrow, role := '▲', In
	switch {
	case down && o.Glyphs == ASCII:
		arrow, role = 'v', Out
	case down:
		arrow, role = '▼', Out
	case o.Glyphs == ASCII:
		arrow = '^'
	}
	g.put(x+1, y, arrow, role)
	x = g.text(x+2, y, " "+o.Unit.shortRate(now), Text)
	if s.spark > 0 {
		own := *o
		own.Width = s.spark
		x++
		for _, c := range sparkline(bins, *d, own, top, down) {
			g.put(x, y, c.Rune, c.Role)
			x++
		}
	}
	return x
}

func (s *stripWidths) drawStatus(g Grid, x, y int, o *Options, m *Member) {
	if s.state > 0 {
		mark, role := '●', Good
		switch {
		case !m.Up && o.Glyphs == ASCII:
			mark, role = '!', Bad
		case !m.Up:
			mark, role = '○', Bad
		case m.Doubtful && o.Glyphs == ASCII:
			mark, role = '?', Bad
		case m.Doubtful:
			mark, role = '◐', Bad
		case o.Glyphs == ASCII:
			mark = '*'
		}
		g.put(x+1, y, mark, role)
		x += 2
		if s.state > 2 {
			x = g.text(x+1, y, o.Glyphs.pad(o.Glyphs.clean(m.State), s.state-2), role)
		}
	}
	if s.link > 0 {
		g.text(x+1, y, o.Glyphs.pad(formatSpeed(m.Link), s.link), Label)
		x += 1 + s.link
	}
	if s.utilisation > 0 {
		g.text(x+1, y, utilisation(m), Text)
		x += 1 + s.utilisation
	}
	if s.rtt > 0 {
		g.text(x+1, y, roundTrip(m, s.rtt), Label)
		x += 1 + s.rtt
	}
	if s.loss > 0 {
		text, role := lossText(m), Bad
		if m.Loss == 0 {
			role = Label
			if s.rtt == 0 {
				text = roundTrip(m, s.loss)
			}
		}
		g.text(x+1, y, text, role)
	}
}

// roundTrip formats a member's round trip time in so many cells, right-aligned.
func roundTrip(m *Member, width int) string {
	text := ""
	if m.Watched && m.RTT > 0 {
		text = units.Delay(m.RTT)
	}
	return strings.Repeat(" ", max(width-cells(text), 0)) + text
}

// lossText is "loss 3%", "" for a member of which nothing is known.
func lossText(m *Member) string {
	if !m.Watched {
		return ""
	}
	return "loss " + strings.ReplaceAll(units.Percent(m.Loss), " ", "")
}

// utilisation formats the load of the busier direction in four cells. Links are full duplex, so the two directions do
// not add up.
func utilisation(m *Member) string {
	link := drawable(m.Link)
	use := 100 * max(latestRate(m.In, false), latestRate(m.Out, false)) / link
	if link == 0 || math.IsNaN(use) {
		return "  - "
	}
	s := strconv.Itoa(int(min(math.Round(use), 999))) + "%"
	return "    "[:max(0, 4-len(s))] + s
}

// stripTops returns the top of the scale of each member's sparks.
func stripTops(d *Data, o *Options, width int) []float64 {
	tops := make([]float64, len(d.Members))
	x, _ := o.Glyphs.dots()
	w := newWindow(d, max(o.Last, o.shownPeriod), max(width, 1)*x)
	shared := 0.0
	for i := range d.Members {
		m := &d.Members[i]
		for _, bins := range [][]Bin{m.In, m.Out} {
			for _, s := range w.resample(bins, o.packets()) {
				tops[i] = max(tops[i], s.avg)
			}
		}
		switch {
		case o.Scale.Kind == Fixed:
			tops[i] = max(drawable(o.Scale.Value), 1)
		case o.Scale.Kind == Link && !o.packets() && m.Link > 0:
			tops[i] = max(tops[i], drawable(m.Link))
		default:
			tops[i] = niceTop(tops[i], o.packets())
		}
		shared = max(shared, tops[i])
	}
	for i := range tops {
		if !o.OwnScales {
			tops[i] = shared
		}
	}
	return tops
}
