// SPDX-License-Identifier: MIT

package tui

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/frame"
	"nicteam/monitor/chart"
)

// TestLiveIsHistory: seconds that were added one by one make the columns that the history has.
func TestLiveIsHistory(t *testing.T) {
	for _, step := range []time.Duration{time.Second, 5 * time.Second, 30 * time.Second} {
		for _, who := range []string{"", "eth2"} {
			from := epoch.Truncate(step)
			to := from.Add(8 * step)
			want := newWindow(history(control.HistoryOptions{Member: who, Step: step, Last: to.Sub(from)}, to))
			got := &window{nic: who, step: step}
			for at := from.Add(time.Second); !at.After(to); at = at.Add(time.Second) {
				got.add(at.Unix()-1, rates(at))
			}
			if who != "" { // the rates tell no NIC's protocols
				want.protocols = nil
			}
			near := cmpopts.EquateApprox(1e-6, 1) // frames of a sum are not the sum of frames
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(window{}), near, cmpopts.EquateEmpty(),
				cmpopts.IgnoreFields(chart.Bin{}, "Frames", "MaxFrames")); diff != "" {
				t.Errorf("step %v of %q (-history +live):\n%s", step, who, diff)
			}
		}
	}
}

// TestBlocksStayWhole: whatever comes in, all series are of one length, and numbers are numbers.
func TestBlocksStayWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		step := time.Duration(rapid.IntRange(1, 7).Draw(t, "step")) * time.Second
		b := &window{step: step, nic: rapid.SampledFrom([]string{"", "eth1"}).Draw(t, "who")}
		for range rapid.IntRange(1, 30).Draw(t, "times") {
			second := rapid.OneOf(rapid.Int64Range(0, 60), rapid.Int64Range(0, 10000),
				rapid.Int64Range(-5, math.MaxInt64)).Draw(t, "second")
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				b.add(second, &api.Rates{Interval: 1e9, RX: frame.Count{Bytes: 7},
					Members: []api.MemberRates{{Name: "eth1"}}, Protocols: []api.ProtocolRates{{Name: "tcp"}}})
			case 1:
				h := &window{step: step, nic: b.nic, firstColumn: second / 7, known: make([]int, 5)}
				h.total.In, h.total.Out = make([]chart.Bin, 5), make([]chart.Bin, 5)
				h.mergeLive(b)
				b = h
			case 2:
				b.before(time.Unix(second%(1<<40), 0))
			}
			if n := len(b.known); n > maxColumns+5 {
				t.Fatalf("%d columns", n)
			}
			b.each(func(s *chart.Series) {
				if len(s.In) != len(b.known) || len(s.Out) != len(b.known) {
					t.Fatalf("%q has %d and %d columns of %d", s.Name, len(s.In), len(s.Out), len(b.known))
				}
			})
		}
	})
}

// TestSecondsAreCountedOn: a stream whose ticks jitter about the second has neither a gap nor a second twice.
func TestSecondsAreCountedOn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := Model{team: &window{step: time.Second}, now: epoch}
		phase := time.Duration(rapid.IntRange(0, 999).Draw(rt, "phase")) * time.Millisecond
		n := rapid.IntRange(2, 50).Draw(rt, "n")
		for i := range n {
			jitter := time.Duration(rapid.IntRange(-80, 80).Draw(rt, "jitter")) * time.Millisecond
			m.rates(&api.Rates{Time: epoch.Add(time.Duration(i)*time.Second + phase + jitter), Interval: 1e9,
				RX: frame.Count{Bytes: uint64(i + 1)}})
		}
		if len(m.team.known) != n {
			rt.Fatalf("%d columns of %d seconds", len(m.team.known), n)
		}
		for i, b := range m.team.total.In {
			if b.Bytes != float64(i+1) {
				rt.Fatalf("column %d has %v", i, b.Bytes)
			}
		}
	})
}

// TestKeep: a history that comes later wins where it knows something, and loses nothing.
func TestKeep(t *testing.T) {
	live := &window{step: time.Second}
	for i := range 5 {
		live.add(100+int64(i), &api.Rates{Interval: 1e9, RX: frame.Count{Bytes: 50}})
	}
	h := newWindow(&api.History{From: time.Unix(97, 0), Step: 1e9, Columns: 5, Covered: []int64{1e9, 1e9, 0, 1e9, 0},
		RX: api.SeriesColumns{Bytes: []uint64{1, 2, 3, 4, 5}}})
	h.mergeLive(live)
	var got []float64
	for _, b := range h.total.In {
		if !b.Known {
			b.Bytes = -1
		}
		got = append(got, b.Bytes)
	}
	if diff := cmp.Diff([]float64{1, 2, -1, 4, 50, 50, 50, 50}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The last column of a history has often just begun. What it has so far is neither a second's rate nor to be averaged
// with one.
func TestAColumnThatHasJustBegun(t *testing.T) {
	begun := func(ms int64) *window {
		return newWindow(&api.History{From: time.Unix(100, 0), Step: 1e9, Columns: 2, Covered: []int64{1e9, ms * 1e6},
			RX: api.SeriesColumns{Bytes: []uint64{8000, uint64(8 * ms)}}})
	}
	b := begun(91)
	if b.known[1] != 0 || b.total.In[1].Known {
		t.Errorf("91 ms of a second are known: %+v", b.total.In[1])
	}
	b.add(101, &api.Rates{Interval: 1e9, RX: frame.Count{Bytes: 8000}})
	if got := b.total.In[1].Bytes; got != 8000 {
		t.Errorf("%v octets/s, want 8000", got)
	}
	if got := begun(800).total.In[1].Bytes; got != 8000 {
		t.Errorf("after 0.8 s %v octets/s, want 8000", got)
	}
}
