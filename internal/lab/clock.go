package lab

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Times of frames are nanoseconds of CLOCK_REALTIME: the kernel stamps received frames with it, and
// what is compared with those must be of the same clock.

func nanotime() int64 {
	var ts unix.Timespec
	// Cannot fail for this clock; no vDSO call of Go gives plain nanoseconds.
	_ = unix.ClockGettime(unix.CLOCK_REALTIME, &ts)
	return ts.Nano()
}

// sleepUntil returns at a time, or after it, never before. The timer is the kernel's: Go's own ones
// are as coarse as a millisecond.
func sleepUntil(at int64) {
	ts := unix.NsecToTimespec(at)
	for errors.Is(unix.ClockNanosleep(unix.CLOCK_REALTIME, unix.TIMER_ABSTIME, &ts, nil), unix.EINTR) {
	}
}

// exactTimers ends the 50 µs by which the kernel may delay the calling thread's timers.
func exactTimers() {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

// preferThread has the calling thread run before ordinary programs, so that a busy machine delays what
// is measured rather than the measuring. Without the right to do so it stays as it is. A real-time
// class would be sharper and hangs for up to a second: Go's locks spin, and on its own processor a
// real-time thread spins before an ordinary one that holds the lock.
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
