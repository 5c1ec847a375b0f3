// SPDX-License-Identifier: MIT

package thread

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestEndingSparesTheMainThread: whichever thread the runtime would take, f runs on another one than the main thread,
// and no two on the same.
func TestEndingSparesTheMainThread(t *testing.T) {
	seen := map[int]bool{}
	for i := range 500 {
		tid := 0
		Ending(func() { tid = unix.Gettid() })
		if tid == unix.Getpid() {
			t.Fatalf("the %d. time it is the main thread", i)
		}
		if tid == 0 || seen[tid] {
			t.Fatalf("the %d. time it is thread %d, which has ended", i, tid)
		}
		seen[tid] = true
		// Now and then the main thread is the one that is idle.
		runtime.Gosched()
		time.Sleep(time.Microsecond)
	}
}
