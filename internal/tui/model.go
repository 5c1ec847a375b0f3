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

// Options say how the view begins.
type Options struct {
	Team, NIC string // NIC "" is the whole team
	Draw      chart.Options
	Dir       string // where pictures are saved
}

// Model is the state of the view. Its messages are keys, sizes and what the team says.
type Model struct {
	src Source
	ctx context.Context

	name   string
	status *api.Status
	events []api.Event
	team   *block // live, whole team
	nic    *block // live, the NIC that is chosen; nil for the team
	past   *block // as of until, nil until it is there

	draw    chart.Options
	fixed   chart.Scale // that --scale gave, for its key
	chosen  string      // NIC, "" for the team
	until   time.Time   // frozen or scrolled back: the end of what is shown; zero is live
	asking  bool        // a history is under way
	again   bool        // and another is wanted then
	second  int64       // number of the last second that the rates told of
	heard   time.Time   // when they did
	now     time.Time
	lost    string
	lostAt  time.Time
	help    bool
	prompt  *prompt
	notice  string
	noticed time.Time
	dir     string
	colours palette
	frame   string // what View shows; made anew when something has changed
}

// historyMsg answers what the view asked for.
type historyMsg struct {
	who   string
	step  time.Duration
	until time.Time
	doc   *api.History
	err   error
}

// noticeMsg is something to tell in the last line.
type noticeMsg string

// most of events that are kept.
const mostEvents = 1000

// newModel is a view of what was asked at the beginning.
func newModel(ctx context.Context, src Source, o Options, st *api.Status, h *api.History, now time.Time) Model {
	m := Model{src: src, ctx: ctx, name: o.Team, status: st, draw: o.Draw, chosen: o.NIC, dir: o.Dir, now: now,
		heard: now, colours: newPalette(colorprofile.NoTTY)}
	m.draw.Solid = false
	if o.Draw.Scale.Kind == chart.Fixed {
		m.fixed = o.Draw.Scale
	}
	m.events = append(m.events, h.Events...)
	b := ofHistory(h)
	if b.who == "" {
		m.team = b
	} else {
		m.nic, m.team = b, &block{step: b.step}
	}
	m.resize(o.Draw.Width, o.Draw.Height)
	m.show()
	return m
}

// Init starts the clock.
func (m Model) Init() tea.Cmd { return tea.Batch(tick(), later()) }

func tick() tea.Cmd { return tea.Tick(time.Second, func(t time.Time) tea.Msg { return tickMsg(t) }) }

// seamMsg asks for the history once more: the second in which the view opened is complete then.
type seamMsg struct{}

func later() tea.Cmd { return tea.Tick(2*time.Second, func(time.Time) tea.Msg { return seamMsg{} }) }

// Update takes a message in.
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
		was, notice := m.header(), m.notice
		m.now = time.Time(msg)
		if m.now.Sub(m.noticed) > 8*time.Second {
			m.notice = ""
		}
		changed = was != m.header() || notice != m.notice
		cmd = tick()
	case seamMsg:
		cmd = m.fetch()
	case statusMsg:
		m.status, m.lost, m.heard = msg.status, "", m.now
		if msg.back {
			cmd = tea.Batch(m.fetch(), later())
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
		if len(m.events) > mostEvents {
			m.events = append([]api.Event(nil), m.events[len(m.events)-mostEvents:]...)
		}
	case lostMsg:
		if m.lost == "" {
			m.lostAt = m.now
		}
		m.lost = msg.why
	case historyMsg:
		cmd = m.history(msg)
	case tailMsg:
		if m.nic != nil && m.nic.who == msg.who && msg.doc != nil {
			t := ofHistory(msg.doc)
			if t.step == m.nic.step {
				m.nic.mend(t)
			}
		}
	case noticeMsg:
		m.say(string(msg))
	}
	if changed {
		m.show()
	}
	return m, cmd
}

// show makes the screen of what is known.
func (m *Model) show() {
	d := m.data()
	m.draw.Axis = m.draw.Axis.Follow(d, m.draw) // the scale keeps in step with what is shown
	m.frame = m.colours.paint(m.grid(d))
}

// say shows a line for a while.
func (m *Model) say(s string) { m.notice, m.noticed = s, m.now }

