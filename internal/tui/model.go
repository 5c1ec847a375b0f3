// SPDX-License-Identifier: MIT

package tui

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/monitor/chart"
)

// Options configure the view at its start.
type Options struct {
	Team, NIC string // NIC "" is the whole team
	Draw      chart.Options
	Dir       string // where pictures are saved

	// NICs reads the NICs of the team's host from which a user chooses one to add. nil: their names are typed.
	NICs func(context.Context) ([]Choice, error)
	// ReadOnly is why this user cannot change the team, "" if it may be tried.
	ReadOnly string
}

// Model is the state of the view. Its messages are keys, sizes and data of the team.
type Model struct {
	src Source
	ctx context.Context

	name   string
	status *api.Status
	events []api.Event
	team   *window // live, whole team
	nic    *window // live, the selected NIC; nil for the team
	past   *window // the history that ends at end; nil until it has arrived

	draw       chart.Options
	fixed      chart.Scale // of --scale, to which the key s returns
	selected   string      // NIC, "" for the team
	end        time.Time   // frozen or scrolled back: the end of what is shown; zero is live
	fetching   bool        // a request for history is pending
	refetch    bool        // send another one after it
	second     int64       // number of the last second with rates
	lastRates  time.Time   // when they arrived
	now        time.Time
	lostReason string
	lostAt     time.Time
	help       bool
	prompt     *prompt
	readNICs   func(context.Context) ([]Choice, error)
	reading    bool    // readNICs runs
	picker     *picker // the list of NICs to add, nil: it is not on the screen
	readOnly   string
	notice     string
	noticed    time.Time
	dir        string
	colours    palette
	frame      string // what View shows; redrawn on each change
}

// historyMsg is the answer to a request for history.
type historyMsg struct {
	who   string
	step  time.Duration
	until time.Time
	doc   *api.History
	err   error
}

// noticeMsg is a text for the last line.
type noticeMsg string

// most of events that are kept.
const maxEvents = 1000

// newModel returns a view of the status and history fetched at the start.
func newModel(ctx context.Context, src Source, o Options, st *api.Status, h *api.History, now time.Time) Model {
	m := Model{src: src, ctx: ctx, name: o.Team, status: st, draw: o.Draw, selected: o.NIC, dir: o.Dir, now: now,
		lastRates: now, colours: newPalette(colorprofile.NoTTY), readNICs: o.NICs, readOnly: o.ReadOnly}
	m.draw.Solid = false
	if o.Draw.Scale.Kind == chart.Fixed {
		m.fixed = o.Draw.Scale
	}
	m.events = append(m.events, h.Events...)
	b := newWindow(h)
	if b.nic == "" {
		m.team = b
	} else {
		m.nic, m.team = b, &window{step: b.step}
	}
	m.resize(o.Draw.Width, o.Draw.Height)
	m.redraw()
	return m
}

// Init starts the clock.
func (m Model) Init() tea.Cmd { return tea.Batch(tick(), refetchLater()) }

func tick() tea.Cmd { return tea.Tick(time.Second, func(t time.Time) tea.Msg { return tickMsg(t) }) }

// refetchMsg requests the history again, when the second in which the view opened is complete.
type refetchMsg struct{}

func refetchLater() tea.Cmd {
	return tea.Tick(2*time.Second, func(time.Time) tea.Msg { return refetchMsg{} })
}

