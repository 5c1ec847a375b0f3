// SPDX-License-Identifier: MIT

package tick

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		begun, passes := time.Now(), 0
		for now := range Every(ctx, time.Second) {
			passes++
			if want := begun.Add(time.Duration(passes) * time.Second); !now.Equal(want) {
				t.Errorf("pass %d at %v, want %v", passes, now, want)
			}
			if passes == 3 {
				cancel()
			}
		}
		if passes != 3 {
			t.Errorf("%d passes, the context ended after 3", passes)
		}
		for range Every(t.Context(), time.Second) {
			break
		}
		if d := time.Since(begun); d != 4*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, asked := time.Now(), 0
		third := func() bool { asked++; return asked >= 3 }
		if !Until(t.Context(), time.Second, third) || time.Since(begun) != 2*time.Second {
			t.Errorf("asked %d times in %v", asked, time.Since(begun))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if Until(ctx, time.Minute, func() bool { return false }) {
			t.Error("what never happened has")
		}
		if !Until(ctx, time.Second, func() bool { return true }) {
			t.Error("not asked when the context has ended")
		}
	})
}

// Loops that begin at different times have their passes at the same ones.
func TestBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		passes := make(chan time.Time, 100)
		for _, wait := range []time.Duration{0, 130 * time.Millisecond, 777 * time.Millisecond} {
			go func() {
				time.Sleep(wait)
				for now := range Beat(ctx, time.Second) {
					passes <- now
				}
			}()
		}
		time.Sleep(10*time.Second + 500*time.Millisecond)
		cancel()
		synctest.Wait()
		close(passes)
		at := map[time.Time]int{}
		for now := range passes {
			at[now]++
		}
		if len(at) != 10 {
			t.Errorf("passes at %d moments within 10.5s: %v", len(at), at)
		}
	})
}

func TestUntilBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 1000 {
			time.Sleep(time.Millisecond)
			left := UntilBeat(200 * time.Millisecond)
			if left < 12500*time.Microsecond || left > 212500*time.Microsecond {
				t.Fatalf("%v", left)
			}
			if next := time.Now().Add(left); next.UnixMilli()%200 != 0 {
				t.Fatalf("not on a beat: %v", next)
			}
		}
	})
}
