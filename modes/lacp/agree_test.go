// SPDX-License-Identifier: MIT

package lacp

import (
	"testing"
	"time"
)

func TestTwoSystemsAgreeWithin3200ms(t *testing.T) {
	for _, fast := range []bool{true, false} {
		for n := 1; n <= 8; n++ {
			w, a, b := linked(t, n, func(a, b *side) { a.config.Fast, b.config.Fast = fast, fast })
			all := make([]int, n)
			for i := range all {
				all[i] = i
			}
			agree(t, w, a, b, 3200*time.Millisecond, all...)
			w.run(5 * time.Minute)
			if !uses(a.System, all...) || !uses(b.System, all...) {
				t.Errorf("%d ports, fast %v: it did not last: %v %v", n, fast, distributing(a.System),
					distributing(b.System))
			}
			w.checkPace()
		}
	}
}

func TestHealthyStateOctets(t *testing.T) {
	for _, tt := range []struct {
		fast bool
		want State
	}{{true, 0x3f}, {false, 0x3d}} {
		w, a, b := linked(t, 1, func(a, b *side) { a.config.Fast, b.config.Fast = tt.fast, tt.fast })
		agree(t, w, a, b, 4*time.Second, 0)
		w.run(2 * time.Second)
		if got := w.last(0, 0).Actor.State; got != tt.want {
			t.Errorf("fast %v: state %#x, want %#x", tt.fast, got, tt.want)
		}
		if got := status(t, b.System, 0).Partner.State; got != tt.want {
			t.Errorf("fast %v: the partner knows %#x, want %#x", tt.fast, got, tt.want)
		}
	}
}

func TestCarrierLossActsAtOnce(t *testing.T) {
	w, a, b := linked(t, 2)
	agree(t, w, a, b, 4*time.Second, 0, 1)
	w.carrier(1, false)
	if !uses(a.System, 0) || !uses(b.System, 0) {
		t.Errorf("used after the loss: %v %v", distributing(a.System), distributing(b.System))
	}
	w.run(time.Second)
	w.carrier(1, true)
	agree(t, w, a, b, 3200*time.Millisecond, 0, 1)
}
