// SPDX-License-Identifier: MIT

package relay

import (
	"fmt"
	"sync"
	"sync/atomic"

	"nicteam/internal/nic"
	"nicteam/modes/spread"
)

// betweenBatches are functions that a goroutine runs for others between two of its batches. They must not wait for
// anything, nor call the relay. The zero value accepts none.
type betweenBatches struct {
	due       atomic.Bool // tasks is not empty; all that the goroutine reads between most batches
	mu        sync.Mutex
	accepting bool
	tasks     []task
}

type task struct {
	f    func()
	done chan bool // whether f has run
}

// open accepts functions from now on.
func (e *betweenBatches) open() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.accepting = true
}

// do runs f on the owner goroutine between two batches; wake interrupts its wait. False: the goroutine had ended.
func (e *betweenBatches) do(f func(), wake func() error) bool {
	done, ok := e.post(f, wake)
	return ok && <-done
}

// post is do without waiting: done gets the result of do. ok is false if the goroutine has ended.
func (e *betweenBatches) post(f func(), wake func() error) (done <-chan bool, ok bool) {
	x := task{f: f, done: make(chan bool, 1)}
	e.mu.Lock()
	if !e.accepting {
		e.mu.Unlock()
		return nil, false
	}
	e.tasks = append(e.tasks, x)
	e.due.Store(true)
	e.mu.Unlock()
	_ = wake() // fails if the goroutine has ended, or is about to
	return x.done, true
}

// run runs what is due. The owner goroutine calls it.
func (e *betweenBatches) run() {
	if e.due.Load() {
		for _, x := range e.takeTasks(true) {
			x.f()
			x.done <- true
		}
	}
}

// close accepts no more functions, and answers those that have not run.
func (e *betweenBatches) close() {
	for _, x := range e.takeTasks(false) {
		x.done <- false
	}
}

func (e *betweenBatches) takeTasks(open bool) []task {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.tasks
	e.tasks, e.accepting = nil, open
	e.due.Store(false)
	return list
}

// DoWithPicker runs f on the transmitter's goroutine between two batches and returns when it has run. p is that
// goroutine's Picker; p.Now is now, in ns of CLOCK_MONOTONIC. Frames wait meanwhile. f must not keep p, wait for
// anything, or call the relay.
func (r *Relay) DoWithPicker(f func(p *spread.Picker, now int64)) error {
	if done, ok := r.postWithPicker(f); !ok || !<-done {
		return errNoTransmitter
	}
	return nil
}

// PostWithPicker is DoWithPicker without waiting: f runs after all that was posted before, or never if the relay is
// closed meanwhile.
func (r *Relay) PostWithPicker(f func(p *spread.Picker, now int64)) error {
	if _, ok := r.postWithPicker(f); !ok {
		return errNoTransmitter
	}
	return nil
}

func (r *Relay) postWithPicker(f func(p *spread.Picker, now int64)) (done <-chan bool, ok bool) {
	t := r.tx
	return t.between.post(func() {
		t.picker.Now = r.clock.now()
		f(&t.picker, t.picker.Now)
	}, t.wake)
}

var errNoTransmitter = fmt.Errorf("run on the transmitter: %w", nic.ErrClosed)

// Flows copies the flow table of RuleShortest to f. It returns false if the Plan in force has none.
func (r *Relay) Flows(f *spread.FlowTable) bool {
	if r.active.Load().Rule != spread.RuleShortest {
		return false
	}
	found := false
	err := r.DoWithPicker(func(p *spread.Picker, _ int64) {
		if table := p.Flows(); table != nil {
			*f, found = *table, true
		}
	})
	return err == nil && found
}
