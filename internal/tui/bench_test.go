// SPDX-License-Identifier: MIT

package tui

import (
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"nicteam/monitor/chart"
)

// BenchmarkSecond is the work of a watcher in a second: a sample, the clock, and a screen after each.
func BenchmarkSecond(b *testing.B) {
	f := &fake{}
	o := Options{Team: "team0", Draw: chart.Options{Width: 200, Height: 60}}
	st, h, err := Open(b.Context(), f, &o)
	if err != nil {
		b.Fatal(err)
	}
	var m tea.Model = newModel(b.Context(), f, o, st, h, epoch)
	m, _ = m.Update(tea.ColorProfileMsg{Profile: colorprofile.TrueColor})
	for i := 0; b.Loop(); i++ {
		at := epoch.Add(time.Duration(i+1) * time.Second)
		m, _ = m.Update(ratesMsg{rates(at)})
		_ = m.View()
		m, _ = m.Update(tickMsg(at))
		_ = m.View()
	}
}
