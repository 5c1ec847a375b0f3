// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func filled(name string, figures map[string][]float64, order ...string) *measure {
	m := &measure{Name: name, Unit: "x"}
	for _, c := range order {
		r := m.add(c)
		for i, f := range figures[c] {
			r.set(i, f)
		}
	}
	return m
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   figures
		want float64
	}{
		{"one", figures{3}, 3},
		{"odd", figures{9, 1, 5}, 5},
		{"even", figures{4, 1, 2, 100}, 3},
		{"gaps are left out", figures{figure(math.NaN()), 7, figure(math.NaN()), 9}, 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.in.median(); got != tt.want {
				t.Errorf("median %v, want %v", got, tt.want)
			}
		})
	}
	if got := (figures{}).median(); !math.IsNaN(got) {
		t.Errorf("median of nothing %v, want NaN", got)
	}
}

// A ratio is of turns of the same round: a round in which the machine was slow for both does not move it.
func TestRatioWithinRounds(t *testing.T) {
	m := filled("tcp-1-out", map[string][]float64{
		relay: {50, 5, math.NaN(), 60},
		plain: {100, 10, 100, 100},
	}, relay, plain)
	m.compare(relay, plain)
	m.finish()
	if got := m.ratio(relay, plain); got != 0.5 {
		t.Errorf("ratio %v, want 0.5 of 0.5, 0.5, none, 0.6", got)
	}
	if got := m.ratio(plain, relay); !math.IsNaN(got) {
		t.Errorf("a ratio nobody asked for is %v", got)
	}
}

func TestJudge(t *testing.T) {
	m := filled("tcp-1-out", map[string][]float64{relay: {70}, plain: {100}}, relay, plain)
	m.compare(relay, plain)
	m.compare(relay, ovsTSO)
	gone := m.add(ovsTSO)
	gone.fail(0, errors.New("no such switch"))
	gone.fail(1, errors.New("no such switch"))
	m.finish()
	gaps := filled("failover-out", map[string][]float64{team1: {1, 2, 9}, noCut: {0.5, 1, 1.5}}, team1, noCut)
	busy := filled("failover-out", map[string][]float64{team1: {1, 2, 9}, noCut: {0.5, 1, 7}}, team1, noCut)
	busy.finish()
	gaps.finish()
	for _, tt := range []struct {
		name string
		goal goal
		m    *measure
		want string
	}{
		{"least, met", ratioAtLeast("", relay, plain, 0.65, 0), m, "met"},
		{"least, exactly", ratioAtLeast("", relay, plain, 0.7, 0), m, "met"},
		{"least, missed", ratioAtLeast("", relay, plain, 0.71, 0), m, "missed"},
		{"most, missed", ratioAtMost("", relay, plain, 0.5), m, "missed"},
		{"one side is missing", ratioAtLeast("", relay, ovsTSO, 0.1, 0), m, "not taken: ovs+tso: no such switch"},
		{"median", atMost("", team1, theMedian, 2), gaps, "met"},
		{"highest", atMost("", team1, theHighest, 5), gaps, "missed"},
		{"a machine that cannot tell", atMost("", team1, theHighest, 5), busy, "missed: without a cut 7.00 too"},
		{"absent", atMost("", team1, theMedian, 2), &measure{Absent: "no TAP"}, "not taken: no TAP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := tt.goal.judge(tt.m)
			got := v.State
			if v.Reason != "" {
				got += ": " + v.Reason
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Each goal is of a measure that exists, or it would never be judged.
func TestGoalsHaveMeasures(t *testing.T) {
	names := map[string]bool{}
	for _, g := range groups {
		for _, n := range g.measures {
			names[n] = true
		}
	}
	for _, g := range goals {
		if !names[g.measure] {
			t.Errorf("goal of unknown measure %q", g.measure)
		}
	}
}

// Whoever asks for the fast path gets all measures that it has goals in.
func TestOnlyFastpath(t *testing.T) {
	b := &bench{options: options{only: regexp.MustCompile("fastpath")}}
	for _, g := range goals {
		if (strings.HasPrefix(g.of, fast) || strings.HasPrefix(g.measure, fast)) && !b.wants(g.measure) {
			t.Errorf("-only fastpath leaves %s out", g.measure)
		}
	}
	if b.wants("second-loss") {
		t.Error("-only fastpath runs second-loss, which has only the relay")
	}
}

func TestFailEndsAtTwo(t *testing.T) {
	var r row
	r.set(0, 1)
	r.fail(1, errors.New("once"))
	if r.Missing != "" {
		t.Errorf("given up after one failure: %s", r.Missing)
	}
	r.fail(2, errors.New("twice"))
	if r.Missing != "twice" || len(r.Samples) != 3 {
		t.Errorf("missing %q with %d samples, want the reason and 3", r.Missing, len(r.Samples))
	}
}

// What was not taken is null and said, in both forms.
func TestReportSaysWhatIsMissing(t *testing.T) {
	m := filled("udp-64", map[string][]float64{plain: {math.NaN(), 5}}, plain)
	bad := m.add(ovs)
	bad.Missing = "not installed"
	r := &report{Measures: []*measure{m, {Name: "create", Absent: "no namespaces"}}}
	r.finish()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), `"samples":[null,5]`) {
		t.Errorf("no null for the turn without a figure in %s", b)
	}
	var out bytes.Buffer
	r.print(&out)
	for _, want := range []string{"ovs        not taken: not installed", "not taken: no namespaces",
		"goals: 0 met, 0 missed, 4 not taken"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
}
