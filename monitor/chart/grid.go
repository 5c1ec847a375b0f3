// SPDX-License-Identifier: MIT

package chart

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Cell is a character and the role of what it shows.
type Cell struct {
	Rune rune
	Role Role
}

// Grid is a picture in cells: rows from the top, all equally wide.
type Grid [][]Cell

func newGrid(width, height int) Grid {
	width, height = max(width, 0), max(height, 0)
	g := make(Grid, height)
	all := make([]Cell, width*height)
	for i := range all {
		all[i].Rune = ' '
	}
	for y := range g {
		g[y] = all[y*width : (y+1)*width : (y+1)*width]
	}
	return g
}

// String is the grid without colours: a line a row, without trailing blanks.
func (g Grid) String() string {
	var b strings.Builder
	for _, row := range g {
		end := len(row)
		for end > 0 && row[end-1].Rune == ' ' {
			end--
		}
		for _, c := range row[:end] {
			b.WriteRune(c.Rune)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// put writes a cell, if it is inside.
func (g Grid) put(x, y int, r rune, role Role) {
	if y >= 0 && y < len(g) && x >= 0 && x < len(g[y]) {
		g[y][x] = Cell{r, role}
	}
}

// text writes s, which has passed clean, and returns the column after it.
func (g Grid) text(x, y int, s string, role Role) int {
	for _, r := range s {
		g.put(x, y, r, role)
		x++
	}
	return x
}

// paste copies a grid into g with its upper left corner at x, y.
func (g Grid) paste(x, y int, from Grid) {
	for dy, row := range from {
		for dx, c := range row {
			g.put(x+dx, y+dy, c.Rune, c.Role)
		}
	}
}

var ascii = strings.NewReplacer("→", "->", "←", "<-", "…", "...", "·", "-", "×", "x", "≥", ">=", "≤", "<=",
	"–", "-", "—", "-", "▲", "^", "▼", "v", "▾", "v", "●", "*", "○", "o", "µ", "u", "␣", "Space")

// Clean is clean for the texts that a caller puts beside charts.
func (g Glyphs) Clean(s string) string { return g.clean(s) }

// clean makes names and event texts safe to print: each rune takes one cell, none controls the terminal, and with ASCII
// glyphs all are ASCII.
func (g Glyphs) clean(s string) string {
	if g == ASCII {
		s = ascii.Replace(s)
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= ' ' && r < 0x7f:
			return r
		case g == ASCII || r == utf8.RuneError:
			return '?'
		case r >= 0xa1 && r < 0x300 && r != 0xad, r >= 0x370 && r < 0x483, r >= 0x48a && r < 0x590,
			r >= 0x2010 && r < 0x2028, r >= 0x2030 && r < 0x205f, r >= 0x20a0 && r < 0x20d0,
			r >= 0x2100 && r < 0x231a, r == 0x2423, r >= 0x2500 && r < 0x25fd, r >= 0x2800 && r < 0x2900:
			if unicode.IsPrint(r) {
				return r
			}
		}
		return '?'
	}, s)
}

// clip shortens s to width cells and marks that it did.
func (g Glyphs) clip(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	if width <= 0 {
		return ""
	}
	more := "…"
	if g == ASCII {
		more = "~"
	}
	r := []rune(s)
	return string(r[:width-1]) + more
}

func cells(s string) int { return utf8.RuneCountInString(s) }

// pad fills s with blanks to width cells, or clips it.
func (g Glyphs) pad(s string, width int) string {
	s = g.clip(s, width)
	return s + strings.Repeat(" ", max(0, width-cells(s)))
}
