// SPDX-License-Identifier: MIT

package control

import (
	"context"
	"fmt"
	"path/filepath"
	"sort"
	"sync"
	"testing"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/frame"
)

// fake is a team that remembers what it was told.
type fake struct {
	mu      sync.Mutex
	calls   []string
	err     error
	block   chan struct{} // changes wait for it, nil does not
	entered chan struct{} // a change has begun
	ticks   uint64
	asked   api.HistoryQuery
}

func (f *fake) Status() *api.Status {
	return &api.Status{Schema: "nicteam.status/v1", Team: "team0", Mode: "xor", State: "up", Members: []api.Member{},
		Warnings: []string{}}
}

// Meter says each time that the same has moved.
func (f *fake) Meter() func() *api.Rates {
	return func() *api.Rates {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ticks++
		rx, tx := frame.Count{Bytes: 1000, Frames: 10}, frame.Count{Bytes: 60, Frames: 1}
		r := &api.Rates{Schema: api.RatesSchema, Time: time.Unix(int64(f.ticks), 0), Team: "team0", Interval: 1e9,
			RX: rx, TX: tx,
			Members:   []api.MemberRates{{Name: "eth1", Link: true, RX: rx, TX: tx}},
			Protocols: make([]api.ProtocolRates, frame.Protocols)}
		for p := range r.Protocols {
			r.Protocols[p].Name = frame.Protocol(p).String()
		}
		r.Protocols[frame.TCP].RX, r.Protocols[frame.ARP].TX = rx, tx
		return r
	}
}

func (f *fake) Totals() *api.Totals { return &api.Totals{Members: []api.MemberTotals{{Name: "eth1"}}} }

func (f *fake) History(q api.HistoryQuery) (*api.History, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = q
	if q.Member == "eth9" {
		return nil, &api.Problem{Kind: api.NotFound, What: "history of eth9", Why: "no such member"}
	}
	return &api.History{Schema: "nicteam.history/v1", Team: "team0", Step: int64(q.Step),
		RX: api.SeriesColumns{Bytes: []uint64{1}}}, nil
}

func (f *fake) Events(ctx context.Context, follow bool) <-chan api.Event {
	ch := make(chan api.Event)
	go func() {
		defer close(ch)
		for i := 0; follow || i < 2; i++ {
			select {
			case ch <- api.Event{Schema: "nicteam.event/v1", Team: "team0", Event: "member-up",
				Member: fmt.Sprintf("eth%d", i)}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ch
}

func (f *fake) Explain(flow string) (*api.Explanation, error) {
	if err := f.error(); err != nil {
		return nil, err
	}
	return &api.Explanation{Flow: flow, Member: "eth1", Why: "because"}, nil
}

func (f *fake) Peers(context.Context) (*api.Peers, error) {
	if err := f.error(); err != nil {
		return nil, err
	}
	return &api.Peers{Schema: api.PeersSchema, Team: "team0",
		Peers: []api.Peer{{Address: "10.9.0.2", Ours: "10.9.0.1", MAC: "02:00:00:00:00:02",
			VLAN: 7, Member: "eth3", Since: time.Unix(1, 2), Seen: time.Unix(3, 4), RxBps: 5, Told: 6}}}, nil
}

func (f *fake) error() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *fake) change(ctx context.Context, call string) ([]string, error) {
	f.mu.Lock()
	f.calls = append(f.calls, call)
	f.mu.Unlock()
	if f.block != nil {
		close(f.entered)
		select {
		case <-f.block:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return []string{"did " + call}, f.error()
}

func (f *fake) Add(ctx context.Context, names []string, o ChangeOptions) ([]string, error) {
	return f.change(ctx, fmt.Sprintf("add %q %v", names, o.Accept))
}

func (f *fake) Remove(ctx context.Context, names []string, o ChangeOptions) ([]string, error) {
	return f.change(ctx, fmt.Sprintf("remove %q %v", names, o.Force))
}

func (f *fake) Set(ctx context.Context, settings map[string]string, o ChangeOptions) ([]string, error) {
	var list []string
	for k, v := range settings {
		list = append(list, k+"="+v)
	}
	sort.Strings(list)
	return f.change(ctx, fmt.Sprintf("set %q", list))
}

func (f *fake) Apply(ctx context.Context, want Config, o ChangeOptions) ([]string, error) {
	return f.change(ctx, fmt.Sprintf("apply %q %v", want.YAML, o.Force))
}

func (f *fake) Delete(ctx context.Context, o ChangeOptions) ([]string, error) {
	return f.change(ctx, fmt.Sprintf("delete %v", o.Force))
}

func (f *fake) Plan(_ context.Context, c Change) (*api.Plan, error) {
	p := api.NewPlan(fmt.Sprintf("%s %q %v %v", c.Verb, c.NICs, c.Settings, c.Options.Force))
	return p, f.error()
}

func (f *fake) Confirm(ctx context.Context) ([]string, error) { return f.change(ctx, "confirm") }
func (f *fake) Revert(ctx context.Context) ([]string, error)  { return f.change(ctx, "revert") }

func (f *fake) Stop(ctx context.Context, handover bool) ([]string, error) {
	return f.change(ctx, fmt.Sprintf("stop %v", handover))
}

func (f *fake) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.calls...)
}

// serve runs a server in a directory of its own until the test ends, and returns the directory.
func serve(t *testing.T, b Backend, o Options) string {
	t.Helper()
	dir := t.TempDir()
	serveAt(t, dir, b, o)
	return dir
}

// serveAt is serve in a directory.
func serveAt(t *testing.T, dir string, b Backend, o Options) {
	t.Helper()
	s, err := Listen(filepath.Join(dir, "team0.sock"), b, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}
