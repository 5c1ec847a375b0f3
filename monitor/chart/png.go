package chart

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"
)

// PNG writes the chart as a picture in pixels (960 × 480 for 0). Its texts are ASCII.
func PNG(w io.Writer, d Data, o Options) error {
	o.Glyphs = ASCII
	width, height := o.pictureSize()
	b := &bitmap{RGBA: image.NewRGBA(image.Rect(0, 0, width, height)), dot: 1}
	if width >= 800 && height >= 400 {
		b.dot = min(width/400, height/200)
	}
	drawPicture(b, &d, &o)
	if err := png.Encode(w, b.RGBA); err != nil {
		return fmt.Errorf("write png: %w", err)
	}
	return nil
}

// bitmap is a canvas of pixels.
type bitmap struct {
	*image.RGBA
	dot int // pixels a dot of the font
}

func (b *bitmap) letter() (width, height float64) { return float64(6 * b.dot), float64(8 * b.dot) }

func (b *bitmap) rect(x0, y0, x1, y1 float64, c color.RGBA) {
	r := image.Rect(round(x0), round(y0), max(round(x1), round(x0)+1), max(round(y1), round(y0)+1))
	draw.Draw(b, r, image.NewUniform(c), image.Point{}, draw.Src)
}

// area blends the pixels that an edge cuts, so that slopes are smooth.
func (b *bitmap) area(x, width float64, lo, hi []float64, c color.RGBA) {
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

func (b *bitmap) text(x, y float64, s string, c color.RGBA) {
	left, top := round(x), round(y)
	for _, r := range s {
		if r < ' ' || r > '~' {
			r = '?'
		}
		for dy, row := range font[r-' '] {
			for dx := range 5 {
				if row&(16>>dx) != 0 {
					at := image.Pt(left+dx*b.dot, top+dy*b.dot)
					draw.Draw(b, image.Rectangle{at, at.Add(image.Pt(b.dot, b.dot))}, image.NewUniform(c), image.Point{}, draw.Src)
				}
			}
		}
		left += 6 * b.dot
	}
}

func round(v float64) int { return int(math.Round(v)) }
