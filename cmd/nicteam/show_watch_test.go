// SPDX-License-Identifier: MIT

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
)

// watched are four members: one well, one that loses asks, one without answers, one that flapped.
func watched() *api.Status {
	asked := func(answers bool, rtt time.Duration, loss float64, last time.Duration) []api.Asked {
		return []api.Asked{
			{Watch: "auto", Role: "gateway", IP: "10.9.0.254", Answers: answers, RTT: rtt.Nanoseconds(), Loss: loss,
				Last: epoch.Add(-last)},
			{Watch: "auto", Role: "gateway", IP: "10.8.0.254", VLAN: 5}}
	}
	since := epoch.Add(-90 * time.Second)
	member := func(name, state, reason string, w *api.LinkWatch) api.Member {
		return api.Member{Name: name, State: state, Reason: reason, Link: true, SpeedBps: 1e9, Watch: w}
	}
	const silent = "gateway 10.9.0.254 does not answer by eth3 (3 of 3 asks), it does by eth1"
	s := &api.Status{Team: "team0", Mode: "elb", State: "degraded", Balance: true, Since: since,
		Settings: api.Settings{LinkWatch: "auto"}, Members: []api.Member{
			member("eth1", "up", "", &api.LinkWatch{Verdict: "up", Since: since,
				Asked: asked(true, 312*time.Microsecond, 0, 0)}),
			member("eth2", "up", "", &api.LinkWatch{Verdict: "up", Since: since, Loss: 0.125,
				Asked: asked(true, 2*time.Millisecond, 0.125, time.Second)[:1]}),
			member("eth3", "down", silent, &api.LinkWatch{Verdict: "down", Since: epoch.Add(-4 * time.Second),
				Loss: 0.09375, Asked: asked(false, 312*time.Microsecond, 0.09375, 5*time.Second)[:1]}),
			member("eth4", "down", "flapped too often, waits until 03:04:30", &api.LinkWatch{Verdict: "unknown"}),
		}}
	s.Members[3].Damped = &api.Damped{Failures: 5, Until: epoch.Add(25 * time.Second)}
	return s
}

func TestShowWatches(t *testing.T) {
	var b strings.Builder
	a := &app{out: &b}
	a.showStatus(watched(), recentRates{}, epoch)
	a.showWatches(watched(), epoch)
	bare := watched()
	for i := range bare.Members {
		bare.Members[i].Watch = nil
	}
	a.showWatches(bare, epoch)
	bare.LACP = &api.LACP{}
	a.showWatches(bare, epoch)
	want := `team0  elb  degraded  for 1m 30s
  no address  MAC   MTU 0  
  NIC   STATE  SPEED     IN  OUT  SHARE  DROPS  REASON
  eth1  up     1 Gbit/s  -   -    -      -
  eth2  up     1 Gbit/s  -   -    -      -      13 % of asks unanswered
  eth3  down   1 Gbit/s  -   -    -      -      gateway 10.9.0.254 does not answer by eth3 (3 of 3 asks), it does by eth1
  eth4  down   1 Gbit/s  -   -    -      -      flapped 5 times in 60 s, back in 25 s
  transferred: 0 B in, 0 B out
  link watch auto
  NIC   VERDICT  FOR     ASKS                         ANSWERS  RTT      LOSS  LAST
  eth1  up       1m 30s  gateway 10.9.0.254           yes      0.31 ms  0 %   0s ago
                         gateway 10.8.0.254 (VLAN 5)  no       -        0 %   never
  eth2  up       1m 30s  gateway 10.9.0.254           yes      2.00 ms  13 %  1s ago
  eth3  down     4s      gateway 10.9.0.254           no       0.31 ms  9 %   5s ago
  eth4  unknown  -       -                            -        -        -     -
  link watch auto: nothing is asked, carrier alone decides
  link watch auto: LACP watches the links
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestStatusVerboseWatches: -v has the table.
func TestStatusVerboseWatches(t *testing.T) {
	var b strings.Builder
	a := &app{out: &b, verbose: true}
	a.showStatus(watched(), recentRates{}, epoch)
	if !strings.Contains(b.String(), "\n  link watch auto\n  NIC   VERDICT") {
		t.Errorf("no table in:\n%s", b.String())
	}
}
