// SPDX-License-Identifier: MIT

package steer

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestScheduleIsSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s schedule
		var tasks []*task
		for i := range 41 {
			tasks = append(tasks, &task{seq: uint64(i)})
		}
		due := map[*task]time.Time{}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			it := rapid.SampledFrom(tasks).Draw(t, "task")
			if rapid.IntRange(0, 3).Draw(t, "what") == 0 {
				s.cancel(it)
				delete(due, it)
			} else {
				at := t0.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "at")))
				s.set(it, at)
				due[it] = at
			}
			for _, it := range tasks {
				if _, ok := due[it]; ok != (it.place != 0) {
					t.Fatalf("task %d is due: %v", it.seq, it.place != 0)
				}
			}
		}
		var want, got []*task
		for it := range due {
			want = append(want, it)
		}
		slices.SortFunc(want, func(a, b *task) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.seq, b.seq)) })
		for it := s.first(); it != nil; it = s.first() {
			got = append(got, it)
			s.cancel(it)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %d tasks, want %d", len(got), len(want))
		}
	})
}
