// SPDX-License-Identifier: MIT

package tui

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"nicteam/monitor/chart"
)

// screen is the size of a screen and the characters that it shows.
type screen struct {
	width, height int
	glyphs        chart.Glyphs
}

// resize adopts a size; one that is unknown is 80 × 24.
func (s *screen) resize(width, height int) {
	if width <= 0 || height <= 0 {
		width, height = defaultWidth, defaultHeight
	}
	s.width, s.height = width, height
}

func (s screen) blank() chart.Grid {
	g := make(chart.Grid, s.height)
	for y := range g {
		g[y] = make([]chart.Cell, s.width)
		for x := range g[y] {
			g[y][x].Rune = ' '
		}
	}
	return g
}

// clip shortens a text to width cells, and marks that it did.
func (s screen) clip(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	if width <= 0 {
		return ""
	}
	more := "…"
	if s.glyphs == chart.ASCII {
		more = "~"
	}
	return string([]rune(text)[:width-1]) + more
}

// wrap breaks a text into lines of the screen's width, those after the first indented; long words are cut.
func (s screen) wrap(text string) (lines []string) {
	const indent = "  "
	if utf8.RuneCountInString(text) <= s.width || s.width <= 2*len(indent) {
		return []string{text}
	}
	for rest := []rune(text); ; {
		if len(rest) <= s.width {
			return append(lines, string(rest))
		}
		at := s.width
		for at > s.width/2 && rest[at] != ' ' {
			at--
		}
		if rest[at] != ' ' {
			at = s.width
		}
		lines = append(lines, strings.TrimRight(string(rest[:at]), " "))
		rest = []rune(indent + strings.TrimLeft(string(rest[at:]), " "))
	}
}

// layout is how many lines the parts of the list have.
type layout struct{ title, header, rows, gap, details, footer int }

func (p *picker) layout() (l layout) {
	h := p.height
	l.footer, l.title, l.header = 1, 1, 1
	switch {
	case h >= 14:
		l.gap, l.details = 1, 3
	case h >= 10:
		l.details = 2
	case h >= 8:
		l.details = 1
	case h >= 4:
		l.header = 0
	case h >= 2:
		l.header, l.title = 0, 0
	default:
		l = layout{}
	}
	l.rows = h - l.title - l.header - 2*l.gap - l.details - l.footer
	return l
}

// rows is how many NICs are on the screen.
func (p *picker) rows() int { return max(p.layout().rows, 1) }

// grid draws the list.
func (p *picker) grid() chart.Grid {
	g, l := p.blank(), p.layout()
	y := 0
	if l.title > 0 {
		p.drawTitle(g, y)
		y++
	}
	columns := p.columns()
	if l.header > 0 {
		write(g, y, strings.Repeat(" ", markWidth)+p.line(columns, nil), p.glyphs, chart.Label)
		y++
	}
	list := p.shown()
	if len(list) == 0 {
		text := "no NIC matches " + p.filter
		if len(p.nics) == 0 {
			text = "this host has no Ethernet NIC"
		}
		write(g, y, strings.Repeat(" ", markWidth)+text, p.glyphs, chart.Text)
	}
	for i := p.top; i < len(list) && i < p.top+l.rows; i++ {
		role := chart.Text
		switch {
		case !list[i].usable():
			role = chart.Muted
		case i == p.cursor:
			role = chart.Title
		}
		write(g, y+i-p.top, p.mark(list[i], i == p.cursor)+p.line(columns, list[i]), p.glyphs, role)
	}
	y += l.rows + l.gap
	if c := p.current(); c != nil && l.details > 0 {
		lines := p.wrap(c.details())
		for i := range min(l.details, len(lines)) {
			write(g, y+i, lines[i], p.glyphs, chart.Text)
		}
	}
	if l.footer > 0 {
		p.drawFooter(g, len(g)-1)
	}
	return g
}

// markWidth is the width of a line's mark: the cursor, and whether the NIC is chosen.
const markWidth = 6

