// SPDX-License-Identifier: MIT

package relay

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// Monotonic returns CLOCK_MONOTONIC in ns, which is the clock of programs in the kernel (bpf_ktime_get_ns).
func Monotonic() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // never fails
	return ts.Nano()
}

// clock tells the time of Monotonic, never 0, as fast as Go's own clock.
type clock struct {
	start   time.Time
	startNs int64
}

// newClock reads both clocks at one moment: of some readings the shortest, since another thread may come in between.
func newClock() (c clock) {
	least := time.Duration(math.MaxInt64)
	for range 8 {
		start, ns := time.Now(), Monotonic()
		if took := time.Since(start); took < least {
			least, c = took, clock{start: start, startNs: ns}
		}
	}
	return c
}

func (c clock) now() int64 { return c.startNs + int64(time.Since(c.start)) + 1 }

// TimeOf returns a time of Monotonic.
func (r *Relay) TimeOf(at int64) time.Time {
	return r.clock.start.Add(time.Duration(at - r.clock.startNs))
}
