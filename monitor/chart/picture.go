// SPDX-License-Identifier: MIT

package chart

import (
	"image/color"
	"math"
	"strings"
	"time"
)

// canvas is what a picture is drawn on. Units are pixels, y grows downwards.
type canvas interface {
	rect(x0, y0, x1, y1 float64, p paint)
	// area fills columns of one width from lo to hi, and nothing where they are equal.
	area(x, width float64, lo, hi []float64, p paint)
	// text writes s with its upper edge at y; x is where the anchor of s is.
	text(x, y float64, s string, p paint, a anchor)
	// letter is the width of a character and the height of a line without leading.
	letter() (width, height float64)
}

// paint is the colour of a role, faded towards the background by a part of 0 to 1.
type paint struct {
	role  Role
	faded float64
}

// background is the ground of a picture; no cell has this role.
const background Role = 0xffff

func (p paint) color(dark bool) color.RGBA {
	ground := color.RGBA{0xff, 0xff, 0xff, 0xff}
	if dark {
		ground = color.RGBA{0x16, 0x18, 0x1c, 0xff}
	}
	if p.role == background {
		return ground
	}
	return mix(p.role.Color(dark), ground, p.faded)
}

// mix returns a with a part of b in it.
func mix(a, b color.RGBA, part float64) color.RGBA {
	m := func(x, y uint8) uint8 { return uint8(math.Round(float64(x)*(1-part) + float64(y)*part)) }
	return color.RGBA{m(a.R, b.R), m(a.G, b.G), m(a.B, b.B), 0xff}
}

// anchor is the point of a text that is placed.
type anchor uint8

const (
	atStart anchor = iota
	atMiddle
	atEnd
)

// Bounds of a picture's sides. The least leaves room for a plot.
const (
	LeastPixels = 160
	MostPixels  = 8192
)

// pictureSize returns Width and Height in pixels, within the bounds; 960 × 480 by default.
func (o *Options) pictureSize() (width, height int) {
	size := func(v, standard int) int {
		if v <= 0 {
			return standard
		}
		return min(max(v, LeastPixels), MostPixels)
	}
	return size(o.Width, 960), size(o.Height, 480)
}

// picture is one drawing: columns, layers, scale and labels are those of renderChart, in pixels.
type picture struct {
	canvas
	d           *Data
	o           *Options
	plot        *plot
	scale       yscale
	labels      []eventLabel
	w, h        float64
	lw, lh      float64 // a letter
	line        float64 // from one line of text to the next
	colWidth    float64
	left, right float64 // of the plot
	top, axis   float64
	bottom      float64
}

func drawPicture(c canvas, d *Data, o *Options) {
	width, height := o.pictureSize()
	p := &picture{canvas: c, d: d, o: o, w: float64(width), h: float64(height)}
	p.lw, p.lh = c.letter()
	p.line = 1.5 * p.lh
	p.rect(0, 0, p.w, p.h, paint{role: background})
	p.layout()
	p.drawHeader()
	p.drawGrid()
	p.drawHalf(&p.plot.in, p.plot.inRole, p.scale.inRows, true)
	p.drawHalf(&p.plot.out, p.plot.outRole, p.scale.outRows, false)
	p.drawTimeAxis()
	p.drawEvents()
}

// layout divides the picture: three lines of header, rows of event labels, the plot, a line of times. A picture without
// room for that has the plot and the times only.
func (p *picture) layout() {
	p.left = math.Ceil(float64(p.o.Unit.tickWidth()+2) * p.lw)
	p.right = p.w - p.lw
	// A picture does not scroll: it shows exactly the period asked for, in columns of any width.
	w := newWindow(p.d, p.o.Last, 1)
	want, room := w.binsWanted(p.d, p.o.Last), int64(max(p.right-p.left, 1))
	per := (want + room - 1) / room
	cols := (want + per - 1) / per
	p.colWidth = (p.right - p.left) / float64(cols)
	p.plot = newPlot(p.d, p.o, int(cols))
	bins := int64(p.plot.cols) * p.plot.per / int64(p.plot.wide)
	p.o.shownPeriod = p.plot.step * time.Duration(min(bins, int64(longest/p.plot.step)))

	p.bottom = p.h - math.Ceil(p.line+p.lh/2)
	p.top = math.Ceil(p.lh + 3*p.line)
	if p.bottom-p.top < 4*p.lh {
		p.top, p.bottom = p.lh/2, p.h-math.Ceil(2*p.lh)
		p.placeEvents(0)
	} else {
		rows := p.placeEvents(min(int(p.h/(8*p.lh))-1, 5))
		p.top += math.Ceil(float64(rows) * p.line)
	}
	p.scale = newScale(p.plot, p.o, max(int(p.bottom-p.top), 2))
	p.axis = p.top + float64(p.scale.inRows)
	p.bottom = p.axis + float64(p.scale.outRows)
}

