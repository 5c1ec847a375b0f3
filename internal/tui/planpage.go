// SPDX-License-Identifier: MIT

package tui

import (
	"strings"

	"nicteam/monitor/chart"
)

// planPage shows what a choice of NICs would change. Its methods return a changed copy.
type planPage struct {
	title string
	known bool     // the plan has arrived
	lines []string // of the plan, or of the error
	fails bool     // lines are an error
	top   int      // the first line on the screen, of those that are broken to its width

	screen
}

// with adds the plan.
func (p *planPage) with(lines []string, err error) *planPage {
	next := *p
	next.known, next.lines = true, lines
	if err != nil {
		next.fails, next.lines = true, problemLines(err)
		if len(lines) > 0 {
			next.lines = append(append(next.lines, ""), lines...)
		}
	}
	return &next
}

func (p *planPage) resized(s screen) *planPage {
	next := *p
	next.screen = s
	return next.scrolled("")
}

// accepts reports whether Enter may make the team: only of a plan that is on the screen.
func (p *planPage) accepts() bool { return p.known && !p.fails }

// scrolled moves the part on the screen.
func (p *planPage) scrolled(key string) *planPage {
	next := *p
	switch key {
	case "up", "k":
		next.top--
	case "down", "j":
		next.top++
	case "pgup":
		next.top -= p.rows()
	case "pgdown", "space":
		next.top += p.rows()
	case "home", "g":
		next.top = 0
	case "end", "G":
		next.top = len(p.broken())
	}
	next.top = max(min(next.top, len(p.broken())-p.rows()), 0)
	return &next
}

// rows is how many lines of the plan are on the screen; a large one has blank lines around them.
func (p *planPage) rows() int {
	if p.height < 10 {
		return max(p.height-2, 1)
	}
	return p.height - 4
}

// planLine is a line of the screen.
type planLine struct {
	text string
	role chart.Role
}

// broken returns the lines, broken to the screen's width.
func (p *planPage) broken() (list []planLine) {
	for _, l := range p.lines {
		role := chart.Text
		if strings.HasPrefix(l, "warning: ") || strings.HasPrefix(l, "error: ") {
			role = chart.EventRole
		}
		for _, part := range p.wrap(l) {
			list = append(list, planLine{part, role})
		}
	}
	return list
}

func (p *planPage) grid() chart.Grid {
	g := p.blank()
	keys := p.fit("Enter make it   Esc back   q leave", "Enter  Esc back  q leave", "Enter Esc q")
	switch {
	case !p.known:
		keys = p.fit("Esc back   q leave", "Esc q")
		if p.height >= 4 {
			write(g, 2, "reading what would change …", p.glyphs, chart.Text)
		}
	case p.fails:
		keys = p.fit("Esc back, nothing is changed   q leave", "Esc back  q leave", "Esc q")
	}
	all := p.broken()
	if p.top > 0 || len(all) > p.rows() {
		keys = p.fit(keys+"   Up Down scroll", keys)
	}
	write(g, p.height-1, keys, p.glyphs, chart.Label)
	if p.height < 4 { // the first lines matter most
		for y := range p.height - 1 {
			if i := p.top + y; i < len(all) {
				write(g, y, all[i].text, p.glyphs, all[i].role)
			}
		}
		return g
	}
	write(g, 0, p.clip(p.title, p.width), p.glyphs, chart.Title)
	begin := 1
	if p.height >= 10 {
		begin = 2
	}
	for y := range p.rows() {
		if i := p.top + y; i < len(all) {
			write(g, begin+y, all[i].text, p.glyphs, all[i].role)
		}
	}
	return g
}
