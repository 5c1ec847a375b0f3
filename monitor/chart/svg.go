// SPDX-License-Identifier: MIT

package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image/color"
	"io"
	"slices"
	"strconv"
	"strings"
)

// SVG writes the chart as a picture that scales; Width and Height are pixels (960 × 480 for 0). Its description says in
// words what it shows. Unless Options.Dark, it follows the colour scheme of its viewer.
func SVG(w io.Writer, d Data, o Options) error {
	if o.Glyphs == ASCII { // a picture has all characters
		o.Glyphs = Braille
	}
	width, height := o.pictureSize()
	s := &svg{dark: o.Dark}
	drawPicture(s, &d, &o)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" `+
		`font-family="ui-monospace,DejaVu Sans Mono,Menlo,Consolas,monospace" font-size="12" xml:space="preserve">`+"\n",
		width, height, width, height)
	for _, e := range [][2]string{{"title", o.Glyphs.clean(d.Name)}, {"desc", Plain(d, o)}, {"style", s.darkRules()}} {
		if e[1] != "" {
			b.WriteString("<" + e[0] + ">" + escaped(e[1]) + "</" + e[0] + ">\n")
		}
	}
	b.Write(s.Bytes())
	b.WriteString("</svg>\n")
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write svg: %w", err)
	}
	return nil
}

// svg is a canvas of text.
type svg struct {
	bytes.Buffer
	dark    bool
	classes []paint // those whose colour depends on the scheme; the index is the class
}

func (s *svg) letter() (width, height float64) { return 7.25, 12 }

// fill is the attribute of a colour, with a class where the dark scheme has another one.
func (s *svg) fill(p paint) string {
	light, dark := p.color(s.dark), p.color(true)
	if light == dark {
		return `fill="` + hex(light) + `"`
	}
	i := slices.Index(s.classes, p)
	if i < 0 {
		i = len(s.classes)
		s.classes = append(s.classes, p)
	}
	return `class="c` + strconv.Itoa(i) + `" fill="` + hex(light) + `"`
}

// darkRules is the style sheet of the dark scheme, one line.
func (s *svg) darkRules() string {
	if len(s.classes) == 0 {
		return ""
	}
	var rules strings.Builder
	rules.WriteString("@media (prefers-color-scheme: dark) {")
	for i, p := range s.classes {
		rules.WriteString(" .c" + strconv.Itoa(i) + " { fill: " + hex(p.color(true)) + " }")
	}
	return rules.String() + " }"
}

func escaped(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // a buffer accepts everything
	return b.String()
}

func (s *svg) rect(x0, y0, x1, y1 float64, p paint) {
	fmt.Fprintf(s, `<rect x="%s" y="%s" width="%s" height="%s" %s/>`+"\n",
		coordinate(x0), coordinate(y0), coordinate(x1-x0), coordinate(y1-y0), s.fill(p))
}

func (s *svg) text(x, y float64, text string, p paint, a anchor) {
	at := [...]string{atMiddle: ` text-anchor="middle"`, atEnd: ` text-anchor="end"`}[a]
	fmt.Fprintf(s, `<text x="%s" y="%s"%s %s>%s</text>`+"\n",
		coordinate(x), coordinate(y+10), at, s.fill(p), escaped(text))
}

// area is one path with a closed outline for each run of filled columns. Columns of equal height are one step.
func (s *svg) area(x, width float64, lo, hi []float64, p paint) {
	fmt.Fprintf(s, `<path %s d="`, s.fill(p))
	for from := 0; from < len(lo); {
		to := from
		for to < len(lo) && lo[to] != hi[to] {
			to++
		}
		if to == from {
			from++
			continue
		}
		at := func(i int) string { return coordinate(x + float64(i)*width) }
		s.WriteString("M" + at(from) + " " + coordinate(lo[from]))
		for i := from; i < to; i++ {
			if i > from && coordinate(hi[i]) == coordinate(hi[i-1]) {
				continue
			}
			if i > from {
				s.WriteString("H" + at(i))
			}
			s.WriteString("V" + coordinate(hi[i]))
		}
		s.WriteString("H" + at(to))
		for i := to - 1; i >= from; i-- {
			if i < to-1 && coordinate(lo[i]) == coordinate(lo[i+1]) {
				continue
			}
			if i < to-1 {
				s.WriteString("H" + at(i+1))
			}
			s.WriteString("V" + coordinate(lo[i]))
		}
		s.WriteString("Z")
		from = to
	}
	s.WriteString("\"/>\n")
}

// coordinate is a coordinate with a tenth of a pixel.
func coordinate(v float64) string {
	s := strconv.FormatFloat(v, 'f', 1, 64)
	if n := len(s) - 2; s[n:] == ".0" {
		return s[:n]
	}
	return s
}

func hex(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }
