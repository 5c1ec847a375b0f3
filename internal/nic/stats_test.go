// SPDX-License-Identifier: MIT

package nic

import (
	"testing"
	"time"
)

// TestDropsOfAnIdleSocket: the kernel is asked after each batch, and of an idle socket once a second.
func TestDropsOfAnIdleSocket(t *testing.T) {
	var d drops
	now := time.Now()
	for i, step := range []struct {
		after   time.Duration
		batches uint64
		want    bool
	}{
		{0, 0, true}, // never asked
		{time.Millisecond, 0, false},
		{time.Millisecond, 1, true},
		{time.Millisecond, 0, false},
		{dropsInterval - 2*time.Millisecond, 0, false},
		{2 * time.Millisecond, 0, true}, // nobody may empty the buffer
		{time.Millisecond, 0, false},
		{-time.Hour, 0, true}, // the clock was set
		{time.Millisecond, 0, false},
	} {
		now = now.Add(step.after)
		d.batches.Add(step.batches)
		if got := d.mayGrow(now); got != step.want {
			t.Errorf("step %d: asked: %v", i, got)
		}
	}
}
