// SPDX-License-Identifier: MIT

package tui

import (
	"context"
	"errors"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"nicteam/internal/api"
	"nicteam/monitor/chart"
)

// ErrLeft is returned by Pick if the user left without a choice.
var ErrLeft = errors.New("left without a choice")

// PickOptions of Pick.
type PickOptions struct {
	Team   string
	Screen chart.Options // its Width, Height and Glyphs

	Choices []Choice
	Reread  func(context.Context) ([]Choice, error)

	// Plan says what a team of these NICs would change. Its error is why there cannot be one, and may come with the
	// plan. nil: the choice is all that is wanted.
	Plan func(context.Context, []string) ([]string, error)
}

// Pick has the user choose the NICs of a new team, shows the plan of each choice, and returns the choice whose plan was
// accepted. It changes nothing, and restores the terminal.
func Pick(ctx context.Context, o PickOptions, t Terminal) ([]string, error) {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	p := tea.NewProgram(newPickModel(inner, o), tea.WithContext(ctx), tea.WithInput(t.In), tea.WithOutput(t.Out),
		tea.WithEnvironment(t.Env), tea.WithoutSignalHandler(), tea.WithFPS(30), tea.WithFilter(knownSize))
	m, err := p.Run()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, tea.ErrInterrupted):
		return nil, ErrInterrupted
	case err != nil:
		return nil, err
	}
	if names := m.(pickModel).result; len(names) > 0 {
		return names, nil
	}
	return nil, ErrLeft
}

// pickModel is the state of Pick: the list, and over it the plan of a choice.
type pickModel struct {
	ctx     context.Context
	o       PickOptions
	list    picker
	plan    *planPage // nil: the list is on the screen
	asked   int       // number of the last plan that was asked for
	result  []string
	colours palette
}

// nicsMsg is the list, read again.
type nicsMsg struct {
	nics []Choice
	err  error
}

// planMsg is the plan of a choice.
type planMsg struct {
	number int
	lines  []string
	err    error
}

func newPickModel(ctx context.Context, o PickOptions) pickModel {
	m := pickModel{ctx: ctx, o: o, colours: newPalette(colorprofile.NoTTY)}
	m.list = picker{title: "Create " + o.Team + ": choose its NICs", enter: "plan", leave: "q leave"}
	if o.Plan == nil {
		m.list.enter = "go on"
	}
	m.list.glyphs = o.Screen.Glyphs
	m.list.resize(o.Screen.Width, o.Screen.Height)
	m.list.setNICs(o.Choices)
	return m
}

// Init does nothing.
func (m pickModel) Init() tea.Cmd { return nil }

// Update handles a message.
func (m pickModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		return m.key(msg)
	case tea.WindowSizeMsg:
		m.list.resize(msg.Width, msg.Height)
		m.list.clamp()
		if m.plan != nil {
			m.plan = m.plan.resized(m.list.screen)
		}
	case tea.ColorProfileMsg:
		m.colours = newPalette(msg.Profile)
	case nicsMsg:
		if msg.err != nil {
			m.list.notice = "read the NICs: " + why(msg.err)
		} else {
			m.list.setNICs(msg.nics)
		}
	case planMsg:
		if m.plan != nil && msg.number == m.asked {
			m.plan = m.plan.with(msg.lines, msg.err)
		}
	}
	return m, nil
}

func (m pickModel) key(k tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	switch name := k.String(); {
	case name == "ctrl+c":
		return m, tea.Interrupt
	case name == "ctrl+z":
		return m, tea.Suspend
	case m.plan != nil && name == "q":
		return m, tea.Quit
	case m.plan != nil && name == "esc":
		m.plan = nil
		return m, nil
	case m.plan != nil && name == "enter":
		if !m.plan.accepts() {
			return m, nil
		}
		m.result = m.list.chosen
		return m, tea.Quit
	case m.plan != nil:
		m.plan = m.plan.scrolled(name)
		return m, nil
	}
	switch m.list.key(k) {
	case pickerLeave:
		return m, tea.Quit
	case pickerReread:
		read, ctx := m.o.Reread, m.ctx
		return m, func() tea.Msg {
			nics, err := read(ctx)
			return nicsMsg{nics, err}
		}
	case pickerDone:
		if m.o.Plan == nil {
			m.result = m.list.chosen
			return m, tea.Quit
		}
		m.asked++
		title := "Create " + m.o.Team + " of " + names(m.list.chosen)
		if len(m.list.ssh()) > 0 {
			title += ": your SSH session goes by " + names(m.list.ssh())
		}
		m.plan = &planPage{title: title, screen: m.list.screen}
		plan, ctx, number, list := m.o.Plan, m.ctx, m.asked, m.list.chosen
		return m, func() tea.Msg {
			lines, err := plan(ctx, list)
			return planMsg{number, lines, err}
		}
	}
	return m, nil
}

// View is the screen.
func (m pickModel) View() tea.View {
	v := tea.NewView(m.colours.paint(m.grid()))
	v.AltScreen = true
	v.WindowTitle = "nicteam create " + m.o.Team
	return v
}

func (m pickModel) grid() chart.Grid {
	if m.plan != nil {
		return m.plan.grid()
	}
	return m.list.grid()
}

// problemLines are an error in lines.
func problemLines(err error) []string {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return []string{"error: " + err.Error()}
	}
	lines := []string{"error: " + p.What, "why: " + p.Why, "fix: " + p.Fix}
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l), " ")
	}
	return lines
}
