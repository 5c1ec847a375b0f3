package relay

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock tells the relay's time: ns of CLOCK_MONOTONIC, as programs in the kernel read it; never 0.
type clock struct {
	began time.Time
	then  int64
}

func newClock() clock {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // never fails
	return clock{began: time.Now(), then: ts.Nano()}
}

func (c clock) now() int64 { return c.then + int64(time.Since(c.began)) + 1 }
