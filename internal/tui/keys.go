// SPDX-License-Identifier: MIT

package tui

import (
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"nicteam/monitor/chart"
)

// keysHelp lists the keys for ?.
var keysHelp = [][2]string{
	{"u", "unit: auto, packets, kbit, mbit, gbit"},
	{"s", "scale: fit, link, log"},
	{"v", "view: by NIC, by protocol, total"},
	{"Tab, up, down", "one NIC, or the whole team"},
	{"o", "NICs each with their own scale, or one for all"},
	{"space", "freeze, go on"},
	{"left, right", "back and forth in time"},
	{"PgUp, PgDn", "the same by whole screens"},
	{"End", "back to what goes on"},
	{"+ -", "shorter, longer period"},
	{"e", "save a picture (SVG) here"},
	{"a", "add NICs"},
	{"d", "remove a NIC"},
	{"c, r", "keep or undo a change that waits for confirmation"},
	{"?", "this list"},
	{"q, Esc, Ctrl-C", "quit"},
}

// key handles a key.
func (m Model) key(k tea.KeyPressMsg) (Model, tea.Cmd) {
	name := k.String()
	if name == "ctrl+c" {
		return m, tea.Interrupt
	}
	if name == "ctrl+z" {
		return m, tea.Suspend
	}
	if m.prompt != nil {
		return m.answer(k)
	}
	if m.picker != nil {
		return m.pick(k)
	}
	if m.help {
		m.help = false
		if name == "q" {
			return m, tea.Quit
		}
		if name == "?" || name == "esc" || name == "enter" {
			return m, nil
		}
	}
	m.notice = ""
	switch name {
	case "q", "esc":
		return m, tea.Quit
	case "?":
		m.help = true
	case "u":
		m.draw.Unit = (m.draw.Unit + 1) % (chart.Gbit + 1)
	case "s":
		m.draw.Scale = m.nextScale()
		m.draw.Axis = chart.Axis{}
	case "v":
		m.draw.View = (m.draw.View + 1) % (chart.Total + 1)
	case "o":
		m.draw.OwnScales = !m.draw.OwnScales
	case "tab", "down":
		return m, m.selectNIC(m.neighbour(1))
	case "shift+tab", "up":
		return m, m.selectNIC(m.neighbour(-1))
	case "space":
		if m.end.IsZero() {
			m.end = m.live().end()
			return m, m.fetch()
		}
		return m, m.resume()
	case "end":
		return m, m.resume()
	case "left":
		return m, m.scroll(-m.draw.Last / 4)
	case "right":
		return m, m.scroll(m.draw.Last / 4)
	case "pgup":
		return m, m.scroll(-m.draw.Last)
	case "pgdown":
		return m, m.scroll(m.draw.Last)
	case "+", "=":
		return m, m.zoom(false)
	case "-":
		return m, m.zoom(true)
	case "e":
		return m, m.export()
	case "a", "d":
		return m.startChange(name)
	case "c", "r":
		return m.settlePending(name)
	}
	return m, nil
}

func (m *Model) nextScale() chart.Scale {
	order := []chart.Scale{{Kind: chart.Fit}, {Kind: chart.Link}, {Kind: chart.Log}}
	if m.fixed.Kind == chart.Fixed {
		order = append(order, m.fixed)
	}
	return order[(slices.Index(order, m.draw.Scale)+1)%len(order)]
}

// neighbour returns the next or previous choice: the team, then its NICs.
func (m *Model) neighbour(by int) string {
	names := []string{""}
	for i := range m.status.Members {
		names = append(names, m.status.Members[i].Name)
	}
	i := max(slices.Index(names, m.selected), 0)
	return names[(i+by+len(names))%len(names)]
}

func (m *Model) resume() tea.Cmd {
	if m.end.IsZero() {
		return nil
	}
	m.end, m.past = time.Time{}, nil
	m.draw.Axis = chart.Axis{}
	return m.fetch()
}

// maxAge is how long a team keeps its history.
const maxAge = 24 * time.Hour

// scroll moves the end of the period shown; at the present the view is live again.
func (m *Model) scroll(by time.Duration) tea.Cmd {
	live := m.live().end()
	from := m.end
	if from.IsZero() {
		from = live
	}
	to := from.Add(by).Truncate(m.step())
	if !to.Before(live) {
		return m.resume()
	}
	if back := live.Add(-maxAge); to.Before(back) {
		to = back.Truncate(m.step())
	}
	m.end = to
	return m.fetch()
}

func (m *Model) zoom(out bool) tea.Cmd {
	last := zoom(m.draw.Last, out)
	if last == m.draw.Last {
		return nil
	}
	m.draw.Last = last
	m.draw.Axis = chart.Axis{}
	return m.fetch()
}

// periods are the periods that + and - choose.
var periods = []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
	30 * time.Minute,
	time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour}

// steps are the possible lengths of columns.
var steps = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute}

// maxScreenColumns columns for a wide screen, which has two dots a cell.
const maxScreenColumns = 500

// zoom chooses the next shorter period, with out the next longer one.
func zoom(last time.Duration, out bool) time.Duration {
	next := last
	for _, p := range periods {
		if out && p > last {
			return p
		}
		if !out && p < last {
			next = p
		}
	}
	return next
}

// stepFor returns the shortest step that does not give too many columns.
func stepFor(last time.Duration) time.Duration {
	for _, s := range steps {
		if last <= maxScreenColumns*s {
			return s
		}
	}
	return steps[len(steps)-1]
}
