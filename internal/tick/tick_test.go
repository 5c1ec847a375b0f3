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
