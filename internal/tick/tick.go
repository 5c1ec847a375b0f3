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
