// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"nicteam/internal/frame"
)

// World is a network and the time in it. One goroutine uses it.
type World struct {
	clock
	Seed  uint64
	rng   *rand.Rand
	story story
	fail  *Failure

	wires    []*Wire
	switches []*Switch
	partners []*Partner
	stacks   []*Stack
	teams    []*Team
	flows    []*Flow
	hosts    int    // how many stacks and NICs were numbered
	packets  uint64 // how many were sent by stacks

	calm  time.Duration // since when nothing disturbs; never while something does
	jam   time.Duration // how much longer a frame may wait in one queue than in another
	order bool          // while it is calm, frames of a flow keep their order
}

// New returns an empty world.
func New(seed uint64) *World {
	return &World{Seed: seed, rng: rand.New(rand.NewPCG(seed, 0x6e6963)), calm: never, order: true}
}

// Now is the time since the world began.
func (w *World) Now() time.Duration { return w.now }

// time returns Now as a time.Time.
func (w *World) time() time.Time { return origin.Add(w.now) }

// After calls a function later.
func (w *World) After(d time.Duration, do func()) { w.at(w.now+d, do) }

// Run advances the time. It returns a violated invariant as a *Failure.
func (w *World) Run(d time.Duration) error {
	end := w.now + d
	for w.fail == nil {
		do := w.next(end)
		if do == nil {
			w.now = end
			return nil
		}
		do()
	}
	return w.fail
}

// Until advances the time until a condition, checked after each event, holds, and returns how long it took. It fails
// after limit.
func (w *World) Until(what string, limit time.Duration, holds func() bool) (time.Duration, error) {
	begin := w.now
	for !holds() {
		if w.fail != nil {
			return 0, w.fail
		}
		do := w.next(begin + limit)
		if do == nil {
			w.now = begin + limit
			w.breach("after %v still not: %s", limit, what)
			return 0, w.fail
		}
		do()
	}
	return w.now - begin, nil
}

// between draws a duration between two bounds.
func (w *World) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.rng.Int64N(int64(most-least)+1))
}

// number returns an unused MAC of a kind.
func (w *World) number(kind uint64) frame.MAC {
	w.hosts++
	return frame.MAC(0x02_00_00_00_00_00 | kind<<16 | uint64(w.hosts))
}

// Tell adds a line to the story.
func (w *World) Tell(format string, a ...any) { w.story.add(w.now, format, a) }

// breach ends the run with a violated invariant.
func (w *World) breach(format string, a ...any) {
	if w.fail == nil {
		w.fail = &Failure{Seed: w.Seed, At: w.now, What: fmt.Sprintf(format, a...), Story: w.story.text()}
	}
}

// Calm sets whether the network is undisturbed from now on: then flows must keep their order.
func (w *World) Calm(on bool) {
	if w.calm = never; on {
		w.calm = w.now
	}
}

// wasCalm reports whether the network has been calm since t.
func (w *World) wasCalm(t time.Duration) bool { return w.calm != never && t >= w.calm }
