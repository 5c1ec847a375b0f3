// SPDX-License-Identifier: MIT

package lacp

import (
	"testing"
	"time"
)

// TestRateMayChange: partners that are asked for another rate are not taken for silent.
func TestRateMayChange(t *testing.T) {
	w, a, b := linked(t, 2)
	agree(t, w, a, b, 4*time.Second, 0, 1)
	w.after = func() {
		if !uses(a.System, 0, 1) || !uses(b.System, 0, 1) {
			t.Fatalf("at %v: %v %v", w.now.Sub(start), distributing(a.System), distributing(b.System))
		}
	}
	for i := range 8 {
		w.run(time.Duration(i) * 13 * time.Second)
		a.config.Fast = !a.config.Fast
		a.apply()
		if i%3 == 1 {
			b.config.Fast = !b.config.Fast
			b.apply()
		}
	}
	w.run(4 * time.Minute)
}
