// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// liveFake runs scenarios on a fake host and returns the rows of its table.
func liveFake(t *testing.T, names string, faults func(*fakeHost)) (rows []string, err error) {
	t.Helper()
	var chosen []scenario
	if names == "" {
		chosen = scenarios
	} else if chosen, err = chooseScenarios(strings.Split(names, ",")); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFakeHost()
		faults(f)
		l := &life{bench: &bench{machine: f, network: f}, pause: pause}
		var results []result
		results, err = l.live(t.Context(), chosen, func(string) {})
		for _, r := range results {
			// How often the machine was asked depends on the order of goroutines at the same moment.
			r.Lookups = min(r.Lookups-r.Unresolved, 1) + min(r.Unresolved, 1)
			r.Unresolved = min(r.Unresolved, 1)
			rows = append(rows, r.row())
		}
	})
	return rows, err
}

func TestLife(t *testing.T) {
	const good = " | yes | yes | yes (1 of 1) | "
	for _, tt := range []struct {
		name, scenarios string
		faults          func(*fakeHost)
		want            []string
	}{
		{"all is well", "", func(*fakeHost) {}, []string{
			"before" + good + "renewed 4×, ≥ 104 s left | lives | ",
			"confirm" + good + "renewed 4×, ≥ 104 s left | lives | reverted after 50 s; unconfirmed: as before",
			"powercut" + good + "renewed 2×, ≥ 100 s left | – | after the power cut: as before",
			"create" + good + "renewed 2×, ≥ 100 s left | lives | create took 20 s",
			"lease" + good + "renewed 7×, ≥ 101 s left | lives | ",
			"cable" + good + "renewed 3×, ≥ 102 s left | lives | ",
			"kill" + good + "renewed 1×, ≥ 102 s left | lives | ",
			"restart" + good + "≥ 103 s left | lives | ",
			"reboot" + good + "renewed 7×, ≥ 100 s left | – | team ready at 12.3 s, network-online at 12.4 s",
			"stop" + good + "renewed 2×, ≥ 101 s left | lives | stopped: as before",
			"delete" + good + "renewed 6×, ≥ 103 s left | lives | deleted: as before",
			"after" + good + "renewed 2×, ≥ 100 s left | – | after reboot: as before",
		}},
		{"no supervisor", "kill,reboot", func(f *fakeHost) { f.noUnit, f.noRestart = true, true }, []string{
			"kill | yes | yes | yes (1 of 1) | renewed 4×, ≥ 101 s left | lives | not back by itself: " +
				"the team is not up after 1m0s: error: no team team0",
			"reboot" + good + "renewed 7×, ≥ 101 s left | – | team ready at 12.3 s, network-online at 12.4 s",
		}},
		{"lease and DNS lost", "lease", func(f *fakeHost) { f.noRenewal, f.losesDNS = true, true }, []string{
			"create | yes | yes | yes (1 of 2) | renewed 1×, ≥ 104 s left | lives | create took 20 s",
			"lease | **dark at the end**, 30.0 s | **dark at the end**, 30.0 s | **1 of 1 not, gap 134.0 s** | " +
				"**not renewed**, ≥ 0 s left | **waits 30.0 s** | ",
		}},
		{"another IPv6 address", "lease", func(f *fakeHost) { f.movesIPv6 = true }, []string{
			"create | yes | **dark at the end**, 15.0 s | yes (1 of 1) | renewed 2×, ≥ 104 s left | lives | " +
				"create took 20 s",
			"lease" + good + "renewed 7×, ≥ 101 s left | lives | IPv6 address is another one",
		}},
		{"an unconfirmed create that stays", "confirm", func(f *fakeHost) { f.keeps = true }, []string{
			"confirm" + good + "renewed 4×, ≥ 104 s left | lives | **create ended with exit 0, not 6**: team0 is up; " +
				"unconfirmed: as before",
			"create" + good + "renewed 1×, ≥ 103 s left | lives | create took 20 s",
		}},
		{"a unit that is enabled before", "powercut", func(f *fakeHost) { f.early = true }, []string{
			"powercut" + good + "renewed 2×, ≥ 101 s left | – | after the power cut, **differs**: " +
				"+addr team0 inet 10.77.0.10/24; -addr eth0 inet 10.77.0.10/24",
			"create" + good + "renewed 2×, ≥ 101 s left | lives | create took 20 s",
		}},
		{"stray address", "delete", func(f *fakeHost) { f.stray = true }, []string{
			"delete" + good + "renewed 7×, ≥ 101 s left | lives | deleted, **differs**: +addr eth1 inet 10.77.0.99/24",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rows, err := liveFake(t, tt.scenarios, tt.faults)
			if err != nil {
				t.Error(err)
			}
			rows = rows[len(rows)-len(tt.want):]
			if d := cmp.Diff(tt.want, rows); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// A run does not go on without what all scenarios need.
func TestLifeThatEnds(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		rows       int
		faults     func(*fakeHost)
	}{
		{"no name resolves from the start", "without a team: not settled", 0, func(f *fakeHost) { f.dns = false }},
		{"create fails", "no team: ", 4, func(f *fakeHost) { f.failsTo = "nicteam status" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rows, err := liveFake(t, "", tt.faults)
			if err == nil || !strings.Contains(err.Error(), tt.want) || len(rows) != tt.rows {
				t.Errorf("%d rows, %v; want %d and %q", len(rows), err, tt.rows, tt.want)
			}
		})
	}
}

// What one scenario cannot do is in its row, and the next ones run.
func TestLifeGoesOnAfterAFault(t *testing.T) {
	rows, err := liveFake(t, "stop,delete", func(f *fakeHost) { f.failsTo = "systemctl stop" })
	if err != nil || len(rows) != 4 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if want := "**systemctl stop nicteam@team0: exit 1: cannot: it is a test**"; !strings.Contains(rows[2], want) {
		t.Errorf("row %q, want %q in it", rows[2], want)
	}
	if !strings.Contains(rows[3], "deleted: as before") {
		t.Errorf("row %q", rows[3])
	}
}

func TestReachOf(t *testing.T) {
	began := time.Unix(1000, 0)
	at := func(ms ...int) (times []time.Time) {
		for _, m := range ms {
			times = append(times, began.Add(time.Duration(m)*time.Millisecond))
		}
		return times
	}
	for _, tt := range []struct {
		name    string
		answers []time.Time
		to      int // ms
		want    reach
	}{
		{"none", nil, 10000, reach{0, 9800 * time.Millisecond, 0, false}},
		{"all", at(0, 200, 400, 600), 700, reach{4, 0, 0, true}},
		{"late begin", at(3000, 3200), 3300, reach{2, 2800 * time.Millisecond, 0, true}},
		{"gap", at(0, 200, 5000), 5100, reach{3, 4600 * time.Millisecond, 200 * time.Millisecond, true}},
		{"dark", at(0, 200), 9000, reach{2, 8600 * time.Millisecond, 200 * time.Millisecond, false}},
		{"before and after", at(-200, 100, 900), 500, reach{1, 200 * time.Millisecond, 100 * time.Millisecond, true}},
	} {
		if got := reachOf(tt.answers, began, at(tt.to)[0], pingInterval); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// A lookup that failed while the machine was too busy for one in its own files says nothing.
func TestBusy(t *testing.T) {
	for out, want := range map[string]bool{
		"local 12.30 12.45\n":          false,
		"local 12.30 14.45\n":          true,
		"local 12.30 14.45\n1.2.3.4\n": true,
		"":                             false,
		"local 12.30":                  false,
	} {
		if busy(out) != want {
			t.Errorf("%q: want %v", out, want)
		}
	}
}

func TestReport(t *testing.T) {
	bad := result{Scenario: "lease", IPv4: "10.0.0.1", Notes: []string{"a|b"}, Err: errors.New("two\nlines"),
		observation: observation{Took: time.Minute, Lookups: 3, Unresolved: 1, LookupGap: 20 * time.Second,
			Lifetime: -1, Absent: 2,
			Session: true, SessionLost: true,
			Ping: map[string]reach{"10.0.0.1": {Answers: 5, AtEnd: true, Gap: 6 * time.Second,
				GapAt: 2 * time.Second}}}}
	r := report{Host: "h", About: "a manager", Began: time.Unix(0, 0), Versions: []string{"v1", "v2"},
		Results: []result{bad}, Err: errors.New("ended early")}
	const want = `### h: a manager

1970-01-01 00:00. v1 · v2.

| scenario | IPv4 reached | IPv6 reached | DNS | lease | session | |
|---|---|---|---|---|---|---|
| lease | **gap 6.0 s** at 2.0 s | **no address** | **1 of 3 not, gap 20.0 s** | **address missing** | **lost** | a\|b; **two lines** |

**Not finished: ended early**

`
	if d := cmp.Diff(want, markdown([]report{r})); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if err := failures([]report{r}); err == nil || !strings.Contains(err.Error(), "h: 1 of 1") {
		t.Errorf("failures: %v", err)
	}
	if err := failures([]report{{Host: "h", Results: []result{{Scenario: "before"}}}}); err == nil {
		t.Error("a host that was never reached is no failure")
	}
}
