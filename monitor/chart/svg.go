package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image/color"
	"io"
	"strconv"
)

// SVG writes the chart as a picture that scales; Width and Height are pixels (960 × 480 for 0).
// What it shows is told in words too, in its description.
func SVG(w io.Writer, d Data, o Options) error {
	if o.Glyphs == ASCII { // a picture has all characters
		o.Glyphs = Braille
	}
	width, height := o.pictureSize()
	s := &svg{}
	fmt.Fprintf(&s.Buffer, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" font-family="ui-monospace,DejaVu Sans Mono,Menlo,Consolas,monospace" font-size="12" xml:space="preserve">`+"\n",
		width, height, width, height)
	s.element("title", o.Glyphs.clean(d.Name))
	s.element("desc", Plain(d, o))
	drawPicture(s, &d, &o)
	s.WriteString("</svg>\n")
	if _, err := w.Write(s.Bytes()); err != nil {
		return fmt.Errorf("write svg: %w", err)
	}
	return nil
}

// svg is a canvas of text.
type svg struct{ bytes.Buffer }

func (s *svg) letter() (width, height float64) { return 7.25, 12 }

func (s *svg) element(name, text string) {
	fmt.Fprintf(&s.Buffer, "<%s>", name)
	_ = xml.EscapeText(&s.Buffer, []byte(text)) // a buffer takes all
	fmt.Fprintf(&s.Buffer, "</%s>\n", name)
}

func (s *svg) rect(x0, y0, x1, y1 float64, c color.RGBA) {
	fmt.Fprintf(&s.Buffer, `<rect x="%s" y="%s" width="%s" height="%s" fill="%s"/>`+"\n", short(x0), short(y0), short(x1-x0), short(y1-y0), hex(c))
}

func (s *svg) text(x, y float64, text string, c color.RGBA) {
	fmt.Fprintf(&s.Buffer, `<text x="%s" y="%s" fill="%s">`, short(x), short(y+10), hex(c))
	_ = xml.EscapeText(&s.Buffer, []byte(text))
	s.WriteString("</text>\n")
}

// area is one path with a closed outline for each run of filled columns; columns of equal height
// are one step.
func (s *svg) area(x, width float64, lo, hi []float64, c color.RGBA) {
	fmt.Fprintf(&s.Buffer, `<path fill="%s" d="`, hex(c))
	for from := 0; from < len(lo); {
		to := from
		for to < len(lo) && lo[to] != hi[to] {
			to++
		}
		if to == from {
			from++
			continue
		}
		at := func(i int) string { return short(x + float64(i)*width) }
		s.WriteString("M" + at(from) + " " + short(lo[from]))
		for i := from; i < to; i++ {
			if i > from && short(hi[i]) == short(hi[i-1]) {
				continue
			}
			if i > from {
				s.WriteString("H" + at(i))
			}
			s.WriteString("V" + short(hi[i]))
		}
		s.WriteString("H" + at(to))
		for i := to - 1; i >= from; i-- {
			if i < to-1 && short(lo[i]) == short(lo[i+1]) {
				continue
			}
			if i < to-1 {
				s.WriteString("H" + at(i+1))
			}
			s.WriteString("V" + short(lo[i]))
		}
		s.WriteString("Z")
		from = to
	}
	s.WriteString("\"/>\n")
}

// short is a coordinate with a tenth of a pixel.
func short(v float64) string {
	s := strconv.FormatFloat(v, 'f', 1, 64)
	if n := len(s) - 2; s[n:] == ".0" {
		return s[:n]
	}
	return s
}

func hex(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }
