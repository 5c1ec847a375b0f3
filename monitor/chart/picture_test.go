// SPDX-License-Identifier: MIT

package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestPictureGolden draws the sample as SVG (compared as text) and PNG (compared in pixels).
func TestPictureGolden(t *testing.T) {
	d := sampleData()
	o := Options{Last: 5 * time.Minute}
	var b bytes.Buffer
	if err := SVG(&b, d, o); err != nil {
		t.Fatal(err)
	}
	golden(t, "nics.svg", b.String())

	o.View, o.Dark, o.Last, o.Unit = ByProtocol, true, 0, Mbit
	b.Reset()
	if err := PNG(&b, d, o); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "protocols.png")
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(pixels(t, want), pixels(t, b.Bytes())) {
		t.Errorf("%s differs; write it anew with -update and look at it", file)
	}
}

func pixels(t testing.TB, picture []byte) []byte {
	t.Helper()
	m, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	switch m := m.(type) {
	case *image.RGBA:
		return m.Pix
	case *image.NRGBA:
		return m.Pix
	}
	t.Fatalf("picture is %T", m)
	return nil
}

// TestAnyPicture draws anything at any size: SVG stays XML, PNG has its size.
func TestAnyPicture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, o := anyData(t), anyOptions(t)
		o.Width, o.Height = rapid.IntRange(-1, 400).Draw(t, "w"), rapid.IntRange(-1, 300).Draw(t, "h")
		var b bytes.Buffer
		if err := SVG(&b, d, o); err != nil {
			t.Fatal(err)
		}
		for x := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
			if _, err := x.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%v\n%s", err, b.String())
			}
		}
		b.Reset()
		if err := PNG(&b, d, o); err != nil {
			t.Fatal(err)
		}
		m, err := png.DecodeConfig(&b)
		if err != nil {
			t.Fatal(err)
		}
		if w, h := o.pictureSize(); m.Width != w || m.Height != h {
			t.Fatalf("%d × %d, not %d × %d", m.Width, m.Height, w, h)
		}
	})
}

type full struct{}

var errFull = errors.New("disk full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestPictureNotWritten(t *testing.T) {
	for name, write := range map[string]func(io.Writer, Data, Options) error{"svg": SVG, "png": PNG} {
		if err := write(full{}, sampleData(), Options{}); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLabelsKeepClear places any labels: texts do not overlap, no line crosses another label's text, all stay inside,
// and a label was left out only if it fits nowhere.
func TestLabelsKeepClear(t *testing.T) {
	const letter, left, right = 7.0, 3.0, 400.0
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.IntRange(0, 4).Draw(t, "rows")
		labels := make([]eventLabel, rapid.IntRange(0, 12).Draw(t, "n"))
		x := 20.0
		for i := range labels {
			x += float64(rapid.IntRange(0, 90).Draw(t, "apart"))
			labels[i] = eventLabel{x: min(x, right), text: strings.Repeat("x", rapid.IntRange(0, 20).Draw(t, "length"))}
		}
		used, last := placeLabels(labels, rows, letter, left, right), noRow
		// touch reports whether texts overlap, or b's line, which comes down from its row, crosses a's text.
		touch := func(a, b eventLabel, gap float64) bool {
			return a.row == b.row && a.from < b.to+gap && b.from < a.to+gap ||
				a.row >= b.row && a.x != b.x && a.from-gap < b.x && b.x < a.to+gap
		}
		free := func(l eventLabel, before []eventLabel, gap float64) bool {
			return l.from >= left && l.to <= right && !slices.ContainsFunc(before, func(b eventLabel) bool {
				return b.row != noRow && (touch(l, b, gap) || touch(b, l, gap))
			})
		}
		for i, l := range labels {
			last = max(last, l.row)
			if l.row != noRow {
				if !free(l, labels[:i], 0) || l.row >= rows || l.from < l.x && l.to > l.x {
					t.Fatalf("label %d at %v-%v, row %d of %d: %+v", i, l.from, l.to, l.row, rows, labels)
				}
				continue
			}
			for l.row = range rows {
				for _, l.from = range []float64{l.x + letter/2, l.x - letter/2 - letter*float64(len(l.text))} {
					if l.to = l.from + letter*float64(len(l.text)); free(l, labels[:i], letter/2) {
						t.Fatalf("label %d could be at %v-%v in row %d: %+v", i, l.from, l.to, l.row, labels)
					}
				}
			}
		}
		if used != last+1 {
			t.Fatalf("%d rows used, the last is %d", used, last)
		}
	})
}

// TestManyEvents: all events are marked, and the header says how many of them have a label.
func TestManyEvents(t *testing.T) {
	d := sampleData()
	d.Events = nil
	for i := range 200 {
		at := d.End.Add(-time.Duration(i) * time.Second)
		d.Events = append(d.Events, Event{At: at, Text: fmt.Sprintf("event-%d", i)})
	}
	var b strings.Builder
	if err := SVG(&b, d, Options{Last: 5 * time.Minute}); err != nil {
		t.Fatal(err)
	}
	labels := strings.Count(b.String(), ">event-")
	if want := fmt.Sprintf("%d of 200 events labelled", labels); labels < 10 || !strings.Contains(b.String(), want) {
		t.Errorf("not %q", want)
	}
}

// TestSVGSchemes: without Dark the colours are those on light, with a rule for each that is another on dark.
func TestSVGSchemes(t *testing.T) {
	draw := func(o Options) string {
		var b strings.Builder
		if err := SVG(&b, sampleData(), o); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	both, dark := draw(Options{}), draw(Options{Dark: true})
	rule := regexp.MustCompile(`\.(c\d+) \{ fill: (#\w+) \}`)
	if !strings.Contains(both, "@media (prefers-color-scheme: dark)") {
		t.Error("no rules for the dark scheme")
	}
	body := regexp.MustCompile(`<style>.*</style>\n`).ReplaceAllString(both, "")
	for _, r := range rule.FindAllStringSubmatch(both, -1) {
		class := regexp.MustCompile(`class="` + r[1] + `" fill="#\w+"`)
		body = class.ReplaceAllString(body, `fill="`+r[2]+`"`)
	}
	if diff := cmp.Diff(dark, body); diff != "" {
		t.Errorf("with its rules applied the picture is not the dark one (-dark +applied):\n%s", diff)
	}
}
