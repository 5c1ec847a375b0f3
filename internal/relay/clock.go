package relay

import "time"

// clock tells the relay's time, in ns since it began; never 0.
type clock struct{ began time.Time }

func newClock() clock { return clock{time.Now()} }

func (c clock) now() int64 { return int64(time.Since(c.began)) + 1 }
