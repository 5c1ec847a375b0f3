// SPDX-License-Identifier: MIT

package chart

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// anyRate is zero, small, ordinary or absurd.
func anyRate() *rapid.Generator[float64] {
	upTo := func(most float64) *rapid.Generator[float64] { return rapid.Float64Range(0, most) }
	return rapid.OneOf(rapid.Just(0.0), upTo(10), upTo(1e10), upTo(math.MaxFloat64))
}

func anyBins(t *rapid.T, label string) []Bin {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Bin {
		b := Bin{
			Known: rapid.IntRange(0, 4).Draw(t, "known") > 0,
			Bytes: anyRate().Draw(t, "bytes"), Frames: anyRate().Draw(t, "frames"),
		}
		b.MaxBytes, b.MaxFrames = b.Bytes*rapid.Float64Range(0, 3).Draw(t, "burst"), anyRate().Draw(t, "max")
		return b
	}), 0, 40).Draw(t, label)
}

func anySeries(t *rapid.T) Series {
	return Series{Name: rapid.String().Draw(t, "name"), In: anyBins(t, "in"), Out: anyBins(t, "out")}
}

func anyData(t *rapid.T) Data {
	d := Data{
		Name: rapid.String().Draw(t, "title"),
		End:  time.Unix(rapid.Int64Range(-1e11, 1e11).Draw(t, "end"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).UTC(),
		Step: rapid.SampledFrom([]time.Duration{-1, 0, 1, time.Millisecond, time.Second, 1500 * time.Millisecond,
			10 * time.Second, time.Hour, math.MaxInt64}).Draw(t, "step"),
	}
	for range rapid.IntRange(0, 4).Draw(t, "members") {
		d.Members = append(d.Members, Member{Series: anySeries(t), State: rapid.String().Draw(t, "state"),
			Up: rapid.Bool().Draw(t, "up"), Link: anyRate().Draw(t, "link")})
	}
	for range rapid.IntRange(0, 3).Draw(t, "protocols") {
		d.Protocols = append(d.Protocols, anySeries(t))
	}
	if rapid.Bool().Draw(t, "with total") {
		d.Total = anySeries(t)
	}
	for range rapid.IntRange(0, 3).Draw(t, "events") {
		at := d.End.Add(time.Duration(rapid.Int64().Draw(t, "at")))
		if rapid.Bool().Draw(t, "near") {
			at = d.End.Add(-time.Duration(rapid.IntRange(-5, 50).Draw(t, "ago")) * time.Second)
		}
		d.Events = append(d.Events, Event{at, rapid.String().Draw(t, "text"), rapid.String().Draw(t, "label")})
	}
	return d
}

func anyOptions(t *rapid.T) Options {
	return Options{
		Width:  rapid.IntRange(1, 140).Draw(t, "width"),
		Height: rapid.IntRange(1, 40).Draw(t, "height"),
		Glyphs: Glyphs(rapid.IntRange(0, 2).Draw(t, "glyphs")),
		Unit:   Unit(rapid.IntRange(0, 4).Draw(t, "unit")),
		View:   View(rapid.IntRange(0, 2).Draw(t, "view")),
		Scale:  Scale{ScaleKind(rapid.IntRange(0, 3).Draw(t, "scale")), anyRate().Draw(t, "fixed")},
		Last: time.Duration(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, int64(time.Hour)),
			rapid.Int64()).Draw(t, "last")),
		EventRows: rapid.IntRange(-1, 5).Draw(t, "event rows"),
		Solid:     rapid.Bool().Draw(t, "solid"),
		OwnScales: rapid.Bool().Draw(t, "own"),
		Footer:    rapid.String().Draw(t, "footer"),
	}
}

func checkGrid(t rapid.TB, what string, g Grid, o Options, height int) {
	if len(g) != height {
		t.Fatalf("%s: %d rows, not %d", what, len(g), height)
	}
	for y, row := range g {
		if len(row) != o.Width {
			t.Fatalf("%s: row %d has %d cells, not %d", what, y, len(row), o.Width)
		}
		for x, c := range row {
			if c.Rune < ' ' || c.Rune == 0x7f || c.Rune >= 0x80 && c.Rune < 0xa0 {
				t.Fatalf("%s: control character %U at %d,%d", what, c.Rune, x, y)
			}
			if o.Glyphs == ASCII && c.Rune > '~' {
				t.Fatalf("%s: %q at %d,%d is not ASCII", what, c.Rune, x, y)
			}
		}
	}
}

