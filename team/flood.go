package team

import (
	"context"
	"time"

	"nicteam/modes"
)

// watchFlooding tells the control loop once a second which members were sent frames that the switch
// should have sent by another. It has its own goroutine because a data path that is opening a NIC may
// be slow to count.
func (t *Team) watchFlooding(ctx context.Context) {
	look := time.NewTicker(floodEvery)
	defer look.Stop()
	var c Counters
	var was [modes.MaxMembers]uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		t.o.Datapath.Counters(&c)
		for id := range was {
			n := c.Members[id].Flooded
			if more := less(n, was[id]); n != was[id] && more > 0 {
				_, _ = t.post(ctx, request{in: Flooding{ID: id, Frames: more}})
			}
			was[id] = n
		}
	}
}
