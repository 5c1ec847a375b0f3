// SPDX-License-Identifier: MIT

package metrics

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/monitor"
)

var update = flag.Bool("update", false, "write the golden files")

// still is a team of which nothing changes.
type still struct {
	status *api.Status
	totals *api.Totals
}

func (s still) Status() *api.Status { return s.status }
func (s still) Totals() *api.Totals { return s.totals }

func example(name string) still {
	s := still{
		status: &api.Status{Team: name, Mode: "elb", State: "degraded", Datapath: "relay", Active: "eth1",
			Balance:   true,
			Adapter:   api.Adapter{Name: name},
			FlowMoves: &api.FlowMoves{Forced: 12},
			Members: []api.Member{
				{Name: "eth1", State: "up", SpeedBps: 1e9},
				{Name: "eth2", State: "standby", SpeedBps: 25e8, Failures: 1},
				{Name: "wlan0", State: "down", Failures: 3},
				{Name: "eth3", State: "draining"},
			}},
		totals: &api.Totals{AdapterDrops: []api.DropTotal{{Reason: "no-member", Frames: 6}, {Reason: "malformed"}}},
	}
	for _, m := range s.status.Members {
		s.totals.Members = append(s.totals.Members, api.MemberTotals{Name: m.Name,
			RXDrops: []api.DropTotal{{Reason: "malformed"}, {Reason: "not-ours"}, {Reason: "standby"},
				{Reason: "reflected"}, {Reason: "adapter"}, {Reason: "socket"}},
			TXDrops: []api.DropTotal{{Reason: "backlog"}, {Reason: "refused"}, {Reason: "malformed"}}})
	}
	m := &s.totals.Members[0]
	m.RX, m.TX = frame.Count{Bytes: 460, Frames: 5}, frame.Count{Bytes: 500, Frames: 5}
	m.TXDrops[0].Frames, m.RXDrops[3].Frames = 3, 4
	m.RXDrops = append(m.RXDrops, api.DropTotal{Reason: "refused", Frames: 2})
	for p := range frame.Protocols {
		s.totals.Protocols = append(s.totals.Protocols, api.ProtocolTotals{Name: frame.Protocol(p).String()})
	}
	s.totals.Protocols[frame.TCP].RX = frame.Count{Bytes: 1007, Frames: 11} // of one that left, too
	s.totals.Protocols[frame.ARP].RX = frame.Count{Bytes: 60, Frames: 1}
	s.totals.Protocols[frame.UDP].TX = frame.Count{Bytes: 500, Frames: 5}
	return s
}

func failovers() *Failovers {
	f := &Failovers{}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, e := range []api.Event{
		{Time: at, Event: "member-down", Member: "eth1", Took: 420_000},
		{Time: at, Event: "active-changed", Member: "eth2", Took: 420_000}, // of the same loss
		{Time: at.Add(time.Second), Event: "active-changed", Member: "eth1"},
		{Time: at.Add(2 * time.Second), Event: "member-down", Member: "eth1", Took: 30_000_000},
	} {
		f.Count(e, false)
	}
	return f
}

// exposition is what a team tells.
func exposition(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, Gatherer(Team{Source: example("team0"), Failovers: failovers(), Version: "v1"})); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTeamGolden(t *testing.T) {
	var lines []string
	for l := range strings.Lines(string(exposition(t))) { // the Go version is the machine's
		if i := strings.Index(l, `goversion="`); i >= 0 {
			l = l[:i] + `goversion="` + l[i+len(`goversion="`)+strings.IndexByte(l[i+len(`goversion="`):], '"'):]
		}
		lines = append(lines, l)
	}
	golden(t, "team.prom", strings.Join(lines, ""))
}

