// SPDX-License-Identifier: MIT

package lab

import (
	"testing"
	"time"
)

func TestClippedGaps(t *testing.T) {
	const ms = int64(time.Millisecond)
	var g gaps
	for _, at := range []int64{10, 20, 50, 51, 60} {
		g.arrive(at * ms)
	}
	for _, tt := range []struct {
		name     string
		from, to int64
		still    []Interval
		end      int64
		want     int64
	}{
		{"a gap under way counts from the begin", 45, 55, nil, 60, 5},
		{"one that goes on counts to the end", 52, 55, nil, 60, 3},
		{"the longest of several", 15, 60, nil, 60, 30},
		{"one that touches only", 50, 51, nil, 60, 1},
		{"nothing came any more", 58, 100, nil, 90, 30},
		{"without a standstill", 20, 60, []Interval{{25 * ms, 50 * ms}}, 60, 9},
		{"a standstill before the span", 45, 55, []Interval{{20 * ms, 44 * ms}}, 60, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := g.clipped(Interval{tt.from * ms, tt.to * ms}, tt.still, tt.end*ms)
			if want := time.Duration(tt.want * ms); got.Net != want {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}
