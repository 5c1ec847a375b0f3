// SPDX-License-Identifier: MIT

package chart

import (
	"math"
	"time"
)

// Axis remembers the scale of a y axis between two drawings. Its ends rise at once and fall only when all that was
// shown for ten seconds needs less, so that the scale does not breathe with the traffic. The zero value remembers
// nothing.
type Axis struct {
	in, out  axisEnd
	packets  bool
	lastSeen time.Time
}

// axisEnd is the end of the axis in one direction.
type axisEnd struct {
	top      float64
	belowTop float64   // the highest end needed since then
	since    time.Time // when a lower end began to suffice; zero: it does not
}

// patience is how long a lower end must suffice before the axis shrinks.
const patience = 10 * time.Second

// Follow returns the axis for the next drawing. o.Axis is ignored. The clock is Data.End; a step back in time and a
// change between bits and packets reset the memory.
func (a Axis) Follow(d Data, o Options) Axis {
	p := newPlot(&d, &o, plotDots(&o))
	if a.packets != o.packets() || d.End.Before(a.lastSeen) {
		a = Axis{}
	}
	a.packets, a.lastSeen = o.packets(), d.End
	a.in = a.in.follow(d.End, niceTop(p.in.highestPeak(), o.packets()))
	a.out = a.out.follow(d.End, niceTop(p.out.highestPeak(), o.packets()))
	return a
}

func (e axisEnd) follow(now time.Time, need float64) axisEnd {
	if need >= e.top {
		return axisEnd{top: need}
	}
	if e.since.IsZero() {
		e.since, e.belowTop = now, need
	}
	e.belowTop = max(e.belowTop, need)
	if now.Sub(e.since) >= patience {
		return axisEnd{top: e.belowTop}
	}
	return e
}

// tops are the ends that an axis may have in a decade. Each is two to four steps of a 1-2-5 sequence.
var tops = []float64{1, 1.5, 2, 3, 4, 5, 6, 8, 10}

// niceTop returns the lowest end of an axis that covers v.
func niceTop(v float64, packets bool) float64 {
	v = max(drawable(v), lowestTop(packets))
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	for _, t := range tops {
		if top := t * decade; top >= v {
			return top
		}
	}
	return 20 * decade // math.Log10 rounded down
}

// lowestTop is the lowest end of an axis, and the start of a logarithmic one.
func lowestTop(packets bool) float64 {
	if packets {
		return 1
	}
	return 1e3
}

// yscale maps values to heights, alike in both directions.
type yscale struct {
	log             bool
	lowest          float64 // of a logarithmic scale
	top             float64 // of a logarithmic scale, at the end of the smaller half
	perRow          float64 // of a linear scale
	inRows, outRows int     // rows of each half
}

// newScale divides the rows (pixels in pictures) between the halves and finds the value of a row. The halves are equal,
// or two or three to one where that shows the busier direction clearly larger.
func newScale(p *plot, o *Options, rows int) yscale {
	in, out := niceTop(p.in.highestPeak(), o.packets()), niceTop(p.out.highestPeak(), o.packets())
	if o.Axis.packets == o.packets() {
		in, out = max(in, o.Axis.in.top), max(out, o.Axis.out.top)
	}
	even := true
	switch o.Scale.Kind {
	case Log:
		in = max(in, out, 10*lowestTop(o.packets()))
		out = in
	case Fixed:
		in = max(drawable(o.Scale.Value), 1)
		out = in
	case Link:
		link, highest := p.link, max(p.in.highestPeak(), p.out.highestPeak())
		switch {
		case o.packets() || link < lowestTop(false):
			even = false
		case highest > 1.05*link: // more than a short second explains: the NIC's speed is wrong
			in = niceTop(highest, false)
			out = in
		default:
			in, out = link, link
		}
	default:
		even = false
	}
	s := yscale{
		inRows: (rows + 1) / 2, outRows: rows / 2,
		log: o.Scale.Kind == Log, top: in, lowest: lowestTop(o.packets()),
	}
	if s.log {
		return s
	}
	s.perRow = valuePerRow(in, out, s.inRows, s.outRows)
	for _, part := range []float64{2. / 3, 3. / 4} {
		large := int(math.Round(part * float64(rows)))
		if even || rows < 4 || large >= rows {
			break
		}
		for _, split := range [][2]int{{large, rows - large}, {rows - large, large}} {
			if v := valuePerRow(in, out, split[0], split[1]); v < 0.85*s.perRow {
				s.inRows, s.outRows, s.perRow = split[0], split[1], v
			}
		}
	}
	return s
}

// valuePerRow returns the value of a row with which both halves reach their ends. A half without rows reaches any end.
func valuePerRow(in, out float64, inRows, outRows int) float64 {
	v := in / float64(max(inRows, 1))
	if outRows > 0 {
		v = max(v, out/float64(outRows))
	}
	return v
}

// height returns the height of a value in rows. It may exceed the rows there are.
func (s *yscale) height(v float64) float64 {
	if !s.log {
		return v / s.perRow
	}
	if v <= s.lowest {
		return 0
	}
	least := s.inRows
	if s.outRows > 0 {
		least = min(least, s.outRows)
	}
	return math.Log(v/s.lowest) / math.Log(s.top/s.lowest) * float64(least)
}

// yTick is a label of the y axis.
type yTick struct{ value, rows float64 }

// yTicks returns the labels of a half, from the axis outward without zero. A label needs apart rows.
func (s *yscale) yTicks(half int, apart float64) []yTick {
	if half < 1 {
		return nil
	}
	if s.log {
		return s.decadeTicks(half, apart)
	}
	edge := s.perRow * float64(half)
	step := step125(max(s.perRow*apart, edge/10)) // at most ten labels, so that two digits suffice
	if step > edge*(1+1e-9) {
		step = step125(edge / 2) // neighbours of the sequence differ by up to 2.5
		for step > edge {
			step = below125(step)
		}
		return []yTick{{step, step / s.perRow}}
	}
	var all []yTick
	for i := 1; float64(i)*step <= edge*(1+1e-9); i++ {
		all = append(all, yTick{float64(i) * step, float64(i) * step / s.perRow})
	}
	return all
}

// decadeTicks returns every power of ten of a logarithmic half, or every second, third…
func (s *yscale) decadeTicks(half int, apart float64) []yTick {
	every := 1.0
	for s.height(s.lowest*math.Pow(10, every)) < apart {
		if s.lowest*math.Pow(10, every+1) > s.top*(1+1e-9) { // the only label is the highest power
			break
		}
		every++
	}
	var all []yTick
	for i := 1.0; ; i++ {
		v := s.lowest * math.Pow(10, i*every)
		if v > s.top*(1+1e-9) || s.height(v) > float64(half)+1e-9 {
			return all
		}
		all = append(all, yTick{v, s.height(v)})
	}
}

// step125 returns the smallest of 1, 2, 5 × 10^n that is at least v.
func step125(v float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5, 10} {
		if m*decade >= v*(1-1e-9) {
			return m * decade
		}
	}
	return 10 * decade
}

// below125 returns the step before this one in the 1-2-5 sequence.
func below125(step float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(step)+1e-9))
	switch m := math.Round(step / decade); m {
	case 5:
		return 2 * decade
	case 2:
		return decade
	}
	return decade / 2
}
