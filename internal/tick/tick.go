// SPDX-License-Identifier: MIT

// Package tick looks at what the kernel sends no event for: again and again, until a context ends.
package tick

import (
	"context"
	"iter"
	"time"
)

// Every returns a loop with a pass each interval, the first after one interval, until ctx ends. A pass that takes
// longer than the interval makes the loop skip some.
func Every(ctx context.Context, interval time.Duration) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		t := time.NewTicker(interval)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-t.C:
				if ctx.Err() != nil || !yield(now) {
					return
				}
			}
		}
	}
}

// Beat is Every for looks that may come a little earlier or later: a pass is when the clock shows a multiple of the
// interval. So the loops of a process have their passes at the same moments, and one that has nothing else to do wakes
// once for all of them; most of what it costs is that it wakes.
func Beat(ctx context.Context, interval time.Duration) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		t := time.NewTimer(UntilBeat(interval))
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-t.C:
				if ctx.Err() != nil || !yield(now) {
					return
				}
				t.Reset(UntilBeat(interval))
			}
		}
	}
}

// UntilBeat is the time to the next pass of a Beat: an interval, and a sixteenth, at most.
func UntilBeat(interval time.Duration) time.Duration { return FromBeat(time.Now(), interval) }

// FromBeat is UntilBeat at a time.
func FromBeat(now time.Time, interval time.Duration) time.Duration {
	left := interval - time.Duration(now.UnixNano())%interval
	if left < interval/16 { // a timer that came before its time, or a clock that is being set
		left += interval
	}
	return left
}

// Until calls done at once and then each interval, until it returns true. It returns false if ctx ends first.
func Until(ctx context.Context, interval time.Duration, done func() bool) bool {
	if done() {
		return true
	}
	for range Every(ctx, interval) {
		if done() {
			return true
		}
	}
	return false
}
