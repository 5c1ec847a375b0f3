package chart

import (
	"image/color"
	"math"
	"strings"
	"time"
)

// canvas is what a picture is drawn on; y grows downwards, units are pixels.
type canvas interface {
	rect(x0, y0, x1, y1 float64, c color.RGBA)
	// area fills columns of one width from lo to hi; nothing where they are equal.
	area(x, width float64, lo, hi []float64, c color.RGBA)
	// text writes with its upper left corner at x, y.
	text(x, y float64, s string, c color.RGBA)
	// letter is the size of a character's place.
	letter() (width, height float64)
}

// smallest is what a picture at least measures, so that there is room for a plot.
const (
	smallestWidth, smallestHeight = 160, 120
	largest                       = 8192
)

// pictureSize is the size in pixels for options.
func (o *Options) pictureSize() (width, height int) {
	size := func(v, standard, least int) int {
		if v <= 0 {
			return standard
		}
		return min(max(v, least), largest)
	}
	return size(o.Width, 960, smallestWidth), size(o.Height, 480, smallestHeight)
}

// pen draws one picture.
type pen struct {
	canvas
	d           *Data
	o           *Options
	w, h        float64
	lw, lh      float64 // a letter
	cw          float64 // a column of data
	left, right float64 // of the plot
	top, axis   float64
	bottom      float64
	p           *plot
	scale       yscale
}

// drawPicture draws the same chart as Render, in pixels: columns, layers, scale and labels are the same.
func drawPicture(c canvas, d *Data, o *Options) {
	width, height := o.pictureSize()
	g := &pen{canvas: c, d: d, o: o, w: float64(width), h: float64(height)}
	g.lw, g.lh = c.letter()
	g.rect(0, 0, g.w, g.h, ground(o.Dark))
	g.layout()
	g.heads()
	g.grid()
	g.half(&g.p.in, g.p.inRole, g.scale.inRows, true)
	g.half(&g.p.out, g.p.outs, g.scale.out, false)
	g.baseline()
	g.events()
}

func ground(dark bool) color.RGBA {
	if dark {
		return color.RGBA{0x16, 0x18, 0x1c, 0xff}
	}
	return color.RGBA{0xff, 0xff, 0xff, 0xff}
}

func (g *pen) layout() {
	line := 1.5 * g.lh
	g.left = math.Ceil(float64(g.o.Unit.tickWidth()+2) * g.lw)
	g.right = g.w - g.lw
	g.top = math.Ceil(g.lh + 3*line)
	g.bottom = g.h - math.Ceil(line+g.lh/2)
	if n := min(len(g.d.Events), 3); g.h > 20*g.lh {
		g.bottom -= math.Ceil(float64(n) * line)
	}
	if g.bottom-g.top < 4*g.lh { // small: the plot before its words
		g.top, g.bottom = g.lh/2, g.h-math.Ceil(2*g.lh)
	}
	// A picture does not move: it shows what was asked for and no more, in columns of any width.
	w := newWindow(g.d, g.o.Last, 1)
	want, room := w.want(g.d, g.o.Last), int64(max(g.right-g.left, 1))
	per := (want + room - 1) / room
	cols := (want + per - 1) / per
	g.cw = (g.right - g.left) / float64(cols)
	g.p = newPlot(g.d, g.o, int(cols))
	g.scale = newScale(g.p, g.o, max(int(g.bottom-g.top), 2))
	g.axis = g.top + float64(g.scale.inRows)
	g.bottom = g.axis + float64(g.scale.out)
	g.o.shown = g.p.step * time.Duration(min(int64(g.p.cols)*g.p.per/int64(g.p.wide), int64(longest/g.p.step)))
}

func (g *pen) color(r Role) color.RGBA { return r.Color(g.o.Dark) }

// heads writes the title, the rates and the key of the layers above the plot.
func (g *pen) heads() {
	line := 1.5 * g.lh
	if g.top < line*3 {
		return
	}
	room := int((g.w - 2*g.lw) / g.lw)
	name := g.o.Glyphs.clean(g.d.Name)
	g.text(g.lw, g.lh/2, g.o.Glyphs.clip(name, room), g.color(Title))
	about := g.o.Glyphs.clean(map[View]string{ByMember: "by NIC", ByProtocol: "by protocol", Total: "total"}[g.o.View] +
		" · " + g.o.Scale.String() + " · last " + period(g.o.shown))
	if n := cells(about); n+cells(name)+2 <= room {
		g.text(g.w-float64(n+1)*g.lw, g.lh/2, about, g.color(Label))
	}
	words := *g.o
	words.Width = room
	g.cells(g.lw, g.lh/2+line, Summary(*g.d, words)[0])
	if len(g.p.names) < 2 {
		return
	}
	x := g.lw
	for i, n := range g.p.names {
		if x+float64(cells(n)+3)*g.lw > g.w {
			break
		}
		y := g.lh/2 + 2*line
		g.rect(x, y, x+g.lh, y+g.lh, g.color(g.p.inRole[i]))
		g.text(x+g.lh+g.lw/2, y, n, g.color(Title))
		x += g.lh + float64(cells(n)+2)*g.lw
	}
}

