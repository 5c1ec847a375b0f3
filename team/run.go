// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"errors"
	"sync"
	"time"

	"nicteam/internal/tick"
	"nicteam/monitor"
)

// The control loop has no goroutine of its own. Whoever has an input handles it, when it has its turn; one goroutine
// sleeps until something is due, looks at the data path and handles what that shows. So nothing that happens again and
// again wakes more than one thread.

// frameWait is how long a Tick that is due waits for frames that the data path has already delivered.
const frameWait = 5 * time.Millisecond

// sleep is what wakes the goroutine that sleeps.
type sleep struct {
	tick.Sleeper
	looks time.Time // when the next look is due
	until time.Time
	awake bool // it says itself for how long it sleeps next
}

// Run runs the team until ctx ends, and returns nil then. It is called once. The adapter's carrier and the data path
// stay as they are.
func (t *Team) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var done sync.WaitGroup
	var watched error
	t.control, t.due = t.o.Datapath.Control(), time.Now()
	t.giveTurn()
	t.adapter.put(t.lastAdapterLink)
	done.Go(func() { t.runAdapterLink(ctx) })
	done.Go(func() { t.announcer.run(ctx) })
	done.Go(t.runMemoryStore)
	done.Go(t.runCheckpointSaver)
	done.Go(func() { t.runMeasuring(ctx) })
	done.Go(func() { t.runControl(ctx) })
	done.Go(func() {
		watched = t.watch.Watch(ctx, func(s monitor.LinkState) { _, _ = t.post(ctx, request{in: LinkChanged{s}}) })
		cancel()
	})
	t.runLooks(ctx)
	t.turn <- struct{}{}
	t.over = true
	<-t.turn
	close(t.ended) // before waiting: some wait for it
	cancel()
	done.Wait()
	t.events.end()
	return watched
}

// runLooks looks at the data path, and calls the Loop when it is due, until ctx ends.
func (t *Team) runLooks(ctx context.Context) {
	s := &t.sleep
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	l := t.newLooks(ctx, time.Now())
	for {
		if !t.takeTurn(ctx) {
			return
		}
		s.awake, s.looks = false, l.next()
		t.tick()
		t.setSleep()
		t.tellLooked()
		t.giveTurn()
		if !s.Wait() || !t.takeTurn(ctx) {
			return
		}
		s.awake, s.until = true, time.Time{}
		t.giveTurn()
		l.look(time.Now())
	}
}

// takeTurn waits until nobody else uses the Loop. False: ctx has ended.
func (t *Team) takeTurn(ctx context.Context) bool {
	select {
	case t.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t *Team) giveTurn() { <-t.turn }

// errEnded: the team no longer runs.
var errEnded = errors.New("the team has ended")

// post handles an input and returns the output. It waits for nothing but its turn, and the data path.
func (t *Team) post(ctx context.Context, r request) (Output, error) {
	if !t.takeTurn(ctx) {
		return Output{}, ctx.Err()
	}
	defer t.giveTurn()
	if t.over {
		return Output{}, errEnded
	}
	out := t.handleRequest(r)
	t.setSleep()
	return out, out.Err
}

// runControl handles what the data path delivers, in its order, until ctx ends.
func (t *Team) runControl(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case c, ok := <-t.control:
			if !ok || !t.takeTurn(ctx) {
				return
			}
			t.handleControl(c)
			t.giveTurn()
		}
	}
}

func (t *Team) handleControl(c Control) {
	t.handleRequest(request{in: t.fromDatapath(c)})
	t.tick()
	t.setSleep()
}

// tick calls the Loop if it is due, or the shell has something to do. What the data path has already delivered comes
// first, so that an answer that is there counts before the time for it is over: then whoever handles the last of it
// ticks.
func (t *Team) tick() {
	now := time.Now()
	if t.due.IsZero() || now.Before(t.due) || len(t.control) > 0 && now.Sub(t.due) < frameWait {
		return
	}
	t.handleRequest(request{in: Tick{}})
}

// loopIsDue reports whether the Loop itself has something to do now, not only the shell.
func (t *Team) loopIsDue() bool {
	d := t.loop.Deadline()
	return !d.IsZero() && !time.Now().Before(d)
}

// setSleep has the goroutine that sleeps wake when something is due.
func (t *Team) setSleep() {
	s := &t.sleep
	at := t.due
	if !at.IsZero() && len(t.control) > 0 {
		at = at.Add(frameWait)
	}
	if at = earlier(at, s.looks); s.awake || at.Equal(s.until) {
		return
	}
	s.until = at
	s.Set(time.Until(at))
}

// nextDue is when the Loop, or the shell, is to be called again; zero for never.
func (t *Team) nextDue(now time.Time) time.Time {
	due := earlier(t.loop.Deadline(), t.saver.deadline())
	if t.pendingPlan != nil {
		due = earlier(due, now.Add(t.retryAfter))
	}
	if t.publishPending {
		due = earlier(due, t.figuresDue())
	}
	return due
}
