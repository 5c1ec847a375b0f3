// SPDX-License-Identifier: MIT

package lacp

import (
	"testing"
	"time"
)

// TestRestartWithAPartnerThatTakesItsTime: one that keeps to its 30 s though it is asked for the short timeout, as Open
// vSwitch does, is made to answer all the same.
func TestRestartWithAPartnerThatTakesItsTime(t *testing.T) {
	for _, fast := range []bool{true, false} {
		a, c := newSide(0, 2), newCoupled(2, fast, true)
		w := newWire(t, a, c)
		a.w = w
		a.config.Fast = false
		a.apply()
		both := func() bool { return uses(a.System, 0, 1) && c.sends(0) && c.sends(1) }
		if took := w.until(4*time.Second, both); took > 4*time.Second {
			t.Fatalf("fast %v: not negotiated: %+v", fast, a.Status())
		}
		w.run(37 * time.Second)
		w.after = func() {
			if !both() {
				t.Fatalf("fast %v: %v after the beginning it does not work: %+v", fast, w.now.Sub(start), a.Status())
			}
		}
		for range 10 {
			a.restart(kept(t, a.System))
			w.run(5300 * time.Millisecond)
		}
		// What was wrongly said of it has been put right.
		w.run(time.Minute)
		for port := range 2 {
			if got, want := w.last(0, port).Partner, c.actor(port); got != want {
				t.Errorf("fast %v: port %d says of the partner %+v, which says %+v", fast, port, got, want)
			}
		}
	}
}
