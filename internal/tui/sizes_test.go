// SPDX-License-Identifier: MIT

//go:build !race

package tui

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"nicteam/monitor/chart"
)

// TestSizes: whatever the size, the screen has it, with a question, a help and a lost team too.
func TestSizes(t *testing.T) {
	m, _ := opened(t)
	for _, keys := range [][]string{nil, {"?"}, {"a", "e"}, {"v", "tab"}} {
		for _, glyphs := range []chart.Glyphs{chart.Braille, chart.Block, chart.ASCII} {
			for _, w := range []int{0, 1, 2, 7, 19, 20, 39, 40, 59, 60, 80, 100, 211} {
				for _, h := range []int{0, 1, 2, 3, 4, 9, 10, 15, 16, 24, 28, 60} {
					m := m
					m.draw.Glyphs = glyphs
					m = run(t, m, tea.WindowSizeMsg{Width: w, Height: h})
					m = run(t, m, press(keys...)...)
					g := m.Grid()
					wantW, wantH := w, h
					if w == 0 || h == 0 { // a serial console does not know its size
						wantW, wantH = 80, 24
					}
					if len(g) != wantH || len(g[0]) != wantW {
						t.Fatalf("%v %d×%d: the screen has %d×%d", keys, w, h, len(g[0]), len(g))
					}
					if text := g.String(); glyphs == chart.ASCII &&
						strings.ContainsFunc(text, func(r rune) bool { return r > 0x7e || r < ' ' && r != '\n' }) {
						t.Fatalf("%v %d×%d: not ASCII:\n%s", keys, w, h, text)
					}
				}
			}
		}
	}
	m = run(t, m, tea.WindowSizeMsg{Width: 30, Height: 1})
	if got := m.Grid().String(); !strings.Contains(got, "▲ 983M") {
		t.Errorf("one line says %q", got)
	}
}
