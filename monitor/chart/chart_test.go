// SPDX-License-Identifier: MIT

package chart

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// steady is n seconds of one receive rate in bits per second.
func steady(end time.Time, n int, bps float64) Data {
	d := Data{End: end, Step: time.Second}
	for range n {
		d.Total.In = append(d.Total.In, Bin{Known: true, Bytes: bps / 8})
		d.Total.Out = append(d.Total.Out, Bin{Known: true})
	}
	return d
}

// TestAxisIsLoweredLate: the axis rises at once and shrinks after ten seconds of less. The ten seconds start again when
// more is needed, time steps back or packets are counted.
func TestAxisIsLoweredLate(t *testing.T) {
	var a Axis
	at := noon
	see := func(after time.Duration, bps, want float64) {
		t.Helper()
		at = at.Add(after)
		a = a.Follow(steady(at, 5, bps), Options{Width: 60, Height: 12})
		if a.in.top != want {
			t.Fatalf("at %v, %v: axis ends at %v, not %v", at.Sub(noon), bps, a.in.top, want)
		}
	}
	see(0, 90e6, 100e6)
	see(time.Second, 910e6, 1e9)
	see(time.Second, 90e6, 1e9)
	see(9*time.Second, 90e6, 1e9)
	see(0, 910e6, 1e9) // needed again: the wait starts again
	see(time.Second, 90e6, 1e9)
	see(5*time.Second, 390e6, 1e9)
	see(4*time.Second, 90e6, 1e9)
	see(time.Second, 90e6, 400e6) // the highest of the ten seconds
	see(-time.Hour, 90e6, 100e6)
	a = a.Follow(steady(at, 5, 90e6), Options{Width: 60, Height: 12, Unit: Packets})
	if a.in.top != 1 {
		t.Errorf("packets: axis ends at %v", a.in.top)
	}
	high, low := Axis{}.Follow(steady(at, 5, 910e6), Options{Width: 60, Height: 12}), steady(at, 5, 90e6)
	if got := renderChart(low, Options{Width: 60, Height: 12, Axis: high}).String(); !strings.HasPrefix(got, "  1G┤") {
		t.Errorf("the axis kept is not drawn:\n%s", got)
	}
}

// TestShapeStays: the picture moves by whole columns as time passes, and a bin stays in its column, whatever the
// period.
func TestShapeStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 400).Draw(t, "bins")
		cols := rapid.IntRange(1, 100).Draw(t, "columns")
		last := time.Duration(rapid.IntRange(1, 900).Draw(t, "last")) * time.Second
		var bins []Bin
		for range n + 1 {
			bins = append(bins, Bin{Known: true, Bytes: rapid.Float64Range(1, 100).Draw(t, "rate")})
		}
		at := time.Duration(rapid.IntRange(0, 1000).Draw(t, "at")) * time.Second
		before := Data{End: noon.Add(at), Step: time.Second}
		before.Total.In = bins[:n]
		after := before
		after.End, after.Total.In = before.End.Add(time.Second), bins
		a, b := newWindow(&before, last, cols), newWindow(&after, last, cols)
		x, y := a.resample(before.Total.In, false), b.resample(bins, false)
		shift := 0
		if b.wide > 1 {
			shift = b.wide
		} else if b.columnNumber(b.endBin-1) != a.columnNumber(a.endBin-1) {
			shift = 1
		}
		for i := shift; i < cols-max(1, b.wide); i++ {
			if x[i].known && y[i-shift].known && x[i] != y[i-shift] && i < cols-1 {
				t.Fatalf("column %d was %v and is %v at %d", i, x[i], y[i-shift], i-shift)
			}
		}
		from := a.end.Add(-a.span())
		if got := a.columnAt(from.Add(time.Nanosecond)); got < 0 || got > a.wide {
			t.Fatalf("the left edge is at column %d", got)
		}
		if a.span() <= last-time.Duration(a.per)*time.Second {
			t.Fatalf("%v of %v are shown", a.span(), last)
		}
	})
}

// TestPeaksSurvive zooms out until a column is many bins: the busiest second still shows.
func TestPeaksSurvive(t *testing.T) {
	d := steady(noon, 3600, 1e6)
	d.Total.In[1234].MaxBytes = 1e9
	o := Options{Width: 40, Height: 12, View: Total}
	peaks := 0
	for _, row := range renderChart(d, o)[:3] {
		for _, c := range row {
			if c.Role == Peak {
				peaks++
			}
		}
	}
	if peaks != 1 {
		t.Errorf("%d peak marks in the upper rows, not 1:\n%s", peaks, renderChart(d, o))
	}
	if got := summaryRow(d, Options{Width: 80})[0]; !strings.Contains(Grid{got}.String(), "8.00G") {
		t.Errorf("summary: %s", Grid{got})
	}
}

