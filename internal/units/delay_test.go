// SPDX-License-Identifier: MIT

package units

import (
	"testing"
	"time"
)

func TestDelay(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0.00 ms", 900: "0.01 ms", 312 * time.Microsecond: "0.31 ms",
		9994 * time.Microsecond: "9.99 ms", 9996 * time.Microsecond: "10.0 ms", 42 * time.Millisecond: "42.0 ms",
		99_960 * time.Microsecond: "100 ms", 350 * time.Millisecond: "350 ms", 999_600 * time.Microsecond: "1.0 s",
		1240 * time.Millisecond: "1.2 s"} {
		if got := Delay(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestPercent(t *testing.T) {
	for v, want := range map[float64]string{0: "0 %", 0.001: "1 %", 0.03125: "3 %", 0.5: "50 %", 1: "100 %"} {
		if got := Percent(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}
