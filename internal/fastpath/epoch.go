package fastpath

import (
	"runtime"
	"sync/atomic"
	"time"
)

// settle returns when all programs that were at work when it was called have come to their ends. A processor's row says by an odd
// number that one is at work there; it takes a few microseconds.
func (k *kernel) settle() {
	for i := range k.rows {
		await(&k.rows[i].Transmitting)
		await(&k.rows[i].Receiving)
	}
}

// await waits while the program runs that runs now.
func await(n *uint32) {
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