// TestLACPGolden: a team in mode 802.3ad tells of every bit of both ends.
func TestLACPGolden(t *testing.T) {
	s := example("team0")
	s.status.Mode, s.status.FlowMoves = "802.3ad", nil
	s.status.Members[0].LACP = &api.MemberLACP{
		Actor: api.LACPPort{State: []string{"activity", "aggregation", "synchronization", "collecting",
			"distributing"}},
		Partner:  api.LACPPort{State: []string{"timeout", "defaulted", "expired"}},
		Counters: api.LACPCounters{PDUsIn: 1, PDUsOut: 2, MarkersIn: 3, MarkersOut: 4, Bad: 5}}
	var b bytes.Buffer
	if err := Write(&b, Gatherer(Team{Source: s, Version: "v1"})); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for l := range strings.Lines(b.String()) {
		if strings.Contains(l, "_lacp_") {
			lines = append(lines, l)
		}
	}
	golden(t, "lacp.prom", strings.Join(lines, ""))
}

// TestWatchGolden: what link watches say, and of a target in two VLANs.
func TestWatchGolden(t *testing.T) {
	s := example("team0")
	s.status.Members[0].Watch = &api.LinkWatch{Verdict: "up", RTT: 312_000, Asked: []api.Asked{
		{Watch: "auto", Role: "gateway", IP: "10.9.0.254", Answers: true, RTT: 312_000},
		{Watch: "auto", Role: "gateway", IP: "10.9.0.254", VLAN: 5, Answers: true, RTT: 410_000, Loss: 0.03125}}}
	s.status.Members[1].Watch = &api.LinkWatch{Verdict: "down", Loss: 0.25, Asked: []api.Asked{
		{Watch: "arp", IP: "10.9.0.7", Loss: 0.25}, {Watch: "probe", Loss: 1}}}
	s.status.Members[2].Damped = &api.Damped{Failures: 5}
	var b bytes.Buffer
	if err := Write(&b, Gatherer(Team{Source: s, Version: "v1"})); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for l := range strings.Lines(b.String()) {
		if strings.Contains(l, "_probe_") || strings.Contains(l, "_verdict") || strings.Contains(l, "_damped") {
			lines = append(lines, l)
		}
	}
	golden(t, "watch.prom", strings.Join(lines, ""))
}

// TestVerdicts: a verdict that is no value of the label would be none.
func TestVerdicts(t *testing.T) {
	for v := monitor.Unknown; v <= monitor.Down; v++ {
		if !slices.Contains(verdicts, v.String()) {
			t.Errorf("%v is missing", v)
		}
	}
}

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got; go test -update writes it):\n%s", path, d)
	}
}

// TestNothingYet: a team that is being made tells nothing, and nothing breaks.
func TestNothingYet(t *testing.T) {
	families, err := Gatherer(Team{Source: still{}}).Gather()
	if err != nil || len(families) != 0 {
		t.Errorf("%v %v", families, err)
	}
}

func TestFailovers(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	down := api.Event{Time: at, Event: "member-down", Took: 1}
	changed := api.Event{Time: at, Event: "active-changed", Took: 1}
	for _, tt := range []struct {
		name   string
		single bool
		events []api.Event
		want   uint64
	}{
		{"one loss, two events", false, []api.Event{down, changed}, 1},
		{"one loss of the active one", true, []api.Event{down, changed}, 1},
		{"one that stood by", true, []api.Event{down}, 0},
		{"one of several at work", false, []api.Event{down}, 1},
		{"chosen by the user", false, []api.Event{{Time: at, Event: "active-changed"}}, 0},
		{"other events", false, []api.Event{{Time: at, Event: "team-down", Took: 1}}, 0},
		{"two losses", false, []api.Event{down, {Time: at.Add(1), Event: "member-down", Took: 1}}, 2},
	} {
		var f Failovers
		events := make(chan api.Event, len(tt.events))
		for _, e := range tt.events {
			events <- e
		}
		close(events)
		mode := "elb"
		if tt.single {
			mode = "active-backup"
		}
		f.Follow(events, still{status: &api.Status{Mode: mode, Balance: true}})
		if f.count != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, f.count, tt.want)
		}
	}
}

// promtool is the path of Prometheus' own checker, or skips the test; with CI set it must be there.
func promtool(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("promtool")
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") != "":
		t.Fatal("promtool is missing: scripts/need prometheus")
	default:
		t.Skip("promtool is missing; to run this: scripts/need prometheus")
	}
	return ""
}

func TestPromtoolLikesIt(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), promtool(t), "check", "metrics")
	cmd.Stdin = bytes.NewReader(exposition(t))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) != 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
