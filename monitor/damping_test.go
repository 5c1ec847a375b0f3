// SPDX-License-Identifier: MIT

//go:build !race

package monitor

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDamping(t *testing.T) {
	begin := time.Unix(1000, 0)
	for _, c := range []struct {
		name     string
		lost     []float64 // seconds
		failures int
		until    float64 // 0: not damped
	}{
		{"never", nil, 0, 0},
		{"twice", []float64{0, 1}, 2, 0},
		{"three times", []float64{0, 1, 2}, 3, 7},
		{"three times in two minutes", []float64{0, 40, 80}, 2, 0},
		{"again in the wait", []float64{0, 1, 2, 3, 4}, 5, 9},
		{"again after it", []float64{0, 1, 2, 8}, 4, 18},
		{"and again", []float64{0, 1, 2, 8, 19}, 5, 39},
		{"later, a second wait", []float64{0, 1, 2, 8, 100, 101, 102}, 3, 122},
		{"forgotten after ten minutes", []float64{0, 1, 2, 8, 700, 701, 702}, 3, 707},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d Damping
			now := begin
			for _, s := range c.lost {
				now = begin.Add(time.Duration(s * float64(time.Second)))
				d.Failed(now)
			}
			var want time.Time
			if c.until != 0 {
				want = begin.Add(time.Duration(c.until * float64(time.Second)))
			}
			if got := d.Until(now); !got.Equal(want) || d.Failures(now) != c.failures {
				t.Errorf("until %v, %d failures; want %v, %d", got.Sub(begin), d.Failures(now), want.Sub(begin),
					c.failures)
			}
			again := d.At().Damping()
			if diff := cmp.Diff(d, again, cmp.AllowUnexported(Damping{})); diff != "" {
				t.Errorf("from its state: -want +got\n%s", diff)
			}
			if c.until != 0 && !d.Until(want).IsZero() {
				t.Error("still damped when it is over")
			}
			if d.Undamp(); !d.Until(now).IsZero() || d.Failures(now) != 0 {
				t.Error("still damped")
			}
		})
	}
}

// TestDampingOfFlap: a link that flaps ten times a second for ten minutes is used at most eight times, and soon after
// it is quiet.
func TestDampingOfFlap(t *testing.T) {
	for _, period := range []time.Duration{100 * ms, time.Second, 6 * time.Second, 20 * time.Second} {
		var d Damping
		begin := time.Unix(1000, 0)
		returns, used, now := 0, true, begin
		for ; now.Sub(begin) < 10*time.Minute; now = now.Add(10 * ms) {
			switch phase := now.Sub(begin) % period; {
			case phase == 0:
				d.Failed(now)
				used = false
			case phase >= period/2 && !used && d.Until(now).IsZero():
				used = true
				returns++
			}
		}
		t.Logf("each %v: %d returns, %v to wait", period, returns, d.Until(now).Sub(now))
		if returns > 8 || len(d.At().Lost) > maxLosses {
			t.Errorf("each %v: %d returns, %d losses remembered", period, returns, len(d.At().Lost))
		}
		if d.Until(now).Sub(now) > mostDamping {
			t.Errorf("each %v: waits %v", period, d.Until(now).Sub(now))
		}
	}
}