// TestAnySize draws anything at any size: no panic, whole rows, no control characters.
func TestAnySize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, o := anyData(t), anyOptions(t)
		for range rapid.IntRange(0, 3).Draw(t, "drawings before") {
			o.Axis = o.Axis.Follow(d, o)
			d.End = d.End.Add(4 * time.Second)
		}
		checkGrid(t, "render", renderChart(d, o), o, o.Height)
		checkGrid(t, "screen", Screen(d, o), o, o.Height)
		checkGrid(t, "strips", memberStrips(d, o), o, len(d.Members))
		checkGrid(t, "shares", shareRow(d, o), o, 1)
		checkGrid(t, "summary", summaryRow(d, o), o, 1)
		checkGrid(t, "line", nameAndSummary(d, o), o, 1)
		checkGrid(t, "spark", Grid{sparkline(d.Total.In, d, o, anyRate().Draw(t, "top"), true)}, o, 1)
		for _, r := range Plain(d, o) {
			if r < ' ' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 {
				t.Fatalf("plain: control character %U", r)
			}
		}
		if from, to := Span(d, o); to.Before(from) {
			t.Fatalf("span from %v to %v", from, to)
		}
	})
}

// TestHigherIsNotLower compares two rates side by side: the higher is drawn at least as high, layers add up to the
// total within a dot, and only zero shows nothing.
func TestHigherIsNotLower(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(t, "bins")
		var d Data
		d.End, d.Step = time.Unix(1e9, 0).UTC(), time.Second
		top := rapid.SampledFrom([]float64{1e3, 1e8, 1e12}).Draw(t, "top")
		for m := range rapid.IntRange(1, 5).Draw(t, "members") {
			d.Members = append(d.Members, Member{})
			for range n {
				b := Bin{Known: true, Bytes: rapid.Float64Range(0, top).Draw(t, "rate")}
				b.Frames = b.Bytes
				if rapid.IntRange(0, 3).Draw(t, "nothing") == 0 {
					b.Bytes, b.Frames = 0, 0
				}
				d.Members[m].In = append(d.Members[m].In, b)
			}
			d.Members[m].Out = d.Members[m].In
		}
		o := anyOptions(t)
		o.View, o.Last = ByMember, 0
		f := newPlotLayout(&o)
		x, y := o.Glyphs.dots()
		p := newPlot(&d, &o, f.width*x)
		r := raster{plot: p, scale: newScale(p, &o, f.rows), glyphs: o.Glyphs, x: x, y: y}
		for _, side := range []struct {
			h    *half
			rows int
		}{{&p.in, r.scale.inRows}, {&p.out, r.scale.outRows}} {
			cols := r.heights(side.h, side.rows)
			for a := range cols {
				tops := cols[a].tops
				height := tops[len(tops)-1]
				if most := side.rows * y; height > most {
					t.Fatalf("%d dots of %d", height, most)
				}
				if avg := side.h.sum[a].avg; (avg > 0) != (height > 0) && side.rows > 0 {
					t.Fatalf("%v drawn %d high", avg, height)
				}
				before, parts := 0, 0.0
				for i, h := range tops {
					if h < before {
						t.Fatalf("layer %d ends at %d below %d", i, h, before)
					}
					if !r.scale.log && !cols[a].over {
						part := r.scale.height(side.h.layers[i][a].avg) * float64(y)
						if math.Abs(float64(h-before)-part) > 1.001 && h > 1 {
							t.Fatalf("layer %d is %d dots, not %v", i, h-before, part)
						}
					}
					parts += side.h.layers[i][a].avg
					before = h
				}
				if math.Abs(parts-side.h.sum[a].avg) > 1e-6*parts {
					t.Fatalf("layers sum up to %v, not %v", parts, side.h.sum[a].avg)
				}
				for b := range cols {
					if side.h.sum[a].avg >= side.h.sum[b].avg && height < cols[b].tops[len(tops)-1] {
						t.Fatalf("%v is drawn %d high, %v %d",
							side.h.sum[a].avg, height, side.h.sum[b].avg, cols[b].tops[len(tops)-1])
					}
				}
			}
		}
	})
}

