package relay

import (
	"time"

	"nicteam/modes"
)

// flowsWait is the longest that Flows waits for the transmitter's goroutine to come by. Its batches wait for nothing, so it
// is much sooner where the machine runs at all.
const flowsWait = time.Second

// flowsRequest asks the transmitter's goroutine, which alone may look into the flow table, for a copy.
type flowsRequest struct {
	to     *modes.Flows
	served chan bool // whether there was a table
}

// Flows copies the flow table.
func (r *Relay) Flows(f *modes.Flows) bool {
	if r.rule.Load().Spread != modes.SpreadShortest {
		return false
	}
	r.flows.Lock()
	defer r.flows.Unlock()
	q := &flowsRequest{to: f, served: make(chan bool, 1)}
	r.tx.asked.Store(q)
	if err := r.tx.queue.Wake(); err != nil {
		return r.tx.withdraw(q)
	}
	late := time.NewTimer(flowsWait)
	defer late.Stop()
	select {
	case ok := <-q.served:
		return ok
	case <-r.tx.done:
	case <-late.C:
	}
	return r.tx.withdraw(q)
}

// withdraw takes q back, or waits for what has already begun to serve it.
func (t *transmitter) withdraw(q *flowsRequest) bool {
	return !t.asked.CompareAndSwap(q, nil) && <-q.served
}

// serve makes a copy of the flow table for who asked for one. It is called between two batches.
func (t *transmitter) serve() {
	if t.asked.Load() == nil {
		return
	}
	q := t.asked.Swap(nil)
	if q == nil {
		return
	}
	table := t.picker.Flows()
	if table != nil {
		*q.to = *table
		q.to.Now = t.r.clock.now()
	}
	q.served <- table != nil
}