// drawHeader writes the title, the rates and the key of the layers.
func (p *picture) drawHeader() {
	if p.top < 3*p.line {
		return
	}
	room := int((p.w - 2*p.lw) / p.lw)
	name := p.o.Glyphs.clean(p.d.Name)
	p.text(p.lw, p.lh/2, p.o.Glyphs.clip(name, room), paint{role: Title}, atStart)
	about := map[View]string{ByMember: "by NIC", ByProtocol: "by protocol", Total: "total"}[p.o.View] +
		" · " + p.o.Scale.String() + " · last " + formatPeriod(p.o.shownPeriod) + p.labelled()
	if cells(about)+cells(name)+2 <= room {
		p.text(p.w-p.lw, p.lh/2, about, paint{role: Label}, atEnd)
	}
	words := *p.o
	words.Width = room
	p.drawCells(p.lw, p.lh/2+p.line, summaryRow(*p.d, words)[0])
	if len(p.plot.names) < 2 {
		return
	}
	x, y := p.lw, p.lh/2+2*p.line
	for i, n := range p.plot.names {
		if x+float64(cells(n)+3)*p.lw > p.w {
			break
		}
		p.rect(x, y, x+p.lh, y+p.lh, paint{role: p.plot.inRole[i]})
		p.text(x+p.lh+p.lw/2, y, n, paint{role: Title}, atStart)
		x += p.lh + float64(cells(n)+2)*p.lw
	}
}

// drawCells writes a row of a grid, cells of one role in one text.
func (p *picture) drawCells(x, y float64, row []Cell) {
	from, run := 0, []rune(nil)
	flush := func() {
		if s := strings.TrimRight(string(run), " "); s != "" {
			p.text(x+float64(from)*p.lw, y, s, paint{role: row[from].Role}, atStart)
		}
		run = run[:0]
	}
	for i, c := range row {
		if c.Rune != ' ' && (len(run) == 0 || c.Role != row[from].Role) {
			flush()
			from = i
		}
		if c.Rune != ' ' || len(run) > 0 {
			run = append(run, c.Rune)
		}
	}
	flush()
}

// drawGrid draws the labelled lines of both axes.
func (p *picture) drawGrid() {
	line, label := paint{AxisRole, 0.7}, paint{role: Label}
	value := func(y float64, v float64) {
		p.rect(p.left, y-0.5, p.right, y+0.5, line)
		p.text(p.left-p.lw, min(max(y-p.lh/2, 0), p.h-p.lh), p.o.Unit.tickLabel(v), label, atEnd)
	}
	value(p.axis, 0)
	in, out := p.scale.yTicks(p.scale.inRows, 2.5*p.lh), p.scale.yTicks(p.scale.outRows, 2.5*p.lh)
	for _, t := range in {
		value(p.axis-t.rows, t.value)
	}
	for _, t := range out {
		value(p.axis+t.rows, t.value)
	}
	for _, m := range p.plot.timeMarks(p.lw / p.colWidth) {
		x, n := p.left+p.column(m.at)*p.colWidth, float64(len(m.text))*p.lw
		p.rect(x-0.5, p.top, x+0.5, p.bottom, line)
		if x-n/2 >= 0 && x+n/2 <= p.w {
			p.text(x, p.bottom+p.lh/2, m.text, label, atMiddle)
		}
	}
	for _, name := range []struct {
		text   string
		y      float64
		labels []yTick
	}{{"in", p.axis - 1.75*p.lh, in}, {"out", p.axis + 0.75*p.lh, out}} {
		if len(name.labels) > 0 && name.labels[0].rows >= 2.25*p.lh { // else the labels leave no room
			p.text(p.lw/2, name.y, name.text, paint{role: Title}, atStart)
		}
	}
}

// drawHalf draws the layers of a direction and the peaks above them.
func (p *picture) drawHalf(h *half, roles []Role, rows int, up bool) {
	n := p.plot.cols
	place := func(v float64) float64 {
		y := min(p.scale.height(v), float64(rows))
		if up {
			return p.axis - y
		}
		return p.axis + y
	}
	below, total := make([]float64, n), make([]float64, n)
	for x := range below {
		below[x] = p.axis
	}
	for i := range h.layers {
		edge := make([]float64, n)
		for x := range edge {
			total[x] += h.layers[i][x].avg
			edge[x] = place(total[x])
		}
		p.area(p.left, p.colWidth, below, edge, paint{role: roles[i]})
		if i+1 < len(h.layers) { // a thin line separates layers for eyes that see no colours
			p.area(p.left, p.colWidth, insideOf(edge, below, 1), edge, paint{roles[i], 0.6})
		}
		below = edge
	}
	peaks := make([]float64, n)
	for x, s := range h.sum {
		peaks[x] = below[x]
		if s.known && s.peak > s.avg {
			peaks[x] = place(s.peak)
		}
	}
	p.area(p.left, p.colWidth, insideOf(peaks, below, 1.5), peaks, paint{role: Peak})
}

// insideOf is edge moved by a distance towards the axis, at most to the layer's lower edge.
func insideOf(edge, below []float64, by float64) []float64 {
	out := make([]float64, len(edge))
	for x, e := range edge {
		if e < below[x] {
			out[x] = min(e+by, below[x])
		} else {
			out[x] = max(e-by, below[x])
		}
	}
	return out
}

// drawTimeAxis draws a line where something is known and dots where nothing is.
func (p *picture) drawTimeAxis() {
	n := int(p.right - p.left)
	lo, hi := make([]float64, n), make([]float64, n)
	for x := range lo {
		lo[x], hi[x] = p.axis-0.75, p.axis-0.75
		if p.plot.known(int(float64(x)/p.colWidth)) || x%6 < 2 {
			hi[x] = p.axis + 0.75
		}
	}
	p.area(p.left, 1, lo, hi, paint{role: AxisRole})
}