// mark is what a line begins with. What can be chosen has brackets: the state needs no colour.
func (p *picker) mark(c *Choice, here bool) string {
	cursor, box := "  ", "[ ] "
	if here {
		cursor = "> "
	}
	switch {
	case slices.Contains(p.chosen, c.Name):
		box = "[x] "
	case !c.usable():
		box = " -  "
	}
	return cursor + box
}

// column is a column of the list.
type column struct {
	title string
	text  func(*Choice) string
	width int
	spare bool // not needed by those that cannot be chosen, whose reason is in its place
}

// The least width of a reason in the place of columns.
const minReason = 30

// columns returns the columns that fit, as wide as their texts; those on the left come first.
func (p *picker) columns() (list []column) {
	all := []column{
		{title: "NIC", text: func(c *Choice) string { return c.Name }},
		{title: "LINK", text: (*Choice).linkText},
		{title: "SPEED", text: (*Choice).speedText},
		{title: "", text: (*Choice).sshText, spare: true},
		{title: "ADDRESS", text: (*Choice).addressText, spare: true},
		{title: "MANAGED BY", text: func(c *Choice) string { return dash(c.Manager) }, spare: true},
		{title: "DRIVER", text: func(c *Choice) string { return dash(c.Driver) }, spare: true},
	}
	used := markWidth
	for i, col := range all {
		col.width = len(col.title)
		for j := range p.nics {
			if c := &p.nics[j]; c.usable() || !col.spare {
				col.width = max(col.width, utf8.RuneCountInString(col.text(c)))
			}
		}
		if col.width == 0 || i > 0 && used+col.width > p.width {
			continue
		}
		used += col.width + 2
		list = append(list, col)
	}
	return list
}

// line writes a NIC in columns, or the heads of the columns for nil.
func (p *picker) line(columns []column, c *Choice) string {
	var b strings.Builder
	room := p.width - markWidth
	for _, col := range columns {
		if !col.spare {
			room -= col.width + 2
		}
	}
	for i, col := range columns {
		text := col.title
		switch {
		case c != nil && !c.usable() && (col.spare || i > 0 && room < minReason):
			continue
		case c != nil:
			text = col.text(c)
		}
		text = p.glyphs.Clean(text)
		b.WriteString(text + strings.Repeat(" ", max(col.width-utf8.RuneCountInString(text), 0)+2))
	}
	if c != nil && !c.usable() {
		b.WriteString(c.Why)
	}
	return p.clip(strings.TrimRight(b.String(), " "), p.width-markWidth)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// drawTitle writes what is chosen for, how many are, and which part of the list is on the screen.
func (p *picker) drawTitle(g chart.Grid, y int) {
	shown := len(p.shown())
	right := fmt.Sprintf("%d chosen", len(p.chosen))
	if shown > p.rows() {
		right += fmt.Sprintf(", %d-%d of %d", p.top+1, min(p.top+p.rows(), shown), shown)
	}
	if p.filter != "" {
		right += fmt.Sprintf(", %d of %d match", shown, len(p.nics))
	}
	text := p.title
	if gap := p.width - utf8.RuneCountInString(text) - len(right); gap >= 2 {
		text += strings.Repeat(" ", gap) + right
	}
	write(g, y, p.clip(text, p.width), p.glyphs, chart.Title)
}

// drawFooter writes the filter, a notice or the keys.
func (p *picker) drawFooter(g chart.Grid, y int) {
	switch {
	case p.typing:
		write(g, y, fmt.Sprintf("filter: %s_  (Enter, or Esc for all)", p.filter), p.glyphs, chart.EventRole)
	case p.notice != "":
		write(g, y, p.clip(p.notice, p.width), p.glyphs, chart.EventRole)
	default:
		write(g, y, p.fit(
			"Space choose   Enter "+p.enter+"   / filter   r read again   "+p.leave,
			"Space choose  Enter "+p.enter+"  / filter  "+p.leave,
			"Space  Enter "+p.enter+"  "+p.leave), p.glyphs, chart.Label)
	}
}

// fit returns the first text that fits the screen, else the last.
func (s screen) fit(texts ...string) string {
	for _, t := range texts {
		if utf8.RuneCountInString(t) <= s.width {
			return t
		}
	}
	return s.clip(texts[len(texts)-1], s.width)
}
