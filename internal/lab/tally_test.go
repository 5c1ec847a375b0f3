// SPDX-License-Identifier: MIT

package lab

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestTally(t *testing.T) {
	type counts struct{ Distinct, Duplicated, Reordered uint64 }
	tests := []struct {
		name    string
		seqs    []uint64
		sent    uint64
		want    counts
		missing []Span
	}{
		{"in order", []uint64{0, 1, 2, 3}, 4, counts{4, 0, 0}, nil},
		{"one lost", []uint64{0, 2, 3}, 4, counts{3, 0, 0}, []Span{{1, 2}}},
		{"first and last lost", []uint64{1, 2}, 4, counts{2, 0, 0}, []Span{{0, 1}, {3, 4}}},
		{"one late", []uint64{0, 2, 1, 3}, 4, counts{4, 0, 1}, nil},
		{"two late", []uint64{0, 3, 1, 2}, 4, counts{4, 0, 2}, nil},
		{"one twice", []uint64{0, 1, 1, 2}, 3, counts{3, 1, 0}, nil},
		{"a late one twice", []uint64{1, 0, 0}, 2, counts{2, 2 - 1, 1}, nil},
		{"nothing", nil, 130, counts{}, []Span{{0, 130}}},
		{"across words", []uint64{0, 63, 64, 127, 128}, 129, counts{5, 0, 0}, []Span{{1, 63}, {65, 127}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var y tally
			for i, s := range tt.seqs {
				if !y.arrive(s, int64(i+1)) {
					t.Fatalf("number %d refused", s)
				}
			}
			if diff := cmp.Diff(tt.want, counts{y.distinct, y.duplicated, y.reordered}); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if diff := cmp.Diff(tt.missing, y.missing(tt.sent, 8)); diff != "" {
				t.Errorf("missing: -want +got\n%s", diff)
			}
		})
	}
	var y tally
	if y.arrive(seqLimit, 1) {
		t.Error("a number beyond the limit was taken")
	}
}

func TestTallyAgainstSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seqs := rapid.SliceOfN(rapid.Uint64Range(0, 300), 0, 400).Draw(t, "seqs")
		var y tally
		seen := map[uint64]bool{}
		var duplicated, reordered, highest uint64
		for i, s := range seqs {
			y.arrive(s, int64(i+1))
			switch {
			case seen[s]:
				duplicated++
			case len(seen) > 0 && s < highest:
				reordered++
			}
			seen[s] = true
			highest = max(highest, s)
		}
		if y.distinct != uint64(len(seen)) || y.duplicated != duplicated || y.reordered != reordered {
			t.Fatalf("distinct %d, duplicated %d, reordered %d; want %d, %d, %d", y.distinct, y.duplicated, y.reordered,
				len(seen), duplicated, reordered)
		}
		var lost uint64
		for _, s := range y.missing(301, 1000) {
			for n := s.From; n < s.To; n++ {
				if seen[n] {
					t.Fatalf("%d is called missing", n)
				}
				lost++
			}
		}
		if lost != 301-uint64(len(seen)) {
			t.Fatalf("%d missing, want %d", lost, 301-len(seen))
		}
	})
}

func TestGap(t *testing.T) {
	const ms = int64(time.Millisecond)
	var g gaps
	for _, at := range []int64{1, 2, 3, 33, 34, 84, 85} {
		g.arrive(at * ms)
	}
	tests := []struct {
		name        string
		within      Interval
		standstills []Interval
		end         int64
		length, net time.Duration
		at          int64
	}{
		{"no standstill", Interval{0, 100 * ms}, nil, 0, 50e6, 50e6, 34},
		{"standstill in the longest", Interval{0, 100 * ms}, []Interval{{40 * ms, 80 * ms}}, 0, 50e6, 30e6, 3},
		{"overlapping standstills", Interval{0, 100 * ms}, []Interval{{1 * ms, 31 * ms}, {35 * ms, 60 * ms},
			{36 * ms, 50 * ms}, {59 * ms, 70 * ms}}, 0, 50e6, 15e6, 34},
		{"standstill is all", Interval{30 * ms, 100 * ms}, []Interval{{0, 100 * ms}}, 0, 50e6, 0, 0},
		{"only the first", Interval{0, 10 * ms}, nil, 0, 30e6, 30e6, 3},
		{"never came back", Interval{0, 500 * ms}, nil, 300 * ms, 215e6, 215e6, 85},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := g.worst(tt.within, union(tt.standstills), tt.end)
			if got.Length != tt.length || got.Net != tt.net || (tt.net > 0 && got.At.UnixNano() != tt.at*ms) {
				t.Errorf("%v at %d, want %v net %v at %d ms", got, got.At.UnixNano()/ms, tt.length, tt.net, tt.at)
			}
		})
	}
}

func FuzzMark(f *testing.F) {
	b := make([]byte, 60)
	mark{run: 1, flow: 2, seq: 3, sent: 4}.put(b)
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := readMark(b)
		if !ok {
			return
		}
		again := append([]byte(nil), b...)
		again[12], again[13], again[14], again[15] = 0, 0, 0, 0
		m.put(again)
		if got, ok := readMark(again); !ok || got != m {
			t.Fatalf("%v became %v", m, got)
		}
	})
}

// TestOverlap compares with counting each nanosecond.
func TestOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound := rapid.Int64Range(0, 60)
		interval := rapid.Custom(func(t *rapid.T) Interval {
			from := bound.Draw(t, "from")
			return Interval{from, from + rapid.Int64Range(0, 20).Draw(t, "length")}
		})
		spans, of := rapid.SliceOf(interval).Draw(t, "spans"), interval.Draw(t, "of")
		var want int64
		for at := of.From; at < of.To; at++ {
			if slices.ContainsFunc(spans, func(s Interval) bool { return s.From <= at && at < s.To }) {
				want++
			}
		}
		if got := of.overlap(union(slices.Clone(spans))); got != want {
			t.Errorf("%v overlaps %v by %d, want %d", of, spans, got, want)
		}
	})
}