// TestDrawnHeight counts cells: among columns of one layer the higher rate has at least as many, in each glyph set and
// both directions.
func TestDrawnHeight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Data{End: time.Unix(1e9, 0).UTC(), Step: time.Second}
		rates := rapid.SliceOfN(rapid.Float64Range(0, 1e9), 60, 60).Draw(t, "rates")
		for _, v := range rates {
			d.Total.In = append(d.Total.In, Bin{Known: true, Bytes: v})
			d.Total.Out = append(d.Total.Out, Bin{Known: true, Bytes: v})
		}
		o := Options{Width: 65, Height: rapid.IntRange(2, 30).Draw(t, "height"), View: Total,
			Glyphs: Glyphs(rapid.IntRange(1, 2).Draw(t, "glyphs"))}
		g := renderChart(d, o)
		for _, role := range []Role{In, Out} {
			count := make([]int, len(rates))
			for i := range rates {
				for y := range g {
					if g[y][5+i].Role == role && g[y][5+i].Rune != ' ' {
						count[i]++
					}
				}
			}
			for i := range rates {
				for j := range rates {
					if rates[i] >= rates[j] && count[i] < count[j] {
						t.Fatalf("%v has %d cells, %v has %d\n%v", rates[i], count[i], rates[j], count[j], g)
					}
				}
			}
		}
	})
}

// TestAxisLabels: labels are multiples of 1, 2 or 5 × 10^n, rise and lie within their half, and a fitted axis covers
// the data.
func TestAxisLabels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOptions(t)
		p := &plot{link: drawable(anyRate().Draw(t, "link"))}

		in, out := drawable(anyRate().Draw(t, "in")), drawable(anyRate().Draw(t, "out"))
		p.in.sum, p.out.sum = []sample{{true, in, in}}, []sample{{true, out, out}}
		s := newScale(p, &o, rapid.IntRange(1, 60).Draw(t, "rows"))
		if o.Scale.Kind != Fixed && !(o.Scale.Kind == Link && max(in, out) > p.link) {
			above := func(v float64, rows int) bool { return s.height(v) > float64(rows)*(1+1e-9) }
			if above(in, s.inRows) || s.outRows > 0 && above(out, s.outRows) {
				t.Fatalf("%v and %v are not covered by %+v", in, out, s)
			}
		}
		for _, half := range []int{s.inRows, s.outRows} {
			ticks := s.yTicks(half, 2)
			if half >= 2 && len(ticks) == 0 {
				t.Fatalf("no label in %d rows of %+v", half, s)
			}
			for i, k := range ticks {
				step := ticks[0].value
				m := step / math.Pow(10, math.Floor(math.Log10(step)+1e-9))
				if math.Abs(m-1) > 1e-6 && math.Abs(m-2) > 1e-6 && math.Abs(m-5) > 1e-6 {
					t.Fatalf("step %v", step)
				}
				if n := k.value / step; !s.log && math.Abs(n-float64(i+1)) > 1e-6 {
					t.Fatalf("label %v is not %d × %v", k.value, i+1, step)
				}
				if k.rows > float64(half)+1e-6 {
					t.Fatalf("label %v at row %v of %d", k.value, k.rows, half)
				}
				if s := o.Unit.tickLabel(k.value); len(s) > o.Unit.tickWidth() {
					t.Fatalf("label %q is too long", s)
				}
			}
		}
	})
}

func TestSharesSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(anyRate(), 0, 9).Draw(t, "values")
		total := rapid.SampledFrom([]int{100, 1000}).Draw(t, "total")
		want, any := 0, 0.0
		for _, v := range values {
			any += drawable(v)
		}
		if any > 0 {
			want = total
		}
		got := 0
		for i, s := range Shares(values, total) {
			got += s
			if exact := drawable(values[i]) / any * float64(total); any > 0 && math.Abs(float64(s)-exact) > 1+1e-6 {
				t.Fatalf("%v of %v is %d parts of %d", values[i], any, s, total)
			}
		}
		if got != want {
			t.Fatalf("shares sum up to %d, not %d", got, want)
		}
	})
}

// TestNumbersKeepTheirWidth tries all rates and units.
func TestNumbersKeepTheirWidth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawable(rapid.OneOf(anyRate(), rapid.Float64Range(0, 2e12)).Draw(t, "rate"))
		for _, u := range []Unit{Auto, Packets, Kbit, Mbit, Gbit} {
			if s := u.shortRate(v); len(s) != u.shortRateWidth() {
				t.Fatalf("%v in %v is %q", v, u, s)
			}
			if s := u.longRate(v); len(s) != u.shortRateWidth()+7 {
				t.Fatalf("%v in %v is %q", v, u, s)
			}
		}
	})
}