// Update handles a message.
func (m Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	changed := true
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		m, cmd = m.key(msg)
	case tea.WindowSizeMsg:
		m.resize(msg.Width, msg.Height)
		cmd = m.fetch()
	case tea.ColorProfileMsg:
		m.colours = newPalette(msg.Profile)
		m.draw.Solid = m.colours.layers
	case tickMsg:
		was, notice, wait := m.header(), m.notice, m.waits()
		m.now = time.Time(msg)
		if m.now.Sub(m.noticed) > 8*time.Second {
			m.notice = ""
		}
		changed = was != m.header() || notice != m.notice || wait != m.waits()
		cmd = tick()
	case refetchMsg:
		cmd = m.fetch()
	case statusMsg:
		m.status, m.lostReason, m.lastRates = msg.status, "", m.now
		if msg.back {
			cmd = tea.Batch(m.fetch(), refetchLater())
		}
	case ratesMsg:
		m.rates(msg.rates)
		if m.nic != nil {
			cmd = m.recent()
		}
	case eventsMsg:
		if msg.first {
			m.events = nil
		}
		m.events = append(m.events, msg.events...)
		if len(m.events) > maxEvents {
			m.events = append([]api.Event(nil), m.events[len(m.events)-maxEvents:]...)
		}
	case disconnectedMsg:
		if m.lostReason == "" {
			m.lostAt = m.now
		}
		m.lostReason = msg.why
	case historyMsg:
		cmd = m.history(msg)
	case recentMsg:
		if m.nic != nil && m.nic.nic == msg.who && msg.doc != nil {
			t := newWindow(msg.doc)
			if t.step == m.nic.step {
				m.nic.mergeRecent(t)
			}
		}
	case nicsMsg:
		m.choose(msg)
	case noticeMsg:
		m.notify(string(msg))
	}
	if changed {
		m.redraw()
	}
	return m, cmd
}

// redraw renders the screen.
func (m *Model) redraw() {
	d := m.data()
	m.draw.Axis = m.draw.Axis.Follow(d, m.draw) // adapts the scale
	m.frame = m.colours.paint(m.grid(d))
}

// notify shows a line for a while.
func (m *Model) notify(s string) { m.notice, m.noticed = s, m.now }

// rates adds the rates of a second. It numbers seconds consecutively, so that a message that arrives early or late
// neither doubles nor skips one.
func (m *Model) rates(r *api.Rates) {
	m.lostReason, m.lastRates = "", m.now
	middle := r.Time.Add(-time.Duration(r.Interval) / 2).Unix()
	second := m.second + 1
	if off := middle - second; m.second == 0 || off > 1 || off < -1 {
		second = middle
	}
	m.second = second
	m.team.add(second, r)
	if m.nic != nil {
		m.nic.add(second, r)
	}
}

// live returns the live window of the team or the selected NIC.
func (m *Model) live() *window {
	if m.nic != nil {
		return m.nic
	}
	return m.team
}

// shown returns the window on the screen.
func (m *Model) shown() *window {
	switch {
	case m.end.IsZero():
		return m.live()
	case m.past != nil:
		return m.past.before(m.end)
	}
	return m.live().before(m.end)
}

// step is the length of a column of the period shown.
func (m *Model) step() time.Duration { return stepFor(m.draw.Last) }

// fetch requests the history of the period shown; one request at a time.
func (m *Model) fetch() tea.Cmd {
	if m.fetching {
		m.refetch = true
		return nil
	}
	m.fetching, m.refetch = true, false
	ask := historyMsg{who: m.selected, step: m.step(), until: m.end}
	o := control.HistoryOptions{Member: ask.who, Step: ask.step, To: ask.until, Last: m.span(ask.step)}
	src, ctx := m.src, m.ctx
	return func() tea.Msg {
		ask.doc, ask.err = src.History(ctx, o)
		return ask
	}
}

// span is how much history fills the screen.
func (m *Model) span(step time.Duration) time.Duration {
	o := m.draw
	from, to := chart.Span(chart.Data{End: m.now, Step: step}, o)
	return (max(to.Sub(from), o.Last) + 4*step).Truncate(time.Second)
}

// history adopts an answer, unless the selection has changed since the request.
func (m *Model) history(h historyMsg) tea.Cmd {
	m.fetching = false
	switch {
	case h.err != nil && m.lostReason == "":
		m.notify("history: " + why(h.err))
	case h.err != nil:
	case h.who != m.selected || h.step != m.step() || !h.until.Equal(m.end):
	case !h.until.IsZero():
		m.past = newWindow(h.doc)
	case h.who == "":
		b := newWindow(h.doc)
		b.mergeLive(m.team)
		m.team = b
	default:
		b := newWindow(h.doc)
		b.mergeLive(m.nic)
		m.nic = b
	}
	if m.refetch {
		return m.fetch()
	}
	return nil
}

