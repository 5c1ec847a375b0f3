// SPDX-License-Identifier: MIT

package relay

import (
	"runtime"
	"sync/atomic"
	"time"
)

// epoch tells when a goroutine is between two batches: it is odd during a batch.
//
// A goroutine enters, then reads what is shared (the Plan, the members). Whoever changes that waits afterwards
// (WaitEpoch), and knows then that no batch uses the state before. Go's atomics are sequentially consistent: either the
// goroutine sees the change, or the changer sees it inside.
type epoch struct {
	n uint32
	_ [60]byte // the counters of two goroutines do not share a cache line
}

func (e *epoch) enter() { atomic.AddUint32(&e.n, 1) }
func (e *epoch) leave() { atomic.AddUint32(&e.n, 1) }
func (e *epoch) wait()  { WaitEpoch(&e.n) }

// WaitEpoch returns once the batch that was going on when it was called has ended. Batches wait for nothing, so this
// takes no longer than one. Programs in the kernel count the frames that they handle in the same way.
func WaitEpoch(n *uint32) {
	was := atomic.LoadUint32(n)
	if was&1 == 0 {
		return
	}
	for i := 0; atomic.LoadUint32(n) == was; i++ {
		if i < 100 {
			runtime.Gosched()
		} else {
			time.Sleep(20 * time.Microsecond)
		}
	}
}
