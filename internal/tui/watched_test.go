// SPDX-License-Identifier: MIT

package tui

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
)

const silent = "gateway 10.9.0.254 does not answer by eth2 (3 of 3 asks), it does by eth1"

// watchedStatus is a team whose second NIC has its light on and gets no answers, and whose third one flapped.
func watchedStatus() *api.Status {
	st := status()
	asked := func(answers bool, rtt time.Duration, loss float64) *api.LinkWatch {
		w := &api.LinkWatch{Verdict: "up", RTT: rtt.Nanoseconds(), Loss: loss, Asked: []api.Asked{{Watch: "auto",
			Role: "gateway", IP: "10.9.0.254", Answers: answers, RTT: rtt.Nanoseconds(), Loss: loss,
			Last: epoch.Add(-4 * time.Second)}}}
		return w
	}
	st.State, st.Settings.LinkWatch = "degraded", "auto"
	st.Members[0].Watch = asked(true, 312*time.Microsecond, 0)
	st.Members[1].State, st.Members[1].Reason = "down", silent
	st.Members[1].Watch = asked(false, 410*time.Microsecond, 0.25)
	st.Members[1].Watch.Verdict = "down"
	st.Members = append(st.Members, api.Member{Name: "eth3", State: "down", Link: true, SpeedBps: 1e9,
		Reason: "flapped too often, waits until 03:04:30", Damped: &api.Damped{Failures: 5,
			Until: epoch.Add(25 * time.Second)}})
	return st
}

// TestWatchedScreens: the team, then the NIC that gets no answers.
func TestWatchedScreens(t *testing.T) {
	m, _ := opened(t)
	m = run(t, m, statusMsg{status: watchedStatus()}, ratesMsg{rates(epoch.Add(time.Second))})
	got := m.Grid().String()
	m = run(t, m, press("tab", "tab")...)
	got += m.Grid().String()
	file := filepath.Join("testdata", "watched.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWaitCountsDown: the seconds that a member still waits pass without news of the team.
func TestWaitCountsDown(t *testing.T) {
	m, _ := opened(t)
	m = run(t, m, statusMsg{status: watchedStatus()})
	for after, want := range map[time.Duration]string{0: "back in 25 s", 20 * time.Second: "back in 5 s"} {
		m := run(t, m, tickMsg(epoch.Add(after)))
		if !strings.Contains(m.frame, want) {
			t.Errorf("after %v no %q in:\n%s", after, want, m.frame)
		}
	}
}

func TestStateOf(t *testing.T) {
	watch := func(verdict string) *api.LinkWatch { return &api.LinkWatch{Verdict: verdict} }
	for _, tt := range []struct {
		want string
		m    api.Member
	}{
		{"up", api.Member{State: "up", Link: true}},
		{"up", api.Member{State: "up", Link: true, Watch: watch("up")}},
		{"up", api.Member{State: "up", Link: true, Watch: watch("unknown")}},
		{"standby", api.Member{State: "standby", Link: true, Watch: watch("up")}},
		{"suspect", api.Member{State: "up", Link: true, Watch: watch("suspect")}},
		{"no answer", api.Member{State: "down", Link: true, Watch: watch("down")}},
		{"waiting", api.Member{State: "down", Link: true, Watch: watch("waiting")}},
		{"last resort", api.Member{State: "up", Link: true, Watch: watch("down")}},
		{"link down", api.Member{State: "down", Watch: watch("unknown")}},
		{"damped", api.Member{State: "down", Link: true, Damped: &api.Damped{}}},
		{"down", api.Member{State: "down", Link: true}},
	} {
		if got := stateOf(&tt.m); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.m, got, tt.want)
		}
	}
}

// TestAskedNotes: a NIC of which nothing is asked says so; one that LACP watches says nothing.
func TestAskedNotes(t *testing.T) {
	st := status()
	st.Settings.LinkWatch = "auto"
	if got := notes(st, "eth1", epoch); len(got) != 1 || got[0] != "nothing is asked, carrier alone decides" {
		t.Errorf("%q", got)
	}
	st.Members[0].LACP = &api.MemberLACP{}
	if got := notes(st, "eth1", epoch); got != nil {
		t.Errorf("%q", got)
	}
	st.Members[0].LACP = nil
	st.Members[0].Watch = &api.LinkWatch{Asked: []api.Asked{{Watch: "probe", Answers: true, RTT: 5e5},
		{Watch: "probe"}}}
	want := []string{"the other members hear it · 0.50 ms · loss 0 %", "the other members do not hear it · loss 0 %"}
	if diff := cmp.Diff(want, notes(st, "eth1", epoch)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
