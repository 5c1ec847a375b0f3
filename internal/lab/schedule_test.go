// SPDX-License-Identifier: MIT

package lab

import (
	"testing"
	"time"
)

// TestTimetable has senders that are late in all ways: what is little they make up for, what is much they never do.
func TestTimetable(t *testing.T) {
	const us = int64(time.Microsecond)
	for _, tt := range []struct {
		name   string
		late   func(n int) int64 // how much later than it is due frame n is sent
		want   int64             // the time of 1000 frames
		missed int64
	}{
		{"on time", func(int) int64 { return 0 }, 100_000 * us, 0},
		{"always a little late", func(int) int64 { return 90 * us }, 100_000 * us, 0},
		{"late by all that is made up for", func(n int) int64 { return int64(n%2) * 500 * us }, 100_000 * us, 0},
		{"one standstill", func(n int) int64 {
			if n == 500 {
				return 20_000 * us
			}
			return 0
		}, 120_000 * us, 20_000 * us},
		{"ten standstills", func(n int) int64 {
			if n%100 == 7 {
				return 501 * us
			}
			return 0
		}, 105_010 * us, 5_010 * us},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const start = 77
			pace, now, missed := schedule{due: start, period: 100 * us}, int64(start), int64(0)
			for n := range 1000 {
				now = max(now, pace.due+tt.late(n))
				if now < start+int64(n)*pace.period {
					t.Fatalf("frame %d leaves at %d", n, now-start)
				}
				missed += pace.sent(now).length()
			}
			if took := pace.due - start; took != tt.want || missed != tt.missed {
				t.Errorf("1000 frames took %d, %d of it missed; want %d and %d", took, missed, tt.want, tt.missed)
			}
		})
	}
}
