// SPDX-License-Identifier: MIT

package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"nicteam/monitor/chart"
)

// footers: the first that fits is shown.
var footers = []string{
	"? help  u unit  s scale  v view  Tab NIC  o own scale  ␣ freeze  ←→ time  +- zoom  e export  a add  " +
		"d remove  q quit",
	"? help u unit s scale v view Tab NIC o own ␣ freeze ←→ time +- zoom e export a add d remove q quit",
	"? help u unit s scale v view Tab NIC o own ␣ freeze ←→ +- e save a d q quit",
	"? help u s v Tab NIC o ␣ freeze ←→ +- e save a d q quit",
	"? help u s v Tab o ␣ ←→ +- e a d q quit",
}

// View is the screen.
func (m Model) View() tea.View {
	v := tea.NewView(m.frame)
	v.AltScreen = true
	v.WindowTitle = "nicteam " + m.name
	return v
}

// Grid is the screen without colours.
func (m Model) Grid() chart.Grid { return m.grid(m.data()) }

func (m *Model) grid(d chart.Data) chart.Grid {
	if m.help {
		return m.helpGrid()
	}
	if m.picker != nil {
		return m.picker.grid()
	}
	o := m.draw
	line := m.line()
	o.Footer = line
	if line == "" {
		o.Footer = footer(o.Width-5, o.Glyphs)
	}
	if o.Width < 60 || o.Height < 16 {
		o.Footer = ""
	}
	g := chart.Screen(d, o)
	if line != "" && o.Footer == "" { // no frame to write into
		write(g, len(g)-1, line, o.Glyphs, chart.EventRole)
	}
	return g
}

// line is the text of the last line instead of the keys.
func (m *Model) line() string {
	if m.prompt != nil {
		return m.prompt.text(m.name)
	}
	if m.notice == "" {
		return m.pendingText()
	}
	return m.notice
}

func footer(width int, g chart.Glyphs) string {
	if g == chart.ASCII {
		width -= 6 // ASCII names of the space bar and the arrows are longer
	}
	for _, f := range footers {
		if len([]rune(f)) <= width {
			return f
		}
	}
	return footers[len(footers)-1]
}

// helpGrid draws the list of keys.
func (m *Model) helpGrid() chart.Grid {
	w, h := m.draw.Width, m.draw.Height
	g := make(chart.Grid, h)
	for y := range g {
		g[y] = make([]chart.Cell, w)
		for x := range g[y] {
			g[y][x].Rune = ' '
		}
	}
	if h < 3 || w < 20 {
		write(g, 0, "q quit, ? back", m.draw.Glyphs, chart.Title)
		return g
	}
	write(g, 0, "keys (? goes back)", m.draw.Glyphs, chart.Title)
	for i, k := range keysHelp {
		row := i + 1
		if len(keysHelp)+1 < h {
			row++
		}
		if row >= h-1 && i < len(keysHelp)-1 { // the last line shows how to leave
			row, k = h-1, keysHelp[len(keysHelp)-1]
			i = len(keysHelp) - 1
		}
		text := k[0] + strings.Repeat(" ", max(15-len(k[0]), 1)) + k[1]
		write(g, row, text, m.draw.Glyphs, chart.Text)
		if i == len(keysHelp)-1 {
			break
		}
	}
	return g
}

// write puts a text into a row, truncated and without control characters.
func write(g chart.Grid, row int, text string, glyphs chart.Glyphs, role chart.Role) {
	x := 0
	for _, r := range glyphs.Clean(text) {
		if x >= len(g[row]) {
			return
		}
		g[row][x] = chart.Cell{Rune: r, Role: role}
		x++
	}
	for ; x < len(g[row]); x++ {
		g[row][x] = chart.Cell{Rune: ' '}
	}
}
