package relay

import (
	"runtime"
	"sync/atomic"
	"time"
)

// epoch tells others when a goroutine is between two batches. Odd while it is in one.
//
// A goroutine enters, then reads what is shared (the rule, the members); who changed something waits
// and knows then that nobody uses what was there before. Go's atomics are sequentially consistent, so
// either the goroutine sees the change or the changer sees it inside.
type epoch struct {
	n atomic.Uint64
	_ [56]byte // counters of two goroutines do not share a cache line
}

func (e *epoch) enter() { e.n.Add(1) }
func (e *epoch) leave() { e.n.Add(1) }

// wait returns once the batch that was going on when it was called has ended. Batches never wait for
// anything, so this takes no longer than one.
func (e *epoch) wait() {
	was := e.n.Load()
	if was&1 == 0 {
		return
	}
	for i := 0; e.n.Load() == was; i++ {
		if i < 100 {
			runtime.Gosched()
		} else {
			time.Sleep(20 * time.Microsecond)
		}
	}
}