// cells writes a row of a grid, what has one role in one go.
func (g *pen) cells(x, y float64, row []Cell) {
	from, run := 0, []rune(nil)
	flush := func() {
		if s := strings.TrimRight(string(run), " "); s != "" {
			g.text(x+float64(from)*g.lw, y, s, g.color(row[from].Role))
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

// grid draws the labelled lines of both axes.
func (g *pen) grid() {
	faint := mix(g.color(AxisRole), ground(g.o.Dark), 0.7)
	label := func(y float64, v float64) {
		s := g.o.Unit.tick(v)
		g.rect(g.left, y-0.5, g.right, y+0.5, faint)
		g.text(g.left-float64(cells(s)+1)*g.lw, min(max(y-g.lh/2, 0), g.h-g.lh), s, g.color(Label))
	}
	label(g.axis, 0)
	for _, t := range g.scale.ticks(g.scale.inRows, 2.5*g.lh) {
		label(g.axis-t.rows, t.value)
	}
	for _, t := range g.scale.ticks(g.scale.out, 2.5*g.lh) {
		label(g.axis+t.rows, t.value)
	}
	for _, m := range g.p.timeMarks(g.lw / g.cw) {
		x, n := g.left+float64(m.column)*g.cw, float64(len(m.text))*g.lw
		g.rect(x-0.5, g.top, x+0.5, g.bottom, faint)
		if from := x - n/2; from >= 0 && from+n <= g.w {
			g.text(from, g.bottom+g.lh/2, m.text, g.color(Label))
		}
	}
	if g.scale.inRows > int(3*g.lh) && g.scale.out > int(3*g.lh) {
		g.text(g.lw/2, g.axis-1.75*g.lh, "in", g.color(Title))
		g.text(g.lw/2, g.axis+0.75*g.lh, "out", g.color(Title))
	}
}

// half draws the layers of a direction and the peaks above them.
func (g *pen) half(h *half, roles []Role, rows int, up bool) {
	n := g.p.cols
	place := func(v float64) float64 {
		y := min(g.scale.rows(v), float64(rows))
		if up {
			return g.axis - y
		}
		return g.axis + y
	}
	below, total := make([]float64, n), make([]float64, n)
	for x := range below {
		below[x] = g.axis
	}
	for i := range h.layers {
		edge := make([]float64, n)
		for x := range edge {
			total[x] += h.layers[i][x].avg
			edge[x] = place(total[x])
		}
		g.area(g.left, g.cw, below, edge, g.color(roles[i]))
		if i+1 < len(h.layers) { // a thin line parts layers for eyes that see no colours
			g.area(g.left, g.cw, shifted(edge, below, 1), edge, mix(g.color(roles[i]), ground(g.o.Dark), 0.6))
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
	g.area(g.left, g.cw, shifted(peaks, below, 1.5), peaks, g.color(Peak))
}

// shifted is edge moved by so much towards the axis, but not below the layer's lower edge.
func shifted(edge, below []float64, by float64) []float64 {
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

// baseline is the time axis: a line where something is known, dots where nothing is.
func (g *pen) baseline() {
	n := g.p.cols
	lo, hi := make([]float64, n), make([]float64, n)
	for x := range lo {
		lo[x], hi[x] = g.axis-0.75, g.axis-0.75
		if g.p.known(x) || int(float64(x)*g.cw)%6 < 2 {
			hi[x] = g.axis + 0.75
		}
	}
	g.area(g.left, g.cw, lo, hi, g.color(AxisRole))
}

// events marks moments through the whole plot and writes the newest below it.
func (g *pen) events() {
	c := g.color(EventRole)
	y := g.bottom + 2*g.lh
	shown := g.p.events(g.d)
	for i, e := range shown {
		x := g.left + float64(g.p.at(e.At))*g.cw
		for from := g.top; from < g.bottom; from += 6 {
			g.rect(x-0.5, from, x+0.5, min(from+3, g.bottom), c)
		}
		tip := make([]float64, 9)
		high := make([]float64, 9)
		for k := range tip {
			high[k] = g.axis - 9
			tip[k] = g.axis - 9 + 2*(4.5-math.Abs(float64(k)-4))
		}
		g.area(x-4.5, 1, high, tip, c)
		if at := y + float64(i)*1.5*g.lh; at+g.lh <= g.h {
			s := e.At.In(g.d.End.Location()).Format(time.TimeOnly) + " " + g.o.Glyphs.clean(e.Text)
			g.text(g.lw, at, g.o.Glyphs.clip(s, int(g.w/g.lw)-2), c)
		}
	}
}

// mix is a colour with a part of another.
func mix(a, b color.RGBA, part float64) color.RGBA {
	m := func(x, y uint8) uint8 { return uint8(math.Round(float64(x)*(1-part) + float64(y)*part)) }
	return color.RGBA{m(a.R, b.R), m(a.G, b.G), m(a.B, b.B), 0xff}
}
