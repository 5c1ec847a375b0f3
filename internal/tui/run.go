// SPDX-License-Identifier: MIT

package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/monitor/chart"
)

// ErrInterrupted is returned after Ctrl-C.
var ErrInterrupted = errors.New("interrupted")

// Terminal is the terminal of the view.
type Terminal struct {
	In  io.Reader
	Out io.Writer
	Env []string
}

// Run shows the view until the user quits or ctx ends, and restores the terminal. It fails if the team does not answer
// at the start.
func Run(ctx context.Context, src Source, o Options, t Terminal) error {
	st, h, err := Open(ctx, src, &o)
	if err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	m := newModel(inner, src, o, st, h, time.Now())
	p := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(t.In), tea.WithOutput(t.Out), tea.WithEnvironment(t.Env),
		tea.WithoutSignalHandler(), tea.WithFPS(30), tea.WithFilter(knownSize))
	done := make(chan struct{})
	go func() { defer close(done); follow(inner, src, p.Send) }()
	_, err = p.Run()
	cancel()
	<-done
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, tea.ErrInterrupted):
		return ErrInterrupted
	}
	return err
}

// knownSize replaces a size of 0 × 0, for which the library would draw nothing.
func knownSize(_ tea.Model, msg tea.Msg) tea.Msg {
	if size, ok := msg.(tea.WindowSizeMsg); ok && (size.Width <= 0 || size.Height <= 0) {
		return tea.WindowSizeMsg{Width: defaultWidth, Height: defaultHeight}
	}
	return msg
}

// Open fetches the first status and history, and completes o.
func Open(ctx context.Context, src Source, o *Options) (*api.Status, *api.History, error) {
	if o.Draw.Last == 0 {
		o.Draw.Last = 2 * time.Minute
	}
	st, err := src.Status(ctx)
	if err != nil {
		return nil, nil, err
	}
	if o.NIC != "" && !member(st, o.NIC) {
		return nil, nil, &api.Problem{Kind: api.NotFound, What: fmt.Sprintf("watch %s/%s", o.Team, o.NIC),
			Why: o.Team + " has no such member", Fix: "nicteam status " + o.Team + " shows its members"}
	}
	step := stepFor(o.Draw.Last)
	// Enough to fill the chart, which shows less than twice the period at any width.
	h, err := src.History(ctx, control.HistoryOptions{Member: o.NIC, Step: step, Last: 2*o.Draw.Last + 4*step})
	if err != nil {
		return nil, nil, err
	}
	return st, h, nil
}

func member(st *api.Status, nic string) bool {
	for i := range st.Members {
		if st.Members[i].Name == nic {
			return true
		}
	}
	return false
}

// Once returns the current screen as text.
func Once(ctx context.Context, src Source, o Options) (string, error) {
	d, err := now(ctx, src, &o)
	if err != nil {
		return "", err
	}
	return chart.Screen(d, o.Draw).String(), nil
}

// Plain returns the current data as sentences.
func Plain(ctx context.Context, src Source, o Options) (string, error) {
	d, err := now(ctx, src, &o)
	if err != nil {
		return "", err
	}
	return chart.Plain(d, o.Draw), nil
}

// now returns the current data without an incomplete last column.
func now(ctx context.Context, src Source, o *Options) (chart.Data, error) {
	st, h, err := Open(ctx, src, o)
	if err != nil {
		return chart.Data{}, err
	}
	m := newModel(ctx, src, *o, st, h, time.Now())
	b := m.live()
	for n := len(b.known); n > 1 && b.known[n-1] < int(b.seconds()) && b.known[n-2] > 0; n = len(b.known) {
		b = b.before(b.end().Add(-b.step))
	}
	d := b.chartData(st, m.events, m.now)
	d.End = d.End.Local()
	d.Name = m.header()
	return d, nil
}

// save writes a picture into a new file.
func save(file string, d chart.Data, o chart.Options) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if err := chart.SVG(f, d, o); err != nil {
		_ = f.Close()
		return fmt.Errorf("write %s: %w", file, err)
	}
	return f.Close()
}