// rates counts a second. Seconds are counted on from the one before, so that a tick that comes a
// little early or late neither doubles one nor leaves one out.
func (m *Model) rates(r *api.Rates) {
	m.lost, m.heard = "", m.now
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

// live is what is going on in what is chosen.
func (m *Model) live() *block {
	if m.nic != nil {
		return m.nic
	}
	return m.team
}

// block is what is shown.
func (m *Model) block() *block {
	switch {
	case m.until.IsZero():
		return m.live()
	case m.past != nil:
		return m.past.until(m.until)
	}
	return m.live().until(m.until)
}

// step is the length of a column for what is shown.
func (m *Model) step() time.Duration { return stepFor(m.draw.Last) }

// fetch asks for the history of what is shown; one question at a time.
func (m *Model) fetch() tea.Cmd {
	if m.asking {
		m.again = true
		return nil
	}
	m.asking, m.again = true, false
	ask := historyMsg{who: m.chosen, step: m.step(), until: m.until}
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

// history takes an answer in, unless something else is shown meanwhile.
func (m *Model) history(h historyMsg) tea.Cmd {
	m.asking = false
	switch {
	case h.err != nil && m.lost == "":
		m.say("history: " + why(h.err))
	case h.err != nil:
	case h.who != m.chosen || h.step != m.step() || !h.until.Equal(m.until):
	case !h.until.IsZero():
		m.past = ofHistory(h.doc)
	case h.who == "":
		b := ofHistory(h.doc)
		b.keep(m.team)
		m.team = b
	default:
		b := ofHistory(h.doc)
		b.keep(m.nic)
		m.nic = b
	}
	if m.again {
		return m.fetch()
	}
	return nil
}

// tailMsg are the last seconds of one NIC: the rates do not tell its protocols.
type tailMsg struct {
	who string
	doc *api.History
}

func (m *Model) recent() tea.Cmd {
	src, ctx, who, step := m.src, m.ctx, m.chosen, m.nic.step
	return func() tea.Msg {
		doc, err := src.History(ctx, control.HistoryOptions{Member: who, Step: step, Last: 4 * step})
		if err != nil {
			return tailMsg{who: who}
		}
		return tailMsg{who, doc}
	}
}

// choose shows a NIC, or the team for "".
func (m *Model) choose(nic string) tea.Cmd {
	m.chosen, m.past = nic, nil
	m.nic = nil
	if nic != "" {
		m.nic = m.team.only(nic)
	}
	m.draw.Axis = chart.Axis{}
	return m.fetch()
}

// resize takes the size of the screen. One that does not know it, a serial console, says 0 × 0.
func (m *Model) resize(width, height int) {
	if width <= 0 || height <= 0 {
		width, height = defaultWidth, defaultHeight
	}
	m.draw.Width, m.draw.Height = width, height
}

// The size of a screen that does not know it.
const defaultWidth, defaultHeight = 80, 24

// data is what is to be drawn, with its header.
func (m *Model) data() chart.Data {
	d := m.block().data(m.status, m.events)
	d.End = d.End.Local()
	d.Name = m.header()
	return d
}

// header is the name and, where there is something out of the ordinary, what.
func (m *Model) header() string {
	name := m.name
	if m.chosen != "" {
		name += "/" + m.chosen
	}
	if m.lost != "" {
		return fmt.Sprintf("%s · lost at %s, waiting: %s", name, m.lostAt.Format(time.TimeOnly), m.lost)
	}
	up := 0
	for i := range m.status.Members {
		if s := m.status.Members[i].State; s == "up" || s == "standby" {
			up++
		}
	}
	name += fmt.Sprintf(" · %s · %d/%d up", m.status.Mode, up, len(m.status.Members))
	if silent := m.now.Sub(m.heard).Truncate(time.Second); silent >= 3*time.Second {
		name += fmt.Sprintf(" · silent for %v", silent)
	}
	if !m.until.IsZero() {
		name += " · stopped at " + m.until.Local().Format(time.TimeOnly)
	}
	return name
}

// export is the command that saves a picture of what is shown.
func (m *Model) export() tea.Cmd {
	d, o := m.data(), m.draw
	// the live ones go on changing
	d.Members, d.Protocols, d.Total = slices.Clone(d.Members), slices.Clone(d.Protocols), copied(d.Total)
	for i := range d.Members {
		d.Members[i].Series = copied(d.Members[i].Series)
	}
	for i := range d.Protocols {
		d.Protocols[i] = copied(d.Protocols[i])
	}
	o.Width, o.Height, o.Axis = 0, 0, chart.Axis{}
	base := m.name
	if m.chosen != "" {
		base += "-" + m.chosen
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
