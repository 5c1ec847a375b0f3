// SPDX-License-Identifier: MIT

package chart

import "math"

// raster draws the two halves of a plot into cells of x × y dots. Heights are whole dots.
type raster struct {
	*plot
	scale  yscale
	glyphs Glyphs
	x, y   int // dots a cell
}

// dots returns the columns and rows of dots that a cell of the glyph set can show.
func (g Glyphs) dots() (x, y int) {
	switch g {
	case Braille:
		return 2, 4
	case Block:
		return 1, 8
	}
	return 1, 3
}

// dotColumn is one column of dots in one half. Heights count dots from the axis outward.
type dotColumn struct {
	tops []int
	peak int  // the dot of the peak mark, -1 for none
	over bool // cut off
}

// heights returns the dot columns of a half that is rows high. Any traffic shows as one dot at least.
func (r *raster) heights(h *half, rows int) []dotColumn {
	all := make([]dotColumn, r.cols)
	tops := make([]int, r.cols*len(h.layers))
	most := rows * r.y
	for x := range all {
		c := &all[x]
		c.tops, tops = tops[:len(h.layers):len(h.layers)], tops[len(h.layers):]
		c.peak = -1
		s := h.sum[x] // zero if unknown
		total := 0.0
		for i := range h.layers {
			total += h.layers[i][x].avg
			c.tops[i] = r.height(total, most)
		}
		if i := len(c.tops) - 1; total > 0 && c.tops[i] == 0 && most > 0 {
			for ; i >= 0 && h.layers[i][x].avg == 0; i-- {
				c.tops[i] = 1
			}
			c.tops[max(i, 0)] = 1
		}
		if p := r.height(s.peak, most); p > 0 && (len(c.tops) == 0 || p > c.tops[len(c.tops)-1]) {
			c.peak = p - 1
		}
		c.over = r.scale.height(s.peak) > float64(rows)*(1+1e-6) && most > 0
	}
	return all
}

func (r *raster) height(v float64, most int) int {
	return int(min(math.Round(r.scale.height(v)*float64(r.y)), float64(most)))
}

// drawHalf draws a half into the grid from column left on. axis is the row next to the axis; up is away from it for
// receive.
func (r *raster) drawHalf(g Grid, h *half, roles []Role, left, axis, rows int, up bool) {
	cols := r.heights(h, rows)
	var counts [64]int
	for cx := 0; cx*r.x < len(cols); cx++ {
		own := cols[cx*r.x : (cx+1)*r.x]
		over := false
		for row := range rows {
			cell := r.cellOf(own, cx, row, up, counts[:])
			y := axis - row
			if !up {
				y = axis + row
			}
			for _, c := range own {
				over = over || c.over
			}
			switch {
			case over && row == rows-1:
				g.put(left+cx, y, r.cutMark(up), Peak)
			case cell.rune != 0 && cell.layer < 0:
				g.put(left+cx, y, cell.rune, Peak)
			case cell.rune != 0:
				g.put(left+cx, y, cell.rune, roles[cell.layer])
			}
		}
	}
}

// ink is the content of a cell. Its role is that of the layer with the most dots; layer -1 is the peak mark.
type ink struct {
	rune  rune
	layer int
}

func (r *raster) cellOf(own []dotColumn, cx, row int, up bool, counts []int) ink {
	clear(counts)
	filled, peaks, peakAt := 0, 0, 0
	pattern := 0
	for dx, c := range own {
		layer, last := 0, len(c.tops)-1
		for dy := range r.y {
			y := row*r.y + dy
			for layer <= last && c.tops[layer] <= y {
				layer++
			}
			switch {
			case layer <= last:
				filled++
				if layer < len(counts) {
					counts[layer]++
				}
				edge := y == c.tops[layer]-1
				if r.solid || edge || inPattern(layer, cx*r.x+dx, y) {
					pattern |= brailleDot(dx, dy, up)
				}
			case y == c.peak:
				peaks, peakAt = peaks+1, dy
				pattern |= brailleDot(dx, dy, up)
			}
		}
	}
	if filled == 0 && peaks == 0 {
		return ink{}
	}
	layer := -1
	for i, n := range counts {
		if n > 0 && (layer < 0 || n > counts[layer]) {
			layer = i
		}
	}
	if filled > 0 && layer < 0 {
		layer = len(own[0].tops) - 1
	}
	switch r.glyphs {
	case Braille:
		if pattern == 0 {
			return ink{' ', layer}
		}
		return ink{rune(0x2800 + pattern), layer}
	case Block:
		return ink{r.blockRune(filled, peakAt, layer, up), layer}
	}
	return ink{r.letterRune(filled, layer, up), layer}
}

// inPattern reports whether the dot x, y of a layer is set. Layers have patterns, so that they can be told apart
// without colour; their upper edges are always drawn.
func inPattern(layer, x, y int) bool {
	switch layer % 5 {
	case 1:
		return (x+y)%2 == 0
	case 2:
		return y%2 == 0
	case 3:
		return x%2 == 0
	case 4:
		return x%2 == 0 && y%2 == 0
	}
	return true
}

var brailleBits = [2][4]int{{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}}

// brailleDot returns the bit of a dot in the braille block; dy counts from the axis.
func brailleDot(dx, dy int, up bool) int {
	if up {
		dy = 3 - dy
	}
	return brailleBits[dx&1][dy&3]
}

var shades = []rune("█▒░▓")

// blockRune returns the block character of a cell. Unicode has no upper eighths, so cells below the axis show thirds.
func (r *raster) blockRune(filled, peakAt, layer int, up bool) rune {
	switch {
	case filled == 0 && (peakAt < 3) == up && peakAt != 3 && peakAt != 4:
		return '▁'
	case filled == 0 && (peakAt == 3 || peakAt == 4):
		return '─'
	case filled == 0:
		return '▔'
	case filled == 8 && r.solid:
		return '█'
	case filled == 8:
		return shades[layer%len(shades)]
	case up:
		return '▁' + rune(filled-1)
	case filled <= 2:
		return '▔'
	case filled <= 5:
		return '▀'
	}
	return '█'
}

// letters fill the layers of an ASCII chart.
const letters = "#=+%ox~&"

func (r *raster) letterRune(filled, layer int, up bool) rune {
	switch {
	case filled == 0:
		return '-'
	case filled == 2:
		return ':'
	case filled == 1 && up:
		return '.'
	case filled == 1:
		return '\''
	case r.solid:
		return '#'
	}
	return rune(letters[layer%len(letters)])
}

// swatch returns a full cell of a layer, for legends.
func (g Glyphs) swatch(layer int, solid bool) rune {
	if solid && g != ASCII {
		layer = 0
	}
	switch g {
	case Braille:
		pattern := 0
		for x := range 2 {
			for y := range 4 {
				if inPattern(layer, x, y) {
					pattern |= brailleDot(x, y, true)
				}
			}
		}
		return rune(0x2800 + pattern)
	case Block:
		return shades[layer%len(shades)]
	}
	return rune(letters[layer%len(letters)])
}

// cutMark marks the end of a column that exceeds a fixed scale.
func (r *raster) cutMark(up bool) rune {
	switch {
	case r.glyphs == ASCII && up:
		return '^'
	case r.glyphs == ASCII:
		return 'v'
	case up:
		return '▲'
	}
	return '▼'
}
