// SPDX-License-Identifier: MIT

package tui

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/frame"
	"nicteam/monitor/chart"
)

// epoch is when the tests look. The history before it is always the same.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fake is a team that answers from a formula and remembers what it was asked.
type fake struct {
	mu    sync.Mutex
	asked []control.HistoryOptions
	did   []string
	err   error
}

func (f *fake) Status(context.Context) (*api.Status, error) { return status(), f.err }

func status() *api.Status {
	return &api.Status{Team: "team0", Mode: "elb", State: "up", Members: []api.Member{
		{Name: "eth1", State: "up", Link: true, SpeedBps: 1e9}, {Name: "eth2", State: "up", Link: true, SpeedBps: 1e9}}}
}

// carried is what a NIC takes in during a second.
func carried(nic string, second int64) uint64 {
	n := map[string]float64{"eth1": 9e7, "eth2": 4e7}[nic]
	return uint64(n * (0.6 + 0.4*math.Sin(float64(second)/9)))
}

func columns(step time.Duration, from time.Time, n int, nics ...string) (c api.SeriesColumns) {
	for i := range n {
		sum, peak := uint64(0), uint64(0)
		for s := range int64(step / time.Second) {
			now := uint64(0)
			for _, nic := range nics {
				now += carried(nic, from.Unix()+int64(i)*int64(step/time.Second)+s)
			}
			sum, peak = sum+now, max(peak, now)
		}
		c.Bytes, c.BytesPeak = append(c.Bytes, sum), append(c.BytesPeak, peak)
		c.Frames, c.FramesPeak = append(c.Frames, sum/1000), append(c.FramesPeak, peak/1000)
	}
	return c
}

func (f *fake) History(_ context.Context, o control.HistoryOptions) (*api.History, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, o)
	if f.err != nil {
		return nil, f.err
	}
	to := o.To
	if to.IsZero() {
		to = epoch
	}
	return history(o, to), nil
}

func history(o control.HistoryOptions, to time.Time) *api.History {
	from := to.Add(-o.Last).Truncate(o.Step)
	n := int((to.Sub(from) + o.Step - 1) / o.Step)
	d := &api.History{Team: "team0", Member: o.Member, From: from, To: from.Add(time.Duration(n) * o.Step),
		Step: int64(o.Step), Columns: n}
	for range n {
		d.Covered = append(d.Covered, int64(o.Step))
	}
	nics := []string{"eth1", "eth2"}
	if o.Member != "" {
		nics = []string{o.Member}
	} else {
		for _, nic := range nics {
			d.Members = append(d.Members, api.NamedColumns{Name: nic, RX: columns(o.Step, from, n, nic)})
		}
	}
	d.RX = columns(o.Step, from, n, nics...)
	d.Protocols = []api.NamedColumns{{Name: "tcp", RX: d.RX}, {Name: "udp"}}
	d.Events = []api.Event{{Time: epoch.Add(-50 * time.Second), Event: "member-down", Member: "eth2",
		Reason: "carrier lost", Took: 420000}}
	return d
}

func (f *fake) Rates(ctx context.Context, _ time.Duration, _ func(*api.Rates) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func (f *fake) Events(ctx context.Context, _ bool, _ func(*api.Event) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func (f *fake) Add(_ context.Context, names []string, _ control.ChangeOptions) ([]string, error) {
	f.did = append(f.did, fmt.Sprint("add ", names))
	return []string{"added " + names[0]}, f.err
}

func (f *fake) Remove(_ context.Context, names []string, o control.ChangeOptions) ([]string, error) {
	f.did = append(f.did, fmt.Sprint("remove ", names, o.Force))
	return []string{"removed " + names[0]}, f.err
}

func (f *fake) Confirm(context.Context) ([]string, error) {
	f.did = append(f.did, "confirm")
	return []string{"it is kept"}, f.err
}

func (f *fake) Revert(context.Context) ([]string, error) {
	f.did = append(f.did, "revert")
	return []string{"it is undone"}, f.err
}

// rates is what moved in the second that ends at t.
func rates(t time.Time) *api.Rates {
	r := &api.Rates{Time: t, Team: "team0", Interval: 1e9}
	for _, nic := range []string{"eth1", "eth2"} {
		c := carried(nic, t.Add(-500*time.Millisecond).Unix())
		m := api.MemberRates{Name: nic, Link: true, RX: frame.Count{Bytes: c, Frames: c / 1000}}
		r.RX.Add(m.RX)
		r.Members = append(r.Members, m)
	}
	r.Protocols = []api.ProtocolRates{{Name: "tcp", RX: r.RX}, {Name: "udp"}}
	return r
}

// opened is a view at 80 × 24, as Run begins it.
func opened(t *testing.T) (Model, *fake) {
	t.Helper()
	time.Local = time.UTC
	f := &fake{}
	o := Options{Team: "team0", Dir: t.TempDir(), Draw: chart.Options{Width: 80, Height: 24}}
	st, h, err := Open(t.Context(), f, &o)
	if err != nil {
		t.Fatal(err)
	}
	return newModel(t.Context(), f, o, st, h, epoch), f
}

// run gives the model messages and carries out what it asks for, except for clocks.
func run(t *testing.T, m Model, msgs ...tea.Msg) Model {
	t.Helper()
	for _, msg := range msgs {
		next, cmd := m.Update(msg)
		m = next.(Model)
		if _, clock := msg.(tickMsg); cmd == nil || clock {
			continue
		}
		switch answer := cmd().(type) {
		case historyMsg, noticeMsg, recentMsg, nicsMsg:
			m = run(t, m, answer)
		}
	}
	return m
}

// press is keys as bubbletea gives them.
func press(names ...string) []tea.Msg {
	special := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "up": tea.KeyUp,
		"down": tea.KeyDown,
		"left": tea.KeyLeft, "right": tea.KeyRight, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "end": tea.KeyEnd,
		"backspace": tea.KeyBackspace}
	var msgs []tea.Msg
	for _, n := range names {
		k := tea.Key{Text: n}
		switch {
		case n == "ctrl+c":
			k = tea.Key{Code: 'c', Mod: tea.ModCtrl}
		case n == "shift+tab":
			k = tea.Key{Code: tea.KeyTab, Mod: tea.ModShift}
		case n == "space":
			k = tea.Key{Code: tea.KeySpace, Text: " "}
		case special[n] != 0:
			k = tea.Key{Code: special[n]}
		default:
			k.Code = []rune(n)[0]
		}
		msgs = append(msgs, tea.KeyPressMsg(k))
	}
	return msgs
}
