// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/control"
	"nicteam/internal/frame"
	"nicteam/internal/settings"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"nicteam": main})
}

// TestScripts runs the transcripts. They know two commands more:
//
//	exits CODE nicteam …   runs it and wants that exit code; an error has its three lines
//	team NAME STATE [MODE] runs a fake team in $NICTEAM_RUN_DIR until the script ends; active-backup, elb or 802.3ad
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "../../testdata/script",
		Setup: func(e *testscript.Env) error {
			for _, name := range []string{"RUN", "STATE", "CONFIG"} {
				dir := filepath.Join(e.WorkDir, strings.ToLower(name))
				if err := os.Mkdir(dir, 0o750); err != nil {
					return err
				}
				e.Setenv("NICTEAM_"+name+"_DIR", dir)
			}
			// With the race detector each run would last a second more, in which it waits for races at the end.
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "team": runFakeTeam},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if err != nil || neg {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if want == 0 {
		return
	}
	var lines []string
	for l := range strings.SplitSeq(strings.TrimSuffix(ts.ReadFile("stderr"), "\n"), "\n") {
		if !strings.HasPrefix(l, "warning: ") {
			lines = append(lines, l)
		}
	}
	if len(lines) == 1 && strings.HasPrefix(lines[0], "{") {
		return
	}
	for i, head := range []string{"error: ", "why: ", "fix: "} {
		if len(lines) != 3 || !strings.HasPrefix(lines[i], head) || len(lines[i]) == len(head) {
			ts.Fatalf("an error is not three lines: %q", lines)
		}
	}
}

func runFakeTeam(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || len(args) > 3 || neg {
		ts.Fatalf("usage: team NAME STATE [MODE]")
	}
	p := &fakeTeam{name: args[0], state: args[1]}
	if len(args) == 3 {
		p.mode = args[2]
	}
	stop, err := serveTeam(ts.Getenv("NICTEAM_RUN_DIR"), p)
	ts.Check(err)
	ts.Defer(stop)
}

func serveTeam(runDir string, b control.Backend) (stop func(), err error) {
	s, err := control.Listen(filepath.Join(runDir, b.Status().Team+".sock"), b, control.Options{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ctx) }()
	return func() { cancel(); <-done }, nil
}

// fakeTeam is a team that answers, but moves nothing.
type fakeTeam struct{ name, state, mode string }

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func (p *fakeTeam) Status() *api.Status {
	s := &api.Status{
		Schema: "nicteam.status/v1", Team: p.name, Mode: "active-backup", State: p.state, Since: epoch, PID: 4242,
		Datapath: "relay", Active: "eth1", Balance: true,
		Adapter: api.Adapter{Name: p.name, Index: 7, MAC: "02:00:00:00:00:01", MTU: 1500, Carrier: true,
			Addresses: []string{"10.9.0.1/24"}},
		Settings: api.Settings{Hash: "layer3+4"}, Warnings: []string{},
		Members: []api.Member{
			{Name: "eth1", Index: 3, State: "up", Link: true, SpeedBps: 1e9,
				RX: api.MemberCount{Count: frame.Count{Bytes: 1234567}}},
			{Name: "eth2", Index: 4, State: "standby", Link: true, SpeedBps: 25e8, TX: api.MemberCount{Drops: 3}},
		},
	}
	if p.state != "up" {
		s.Reason = "eth2 is down: carrier lost"
		s.Members[1].State, s.Members[1].Link, s.Members[1].Reason = "down", false, "carrier lost"
	}
	if p.mode == "802.3ad" {
		s.Mode, s.Active = p.mode, ""
		p.agree(s)
		return s
	}
	if p.mode != "" {
		s.Mode, s.Settings.ReceiveBalance, s.FlowMoves = p.mode, true, &api.FlowMoves{Forced: 12}
		s.Members[0].RateBps, s.Members[0].RateSource = 2e8, "measured"
	}
	return s
}

