// SPDX-License-Identifier: MIT

package sim

import (
	"time"

	"nicteam/team"
)

// standstill is how the team's process gets no processor for a while. The data path of the kernel goes on; what it has
// for the control loop waits in queues.
type standstill struct {
	stalled time.Duration // until then
	late    lateInputs
	Stalls  int
}

// lateInputs are what the control loop finds when it runs again, as in team.Team: of several queues that have something
// any is next, but what the data path has delivered comes before a timer.
type lateInputs struct {
	control, rest []team.Input
	tick          bool
}

// Stall lets the team's process stand still.
func (t *Team) Stall(d time.Duration) {
	was := t.stalled > t.w.now
	t.stalled = max(t.stalled, t.w.now+d)
	t.Stalls++
	if was {
		return
	}
	life := t.life
	var wake func()
	wake = func() {
		if t.stalled > t.w.now {
			t.w.at(t.stalled, wake)
			return
		}
		if t.life == life {
			t.catchUp()
		}
	}
	t.w.at(t.stalled, wake)
}

// waits keeps an input for the end of a standstill. It returns false if there is none.
func (t *Team) waits(in team.Input) bool {
	if t.stalled <= t.w.now {
		return false
	}
	switch in := in.(type) {
	case team.FromDatapath:
		if len(t.late.control) < controlQueueMax {
			t.late.control = append(t.late.control, in)
		}
	case team.Tick:
		t.late.tick = true
	default:
		t.late.rest = append(t.late.rest, in)
	}
	return true
}

// catchUp handles what has waited.
func (t *Team) catchUp() {
	l := t.late
	t.late = lateInputs{}
	control := func() {
		in := l.control[0]
		l.control = l.control[1:]
		t.handle(in)
	}
	for {
		switch n := t.w.rng.IntN(3); {
		case len(l.control) == 0 && len(l.rest) == 0 && !l.tick:
			return
		case n == 0 && len(l.control) > 0:
			control()
		case n == 1 && len(l.rest) > 0:
			in := l.rest[0]
			l.rest = l.rest[1:]
			t.handle(in)
		case n == 2 && l.tick:
			for len(l.control) > 0 {
				control()
			}
			l.tick = false
			t.handle(team.Tick{})
		}
	}
}
