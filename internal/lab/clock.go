// SPDX-License-Identifier: MIT

package lab

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Times of frames are nanoseconds of CLOCK_REALTIME, the clock of the kernel's receive timestamps.

func nanotime() int64 {
	var ts unix.Timespec
	// Cannot fail for this clock; no vDSO call of Go gives plain nanoseconds.
	_ = unix.ClockGettime(unix.CLOCK_REALTIME, &ts)
	return ts.Nano()
}

// sleepUntil returns at a time or later, never before. It uses a timer of the kernel: Go's timers may be a millisecond
// late.
func sleepUntil(at int64) {
	ts := unix.NsecToTimespec(at)
	for errors.Is(unix.ClockNanosleep(unix.CLOCK_REALTIME, unix.TIMER_ABSTIME, &ts, nil), unix.EINTR) {
	}
}

// exactTimers removes the timer slack of 50 µs from the calling thread.
func exactTimers() {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

// preferThread raises the priority of the calling thread, so that a busy machine delays what is measured rather than
// the measuring. Without the right to do so nothing changes. A real-time class hangs for up to a second: Go's locks
// spin, and a real-time thread then starves an ordinary one on its processor that holds the lock.
func preferThread() {
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -10)
}

// Interval is a span of time.
type Interval struct{ From, To int64 }

func (i Interval) length() int64 { return i.To - i.From }

// overlap returns how much of i the spans cover. They are a union.
func (i Interval) overlap(spans []Interval) int64 {
	var sum int64
	first, _ := slices.BinarySearchFunc(spans, i.From, func(s Interval, at int64) int { return cmp.Compare(s.To, at) })
	for _, s := range spans[first:] {
		if s.From >= i.To {
			break
		}
		sum += max(0, min(s.To, i.To)-max(s.From, i.From))
	}
	return sum
}

// union returns what spans cover as spans in order that do not touch. It reorders its argument.
func union(spans []Interval) []Interval {
	slices.SortFunc(spans, func(a, b Interval) int { return cmp.Compare(a.From, b.From) })
	out := spans[:0]
	for _, s := range spans {
		if l := len(out); l > 0 && s.From <= out[l-1].To {
			out[l-1].To = max(out[l-1].To, s.To)
		} else {
			out = append(out, s)
		}
	}
	return out
}

func duration(ns int64) time.Duration { return time.Duration(ns) }