// agree is what 802.3ad has agreed by eth1; eth2 stands by, or has no partner.
func (p *fakeTeam) agree(s *api.Status) {
	we, they := api.LACPSystem{System: "02:00:00:00:00:01", SystemPriority: 65535, Key: 9},
		api.LACPSystem{System: "02:00:00:00:00:99", SystemPriority: 4096, Key: 21}
	s.LACP = &api.LACP{Aggregator: 1, Actor: we, Partner: they}
	works := []string{"activity", "aggregation", "synchronization", "collecting", "distributing"}
	s.Members[0].LACP = &api.MemberLACP{Actor: api.LACPPort{LACPSystem: we, Port: 1, PortPriority: 255, State: works},
		Partner: api.LACPPort{LACPSystem: they, Port: 7, PortPriority: 1,
			State: append([]string{"timeout"}, works...)},
		Aggregator: 1,
		Receive:    "CURRENT", Periodic: "FAST", Mux: "DISTRIBUTING", Selected: "SELECTED", ActorChurn: "NO_CHURN",
		PartnerChurn: "NO_CHURN",
		Counters:     api.LACPCounters{PDUsIn: 12, PDUsOut: 34, MarkersIn: 1, MarkersOut: 2, Bad: 3}}
	other := *s.Members[0].LACP
	other.Aggregator, other.Mux, other.Selected, other.Why = 2, "ATTACHED", "STANDBY", "aggregator 2 stands by"
	other.Actor.State, other.Actor.Port = []string{"activity", "aggregation"}, 2
	if p.state != "up" {
		other.Receive, other.Mux, other.Selected, other.Why = "DEFAULTED", "DETACHED", "UNSELECTED", "nobody answers"
		other.Actor.State = []string{"activity", "aggregation", "defaulted"}
		other.Partner = api.LACPPort{LACPSystem: api.LACPSystem{System: noPartner}, State: []string{"timeout"}}
		s.Members[1].Link, s.Members[1].Reason = true, other.Why
	}
	s.Members[1].LACP = &other
}

func (p *fakeTeam) Peers(context.Context) (*api.Peers, error) {
	doc := &api.Peers{Schema: api.PeersSchema, Team: p.name, Peers: []api.Peer{}}
	if mode := p.Status().Mode; mode != "elb" {
		doc.Reason = "mode " + mode + " leaves it to the switch by which NIC peers reach the team"
		return doc, nil
	}
	doc.Peers = append(doc.Peers, api.Peer{Address: "10.9.0.2", Ours: "10.9.0.1", MAC: "02:00:00:00:00:02",
		Member: "eth2",
		Since:  epoch, Seen: epoch.Add(time.Minute), RxBps: 94_100_000, Told: 2})
	return doc, nil
}

// History is of a team that has carried the same all the time: 8 Gbit/s to eth1.
func (p *fakeTeam) History(q api.HistoryQuery) (*api.History, error) {
	d := &api.History{Schema: "nicteam.history/v1", Team: p.name, Member: q.Member, From: q.From.UTC().Truncate(q.Step),
		Step: int64(q.Step)}
	carried := api.SeriesColumns{}
	for d.To = d.From; d.To.Before(q.To); d.To = d.To.Add(q.Step) {
		d.Columns++
		d.Covered = append(d.Covered, d.Step)
		carried.Bytes, carried.Frames = append(carried.Bytes, uint64(d.Step)),
			append(carried.Frames, uint64(d.Step/1000))
		carried.BytesPeak, carried.FramesPeak = append(carried.BytesPeak, 1e9), append(carried.FramesPeak, 1e6)
	}
	if q.Member != "eth2" {
		d.RX = carried
	}
	if q.Member == "" {
		d.Members = []api.NamedColumns{{Name: "eth1", RX: carried}}
	}
	d.Protocols = []api.NamedColumns{{Name: "tcp", RX: d.RX}, {Name: "udp"}}
	return d, nil
}

func (p *fakeTeam) Meter() func() *api.Rates {
	last := time.Now()
	return func() *api.Rates {
		now := time.Now()
		rx := frame.Count{Bytes: uint64(now.Sub(last)), Frames: 0}
		r := &api.Rates{Schema: api.RatesSchema, Time: now, Team: p.name, Interval: now.Sub(last).Nanoseconds(), RX: rx,
			Members: []api.MemberRates{{Name: "eth1", Link: true, RX: rx}, {Name: "eth2"}}}
		for proto := range frame.Protocols {
			r.Protocols = append(r.Protocols, api.ProtocolRates{Name: frame.Protocol(proto).String()})
		}
		r.Protocols[frame.TCP].RX = rx
		last = now
		return r
	}
}

func (p *fakeTeam) Totals() *api.Totals { return &api.Totals{} }

