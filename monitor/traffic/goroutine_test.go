// SPDX-License-Identifier: MIT

package traffic

import (
	"io"
	"sync"
	"testing"
	"time"

	"nicteam/internal/frame"
)

// Snapshots are read by others while the history goes on.
func TestSnapshotIsForAnyGoroutine(t *testing.T) {
	h, now := busy(2, 300, true)
	snapshots := make(chan *Snapshot, 8)
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for s := range snapshots {
				s.Query(Query{From: begin, To: begin.Add(time.Hour), Step: time.Minute})
				_, _ = s.WriteTo(io.Discard)
			}
		})
	}
	m := newMeter("eth0", "eth1")
	for i := range 1000 {
		now = now.Add(time.Second)
		m.carry(0, frame.TCP, Count{uint64(i), 1}, Count{1, 1})
		h.Add(now, now.Sub(begin), m.members)
		if i%10 == 0 {
			snapshots <- h.Snapshot()
		}
	}
	close(snapshots)
	readers.Wait()
}
