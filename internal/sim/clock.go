// SPDX-License-Identifier: MIT

package sim

import "time"

// never is later than everything.
const never = time.Duration(1<<63 - 1)

// origin is the time.Time at which worlds begin.
var origin = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// event is a planned call.
type event struct {
	at time.Duration
	n  uint64 // events of the same time run in the order of planning
	do func()
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.n < o.n }

// clock is virtual time: it stands still while an event runs and jumps to the next one.
type clock struct {
	now   time.Duration // since the world began
	n     uint64
	queue []event // a binary heap
}

// at plans do for time t, or for now if t has passed.
func (c *clock) at(t time.Duration, do func()) {
	c.n++
	c.queue = append(c.queue, event{max(t, c.now), c.n, do})
	q := c.queue
	for i := len(q) - 1; i > 0; {
		up := (i - 1) / 2
		if !q[i].before(&q[up]) {
			break
		}
		q[i], q[up] = q[up], q[i]
		i = up
	}
}

// next removes the first event, unless it is after end.
func (c *clock) next(end time.Duration) func() {
	q := c.queue
	if len(q) == 0 || q[0].at > end {
		return nil
	}
	first := q[0]
	last := len(q) - 1
	q[0], q[last] = q[last], event{}
	q = q[:last]
	c.queue = q
	for i := 0; ; {
		least := i
		for k := 2*i + 1; k <= 2*i+2 && k < last; k++ {
			if q[k].before(&q[least]) {
				least = k
			}
		}
		if least == i {
			break
		}
		q[i], q[least] = q[least], q[i]
		i = least
	}
	c.now = first.at
	return first.do
}

// timer calls one function at the time last set, any number of times. Postponing it costs nothing.
type timer struct {
	c      *clock
	want   time.Duration // when to do it; never: not
	queued time.Duration // its earliest planned event
	do     func()
	fire   func()
}

func newTimer(c *clock, do func()) *timer {
	t := &timer{c: c, want: never, queued: never, do: do}
	t.fire = t.fired
	return t
}

func (t *timer) set(at time.Duration) {
	t.want = max(at, t.c.now)
	t.plan()
}

func (t *timer) stop() { t.want = never }

func (t *timer) armed() bool { return t.want != never }

func (t *timer) plan() {
	if t.want < t.queued {
		t.queued = t.want
		t.c.at(t.want, t.fire)
	}
}

func (t *timer) fired() {
	if t.c.now != t.queued {
		return // an earlier event was planned
	}
	t.queued = never
	if t.want == never {
		return
	}
	if t.c.now < t.want {
		t.plan()
		return
	}
	t.want = never
	t.do()
}