func (p *fakeTeam) Events(ctx context.Context, follow bool) <-chan api.Event {
	ch := make(chan api.Event)
	go func() {
		defer close(ch)
		for _, e := range []api.Event{{Event: "team-up"},
			{Event: "member-down", Member: "eth1", Reason: "carrier lost", Took: 420000}} {
			e.Schema, e.Time, e.Team = "nicteam.event/v1", epoch, p.name
			select {
			case ch <- e:
			case <-ctx.Done():
				return
			}
		}
		for follow && ctx.Err() == nil { // something happens every now and then
			select {
			case ch <- api.Event{Schema: "nicteam.event/v1", Time: time.Now(), Team: p.name, Event: "member-up",
				Member: "eth2"}:
			case <-ctx.Done():
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}()
	return ch
}

func (p *fakeTeam) Explain(flow string) (*api.Explanation, error) {
	if !strings.HasPrefix(flow, "tcp ") {
		return nil, &api.Problem{Kind: api.Usage, What: "read the flow", Why: "it is not tcp",
			Fix: "tcp 10.0.0.1:5000 10.0.0.2:80"}
	}
	return &api.Explanation{Team: p.name, Flow: flow, Slot: -1, Member: "eth1",
		Why: "eth1 is the active member and carries everything", Next: "eth2", NextWhy: "eth2 would become active",
		Not: []api.Excluded{{Member: "eth3", State: "damped", Reason: "flapped 4 times in 60 s, back in 5 s"}}}, nil
}

func (p *fakeTeam) Add(_ context.Context, names []string, _ control.ChangeOptions) ([]string, error) {
	if names[0] == "eth1" {
		return nil, &api.Problem{Kind: api.Conflict, What: "add eth1", Why: "it is a member already",
			Fix: "nicteam status " + p.name}
	}
	return []string{"added " + strings.Join(names, " ")}, nil
}

func (p *fakeTeam) Remove(_ context.Context, names []string, o control.ChangeOptions) ([]string, error) {
	return []string{fmt.Sprintf("removed %s, force %v", strings.Join(names, " "), o.Force)}, nil
}

// Set really sets, so that what config says of a bad value is seen as a user sees it.
func (p *fakeTeam) Set(_ context.Context, changes map[string]string, _ control.ChangeOptions) ([]string, error) {
	c := settings.DefaultConfig()
	c.Team, c.Members = p.name, []settings.MemberConfig{{Name: "eth1", Weight: 1}, {Name: "eth2", Weight: 1}}
	c, err := config.Set(c, "mode", p.Status().Mode)
	if err != nil {
		return nil, err
	}
	_, done, err := config.SetAll(c, changes)
	for i, s := range done {
		done[i] = "set " + strings.Replace(s, "=", " to ", 1)
	}
	return done, err
}

func (p *fakeTeam) Plan(_ context.Context, c control.Change) (*api.Plan, error) {
	return api.NewPlan(c.Verb + " of " + p.name), nil
}

func (p *fakeTeam) Confirm(context.Context) ([]string, error) { return []string{"kept"}, nil }
func (p *fakeTeam) Revert(context.Context) ([]string, error)  { return []string{"undone"}, nil }

func (p *fakeTeam) Stop(context.Context, bool) ([]string, error) { return nil, nil }

func (p *fakeTeam) Apply(context.Context, control.Config, control.ChangeOptions) ([]string, error) {
	return nil, nil
}

func (p *fakeTeam) Delete(context.Context, control.ChangeOptions) ([]string, error) {
	return []string{"deleted " + p.name}, nil
}

// TestInterrupt: a stream ends with 130 and without words when its user has enough.
func TestInterrupt(t *testing.T) {
	dir := t.TempDir()
	stop, err := serveTeam(dir, &fakeTeam{name: "team0", state: "up"})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range [][]string{{"events", "--follow"}, {"watch", "--interval", "100ms"}} {
		cmd := &exec.Cmd{Path: exe, Args: append([]string{"nicteam", "--run-dir", dir}, verb...)}
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if !bufio.NewScanner(out).Scan() {
			t.Errorf("%v says nothing", verb)
		}
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != 130 || stderr.String() != "" {
			t.Errorf("%v: exit code %d, stderr %q; want 130 and nothing", verb, got, stderr.String())
		}
	}
}
