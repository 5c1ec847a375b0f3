package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"nicteam/monitor/chart"
)

// keysHelp is every key, as ? shows them.
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
	{"a", "add a NIC"},
	{"d", "remove a NIC"},
	{"?", "this list"},
	{"q, Esc, Ctrl-C", "quit"},
}

// key takes a key in.
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
		return m, m.choose(m.neighbour(1))
	case "shift+tab", "up":
		return m, m.choose(m.neighbour(-1))
	case "space":
		if m.until.IsZero() {
			m.until = m.live().end()
			return m, m.fetch()
		}
		return m, m.goOn()
	case "end":
		return m, m.goOn()
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
	case "a":
		m.prompt = &prompt{verb: "add"}
	case "d":
		m.prompt = &prompt{verb: "remove", name: m.chosen}
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

// neighbour is who comes after (or before) what is chosen: the team, then its NICs.
func (m *Model) neighbour(by int) string {
	names := []string{""}
	for i := range m.status.Members {
		names = append(names, m.status.Members[i].Name)
	}
	i := max(slices.Index(names, m.chosen), 0)
	return names[(i+by+len(names))%len(names)]
}

func (m *Model) goOn() tea.Cmd {
	if m.until.IsZero() {
		return nil
	}
	m.until, m.past = time.Time{}, nil
	m.draw.Axis = chart.Axis{}
	return m.fetch()
}

// oldest is how far back a team remembers.
const oldest = 24 * time.Hour

// scroll moves the end of what is shown; at the present it is live again.
func (m *Model) scroll(by time.Duration) tea.Cmd {
	live := m.live().end()
	from := m.until
	if from.IsZero() {
		from = live
	}
	to := from.Add(by).Truncate(m.step())
	if !to.Before(live) {
		return m.goOn()
	}
	if back := live.Add(-oldest); to.Before(back) {
		to = back.Truncate(m.step())
	}
	m.until = to
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

// prompt is a question about a NIC: its name first, then whether that is meant.
type prompt struct {
	verb, name string
	sure       bool // the name is typed; y does it
}

// text is the question in the last line.
func (p *prompt) text(team string) string {
	switch {
	case !p.sure:
		return fmt.Sprintf("%s which NIC? %s_  (Enter, or Esc for none)", p.verb, p.name)
	case p.verb == "add":
		return fmt.Sprintf("add %s to %s? y/n", p.name, team)
	}
	return fmt.Sprintf("remove %s from %s? y/n", p.name, team)
}

// answer takes a key in while a question stands.
func (m Model) answer(k tea.KeyPressMsg) (Model, tea.Cmd) {
	p := *m.prompt
	m.prompt = &p
	name := k.String()
	switch {
	case name == "esc", p.sure && name != "y" && name != "Y":
		m.prompt = nil
		m.say("nothing is changed")
	case p.sure:
		m.prompt = nil
		m.say(p.verb + " " + p.name + " …")
		return m, m.change(p.verb, p.name)
	case name == "enter":
		p.sure = p.name != ""
	case name == "backspace":
		if r := []rune(p.name); len(r) > 0 {
			p.name = string(r[:len(r)-1])
		}
	case name == "ctrl+u":
		p.name = ""
	case k.Text != "" && len(p.name)+len(k.Text) <= 15 && !strings.ContainsAny(k.Text, " /"):
		p.name += k.Text
	}
	return m, nil
}

// change is the command that adds or removes a NIC.
func (m *Model) change(verb, nic string) tea.Cmd {
	src, ctx := m.src, m.ctx
	return func() tea.Msg {
		var done []string
		var err error
		if verb == "add" {
			done, err = src.Add(ctx, []string{nic}, false)
		} else {
			done, err = src.Remove(ctx, []string{nic}, false)
		}
		if err != nil {
			return noticeMsg(verb + " " + nic + ": " + why(err))
		}
		return noticeMsg(strings.Join(done, "; "))
	}
}
