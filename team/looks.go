// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"time"

	"nicteam/internal/tick"
	"nicteam/modes/spread"
)

// The looks at the data path are taken by the goroutine that sleeps (run.go), and those that are due at about the same
// time together: most of what they cost is that it wakes. So each is due at a beat (tick.FromBeat).
//
//	samples of what members move   sampling.go       10 ms while frames move, to 200 ms
//	members without link           lossesInterval    if the data path sees them by itself; 200 ms when idle
//	counters, and carriers         flooding.go       100 ms, 200 ms when idle

const (
	// lossesInterval is the time between two looks at the members that the data path sees to have no link, while frames
	// move. It reports at once one by which it is to send; of one that only receives, and of one that has its link
	// again, the kernel's event may come a second late.
	lossesInterval = 10 * time.Millisecond
	// lookSlack is how much before its time a look is taken together with another one.
	lookSlack = 200 * time.Microsecond
)

// looks are what runLooks keeps from one to the next.
type looks struct {
	t        *Team
	sampler  *sampler
	counters countersLook
	dead     spread.MemberSet

	sampleAt, countAt, lossesAt time.Time // lossesAt: zero for never

	sampling, counting, losses func() // made once: a closure for each call would allocate
}

// newLooks returns looks until ctx ends, of which the first are due soon after now.
func (t *Team) newLooks(ctx context.Context, now time.Time) *looks {
	l := &looks{t: t, sampler: t.newSampler(), counters: countersLook{t: t, every: countersInterval},
		sampleAt: now.Add(sampleIdle), countAt: now.Add(countersInterval)}
	l.sampling = func() { t.sampleOnce(ctx, l.sampler, l.sampleAt) }
	l.counting = func() { l.counters.look(ctx) }
	l.losses = l.lookForLosses
	return l
}

// next is when the next look is due.
func (l *looks) next() time.Time { return earlier(earlier(l.sampleAt, l.countAt), l.lossesAt) }

// look takes the looks that are due.
func (l *looks) look(now time.Time) {
	isDue := func(at time.Time) bool { return !at.IsZero() && at.Sub(now) < lookSlack }
	sample, count, losses := isDue(l.sampleAt), isDue(l.countAt), isDue(l.lossesAt)
	if sample {
		l.t.o.Panics.Do(panicSampling, l.sampling)
	}
	if losses {
		l.t.o.Panics.Do(panicLosses, l.losses)
	}
	if count {
		l.t.o.Panics.Do(panicCounters, l.counting)
	}
	now = time.Now()
	if sample {
		l.sampleAt = beat(now, l.sampler.every)
	}
	if count {
		l.countAt = beat(now, l.counters.every)
	}
	switch every := l.counters.losses; {
	case every == 0:
		l.lossesAt = time.Time{}
	case losses, l.lossesAt.IsZero(), l.lossesAt.Sub(now) > every:
		l.lossesAt = beat(now, every)
	}
}

// beat is the next beat of an interval.
func beat(now time.Time, interval time.Duration) time.Time {
	return now.Add(tick.FromBeat(now, interval))
}

// lookForLosses has carriers read if a member has lost its link, or has it again.
func (l *looks) lookForLosses() {
	if dead := l.t.o.Datapath.Dead(); dead != l.dead {
		l.dead = dead
		l.t.watch.ReadNow()
	}
}