// recentMsg is the history of the last seconds of a NIC: the rates lack its protocols.
type recentMsg struct {
	who string
	doc *api.History
}

func (m *Model) recent() tea.Cmd {
	src, ctx, who, step := m.src, m.ctx, m.selected, m.nic.step
	return func() tea.Msg {
		doc, err := src.History(ctx, control.HistoryOptions{Member: who, Step: step, Last: 4 * step})
		if err != nil {
			return recentMsg{who: who}
		}
		return recentMsg{who, doc}
	}
}

// selectNIC shows a NIC, or the team for "".
func (m *Model) selectNIC(nic string) tea.Cmd {
	m.selected, m.past = nic, nil
	m.nic = nil
	if nic != "" {
		m.nic = m.team.memberWindow(nic)
	}
	m.draw.Axis = chart.Axis{}
	return m.fetch()
}

// resize adopts the size of the screen. A serial console, which does not know it, reports 0 × 0.
func (m *Model) resize(width, height int) {
	if width <= 0 || height <= 0 {
		width, height = defaultWidth, defaultHeight
	}
	m.draw.Width, m.draw.Height = width, height
	if m.picker != nil {
		p := *m.picker
		p.resize(width, height)
		p.clamp()
		m.picker = &p
	}
}

// The size assumed for a screen that does not report one.
const defaultWidth, defaultHeight = 80, 24

// data returns the chart's data with its header.
func (m *Model) data() chart.Data {
	d := m.shown().chartData(m.status, m.events, m.now)
	d.End = d.End.Local()
	d.Name = m.header()
	return d
}

// header is the name, the state, and whether the view is stopped or has lost the team.
func (m *Model) header() string {
	name := m.name
	if m.selected != "" {
		name += "/" + m.selected
	}
	if m.lostReason != "" {
		return fmt.Sprintf("%s · lost at %s, waiting: %s", name, m.lostAt.Format(time.TimeOnly), m.lostReason)
	}
	up := 0
	for i := range m.status.Members {
		if s := m.status.Members[i].State; s == "up" || s == "standby" {
			up++
		}
	}
	name += fmt.Sprintf(" · %s · %d/%d up", m.status.Mode, up, len(m.status.Members))
	if silent := m.now.Sub(m.lastRates).Truncate(time.Second); silent >= 3*time.Second {
		name += fmt.Sprintf(" · no data for %v", silent)
	}
	if !m.end.IsZero() {
		name += " · stopped at " + m.end.Local().Format(time.TimeOnly)
	}
	return name
}

// export returns the command that saves a picture of the screen.
func (m *Model) export() tea.Cmd {
	d, o := m.data(), m.draw
	// A copy: the live windows keep changing.
	d.Members, d.Protocols, d.Total = slices.Clone(d.Members), slices.Clone(d.Protocols), copied(d.Total)
	for i := range d.Members {
		d.Members[i].Series = copied(d.Members[i].Series)
	}
	for i := range d.Protocols {
		d.Protocols[i] = copied(d.Protocols[i])
	}
	o.Width, o.Height, o.Axis = 0, 0, chart.Axis{}
	base := m.name
	if m.selected != "" {
		base += "-" + m.selected
	}
	file := filepath.Join(m.dir, base+"-"+d.End.Format("20060102-150405")+".svg")
	return func() tea.Msg {
		if err := save(file, d, o); err != nil {
			return noticeMsg(err.Error())
		}
		return noticeMsg("saved " + file)
	}
}

func copied(s chart.Series) chart.Series {
	s.In, s.Out = slices.Clone(s.In), slices.Clone(s.Out)
	return s
}
