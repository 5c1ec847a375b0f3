// SPDX-License-Identifier: MIT

package chart

import (
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"math"
	"strings"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// PNG writes the chart as a picture in pixels (960 × 480 for 0), with Go Mono, so that it looks the same everywhere.
// Text grows with the picture.
func PNG(w io.Writer, d Data, o Options) error {
	if o.Glyphs == ASCII { // Go Mono has all characters but braille, which pictures do not use
		o.Glyphs = Braille
	}
	width, height := o.pictureSize()
	mono, err := goMono()
	if err != nil {
		return fmt.Errorf("read Go Mono: %w", err)
	}
	size := 12 * max(1, min(float64(width)/960, float64(height)/480))
	face, err := opentype.NewFace(mono, &opentype.FaceOptions{Size: size, DPI: 72})
	if err != nil {
		return fmt.Errorf("scale Go Mono to %g px: %w", size, err)
	}
	b := &bitmap{RGBA: image.NewRGBA(image.Rect(0, 0, width, height)), dark: o.Dark, mono: mono, face: face, size: size}
	drawPicture(b, &d, &o)
	if err := png.Encode(w, b.RGBA); err != nil {
		return fmt.Errorf("write png: %w", err)
	}
	return nil
}

var goMono = sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(gomono.TTF) })

// bitmap is a canvas of pixels.
type bitmap struct {
	*image.RGBA
	dark bool
	mono *opentype.Font
	face font.Face
	size float64 // of the font
}

func (b *bitmap) letter() (width, height float64) {
	advance, _ := b.face.GlyphAdvance('0')
	return float64(advance) / 64, b.size
}

func (b *bitmap) rect(x0, y0, x1, y1 float64, p paint) {
	r := image.Rect(round(x0), round(y0), max(round(x1), round(x0)+1), max(round(y1), round(y0)+1))
	draw.Draw(b, r, image.NewUniform(p.color(b.dark)), image.Point{}, draw.Src)
}

func (b *bitmap) text(x, y float64, s string, p paint, a anchor) {
	s = strings.Map(func(r rune) rune {
		if i, err := b.mono.GlyphIndex(nil, r); err != nil || i == 0 {
			return '?'
		}
		return r
	}, s)
	width, _ := b.letter()
	length := float64(cells(s)) * width
	x -= [...]float64{atMiddle: length / 2, atEnd: length}[a]
	pen := font.Drawer{Dst: b, Src: image.NewUniform(p.color(b.dark)), Face: b.face,
		Dot: fixed.Point26_6{X: fixed.Int26_6(x * 64), Y: fixed.Int26_6((y + b.size*10/12) * 64)}}
	pen.DrawString(s)
}

// area blends the pixels that an edge cuts, so that slopes are smooth.
func (b *bitmap) area(x, width float64, lo, hi []float64, p paint) {
	c := p.color(b.dark)
	for i := range lo {
		from, to := min(lo[i], hi[i]), max(lo[i], hi[i])
		if from == to {
			continue
		}
		x0, x1 := round(x+float64(i)*width), round(x+float64(i+1)*width)
		for px := x0; px < x1; px++ {
			for py := int(math.Floor(from)); float64(py) < to; py++ {
				cover := min(to, float64(py+1)) - max(from, float64(py))
				if !(image.Point{px, py}).In(b.Rect) {
					continue
				}
				b.SetRGBA(px, py, mix(b.RGBAAt(px, py), c, cover))
			}
		}
	}
}

func round(v float64) int { return int(math.Round(v)) }