// TestGapsAreGaps compares no data with no traffic.
func TestGapsAreGaps(t *testing.T) {
	d := steady(noon, 40, 0)
	clear(d.Total.In[10:20])
	clear(d.Total.Out[10:20])
	want := "   0┼──────────┄┄┄┄┄┄┄┄┄┄────────────────────"
	got := Grid{renderChart(d, Options{Width: 45, Height: 4, Glyphs: Block})[2]}.String()
	if !strings.HasPrefix(got, want) {
		t.Errorf("got  %swant %s", got, want)
	}
	clear(d.Total.In)
	clear(d.Total.Out)
	if got := (Grid{summaryRow(d, Options{Width: 60})[0]}).String(); !strings.Contains(got, "- ") {
		t.Errorf("unknown is told as %q", got)
	}
	if got := Plain(d, Options{}); !strings.Contains(got, "in unknown, out unknown") {
		t.Errorf("plain: %s", got)
	}
}

// TestCutOff: rates above a fixed scale are marked.
func TestCutOff(t *testing.T) {
	d := steady(noon, 40, 5e6)
	g := renderChart(d, Options{Width: 45, Height: 5, Glyphs: ASCII, Scale: Scale{Fixed, 1e6}})
	if c := g[0][10]; c.Rune != '^' || c.Role != Peak {
		t.Errorf("not marked:\n%s", g)
	}
}

// TestLinkScale: the axis ends at the sum of the link speeds; for packets and unknown speeds, where the data does.
func TestLinkScale(t *testing.T) {
	d := sampleData()
	o := Options{Width: 60, Height: 12, Scale: Scale{Kind: Link}}
	top := func() string {
		before, _, _ := strings.Cut(renderChart(d, o).String(), "┤")
		return strings.Trim(before, " │\n")
	}
	if got := top(); got != "2G" {
		t.Errorf("2 × 1G: %s", got)
	}
	o.Unit = Packets
	if got := top(); got == "2G" {
		t.Errorf("packets: %s", got)
	}
	o.Unit, d.Members[0].Link, d.Members[1].Link = Auto, 1e7, 0 // the driver's speed is wrong
	if got := top(); got != "2G" && got != "1G" {
		t.Errorf("a link slower than its traffic: %s", got)
	}
}

func TestParse(t *testing.T) {
	for _, s := range []string{"fit", "link", "log", "500M", "2.50G", "1.00k"} {
		v, err := ParseScale(s)
		if err != nil || v.String() != s {
			t.Errorf("scale %q: %v %v", s, v, err)
		}
	}
	for i, s := range unitNames {
		if u, err := ParseUnit(s); err != nil || int(u) != i || u.String() != s {
			t.Errorf("unit %q: %v %v", s, u, err)
		}
	}
	for i, s := range viewNames {
		if v, err := ParseView(s); err != nil || int(v) != i || v.String() != s {
			t.Errorf("view %q: %v %v", s, v, err)
		}
	}
	for i, s := range glyphNames {
		if g, err := ParseGlyphs(s); err != nil || int(g) != i || g.String() != s {
			t.Errorf("glyphs %q: %v %v", s, g, err)
		}
	}
	_, unit := ParseUnit("furlong")
	_, scale := ParseScale("-3M")
	_, view := ParseView("")
	got := unit.Error() + "\n" + scale.Error() + "\n" + view.Error()
	want := `unknown unit "furlong": one of auto, packets, kbit, mbit, gbit
unknown scale "-3M": one of fit, link, log, or a value such as 500M or 2.5G
unknown view "": one of nic, protocol, total`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestShares(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want []int
	}{
		{nil, []int{}},
		{[]float64{0, 0}, []int{0, 0}},
		{[]float64{1, 1, 1}, []int{34, 33, 33}},
		{[]float64{91.2, 6.8, 0.1, 0.1, 1.8}, []int{91, 7, 0, 0, 2}},
		{[]float64{0.4, 0.7, 98.9}, []int{0, 1, 99}},
		{[]float64{1e300, 0, 1e300}, []int{50, 0, 50}},
	} {
		if diff := cmp.Diff(c.want, Shares(c.in, 100)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.in, diff)
		}
	}
}

func TestGlyphsFor(t *testing.T) {
	for _, c := range []struct {
		term, locale string
		want         Glyphs
	}{
		{"xterm-256color", "de_DE.UTF-8", Braille}, {"screen", "C.utf8", Braille}, {"linux", "C.UTF-8", ASCII},
		{"xterm", "C", ASCII}, {"xterm", "", ASCII}, {"dumb", "C.UTF-8", ASCII}, {"", "C.UTF-8", ASCII},
	} {
		if got := GlyphsFor(c.term, c.locale); got != c.want {
			t.Errorf("%s in %q: %v", c.term, c.locale, got)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		u           Unit
		v           float64
		short, long string
	}{
		{Auto, 0, "   0 ", "    0  bit/s"},
		{Auto, 999.6e6, "1.00G", "999.6 Mbit/s"},
		{Auto, 9.9996e9, "10.0G", "10.00 Gbit/s"},
		{Auto, 99.96e3, " 100k", "99.96 kbit/s"},
		{Packets, 104123, " 104k", "104.1 kpkt/s"},
		{Mbit, 1214.6e6, " 1 214.6", " 1 214.6 Mbit/s"},
		{Mbit, 400e9, " 400 000", " 400 000 Mbit/s"},
		{Kbit, 400e9, "    400M", "    400M kbit/s"},
		{Gbit, 1.2146e9, "   1.215", "   1.215 Gbit/s"},
		{Mbit, math.NaN(), "       -", "       - Mbit/s"},
	} {
		if c.u.shortRate(c.v) != c.short || c.u.longRate(c.v) != c.long {
			t.Errorf("%v in %v: %q %q, not %q %q", c.v, c.u, c.u.shortRate(c.v), c.u.longRate(c.v), c.short, c.long)
		}
	}
}

// TestForeignText: names and events cannot control a terminal or change a row's width.
func TestForeignText(t *testing.T) {
	for _, c := range []struct {
		g        Glyphs
		in, want string
	}{
		{Braille, "a\x1b[31mb\u009b\u200d\u202e日e\u0301", "a?[31mb????e?"},
		{Braille, "eth0 → ü ▾\xff", "eth0 → ü ▾?"},
		{ASCII, "eth0 → ü ▾…", "eth0 -> ? v..."},
	} {
		if got := c.g.clean(c.in); got != c.want {
			t.Errorf("%q: %q, not %q", c.in, got, c.want)
		}
	}
}

// TestPathArea measures SVG's outline: it encloses the columns and nothing else.
func TestPathArea(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "columns")
		lo, hi, want := make([]float64, n), make([]float64, n), 0.0
		for i := range lo {
			lo[i] = float64(rapid.IntRange(0, 5).Draw(t, "lo"))
			hi[i] = lo[i] + float64(rapid.IntRange(0, 5).Draw(t, "height"))
			want += 2 * (hi[i] - lo[i])
		}
		var s svg
		s.area(3, 2, lo, hi, paint{})
		path := strings.Split(s.String(), `d="`)[1]
		path = path[:strings.Index(path, `"`)]
		got := 0.0
		for outline := range strings.SplitSeq(path, "Z") {
			got += math.Abs(enclosed(t, outline))
		}
		if got != want {
			t.Fatalf("%s encloses %v, not %v", path, got, want)
		}
	})
}

// enclosed is the area of an outline of M, H and V, by horizontal steps.
func enclosed(t *rapid.T, outline string) float64 {
	x, y, sum, x0 := 0.0, 0.0, 0.0, 0.0
	for outline != "" {
		op := outline[0]
		end := 1
		for end < len(outline) && !strings.ContainsRune("MHV", rune(outline[end])) {
			end++
		}
		var at []float64
		for f := range strings.FieldsSeq(outline[1:end]) {
			v, err := strconv.ParseFloat(f, 64)
			if err != nil {
				t.Fatal(err)
			}
			at = append(at, v)
		}
		switch op {
		case 'M':
			x, y, x0 = at[0], at[1], at[0]
		case 'H':
			sum += (at[0] - x) * y
			x = at[0]
		case 'V':
			y = at[0]
		}
		outline = outline[end:]
	}
	sum += (x0 - x) * y // Z closes it
	return sum
}

func FuzzRender(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		d, o := anyData(t), anyOptions(t)
		checkGrid(t, "render", renderChart(d, o), o, o.Height)
		checkGrid(t, "screen", Screen(d, o), o, o.Height)
	}))
}

// BenchmarkScreen draws an hour of seconds of a team of two, as a watcher does each second.
func BenchmarkScreen(b *testing.B) {
	d := sampleData()
	m := d.Members
	for _, bins := range []*[]Bin{&d.Total.In, &d.Total.Out, &m[0].In, &m[0].Out, &m[1].In, &m[1].Out} {
		for len(*bins) < 3600 {
			*bins = append(*bins, (*bins)...)
		}
		*bins = (*bins)[:3600]
	}
	b.ReportAllocs()
	for b.Loop() {
		Screen(d, Options{Width: 120, Height: 40})
	}
}
