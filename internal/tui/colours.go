// SPDX-License-Identifier: MIT

package tui

import (
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"

	"nicteam/monitor/chart"
)

// ansi are the layers' colours on a terminal of sixteen colours: distinct on dark and light backgrounds.
var ansi = []string{"4", "3", "2", "5", "6", "1", "11", "8"}

// palette maps roles to styles of a terminal.
type palette struct {
	layers  bool // the layers have colours and need no patterns
	styled  bool
	profile colorprofile.Profile
	cache   map[chart.Role]pen
}

// newPalette returns the palette of a terminal with 16 million, 256, 16 or no colours.
func newPalette(p colorprofile.Profile) palette {
	return palette{layers: p >= colorprofile.ANSI, styled: p >= colorprofile.ASCII, profile: p,
		cache: map[chart.Role]pen{}}
}

// pen is the escape sequences of a style, before and after a text. Cells have width one and need no layout, which is
// most of the work of a lipgloss style.
type pen struct{ before, after string }

func (p palette) pen(r chart.Role) pen {
	if one, ok := p.cache[r]; ok {
		return one
	}
	var one pen
	one.before, one.after, _ = strings.Cut(p.style(r).Render("x"), "x")
	p.cache[r] = one
	return one
}

// style returns the style of a role. Texts keep the terminal's own colour, which is readable on its background.
func (p palette) style(r chart.Role) lipgloss.Style {
	s := lipgloss.NewStyle()
	switch r {
	case chart.Text, chart.Peak:
	case chart.Title:
		s = s.Bold(true)
	case chart.AxisRole, chart.Label:
		if p.profile >= colorprofile.ANSI256 {
			s = s.Foreground(lipgloss.Color("245"))
		}
	case chart.Muted:
		if s = s.Faint(true); p.profile >= colorprofile.ANSI256 {
			s = lipgloss.NewStyle().Foreground(lipgloss.Color("245"))
		}
	default:
		c := r.Color(true)
		basic := map[chart.Role]string{chart.In: "4", chart.Out: "3", chart.Good: "2", chart.Bad: "1",
			chart.EventRole: "1"}[r]
		if i, ok := r.Layer(); ok {
			basic = ansi[i%len(ansi)]
		}
		s = s.Foreground(lipgloss.Complete(p.profile)(lipgloss.Color(basic), c, c))
	}
	return s
}

// paint renders the grid with escape sequences.
func (p palette) paint(g chart.Grid) string {
	var b strings.Builder
	for y, row := range g {
		if y > 0 {
			b.WriteByte('\n')
		}
		for x := 0; x < len(row); {
			var one pen
			role := row[x].Role
			if p.styled {
				one = p.pen(role)
			}
			b.WriteString(one.before)
			for ; x < len(row) && (row[x].Role == role || row[x].Rune == ' '); x++ {
				b.WriteRune(row[x].Rune)
			}
			b.WriteString(one.after)
		}
	}
	return b.String()
}
