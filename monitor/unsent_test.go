// SPDX-License-Identifier: MIT

//go:build !race

package monitor

import (
	"testing"
	"time"
)

// A member whose asks wait in the queue of its own NIC is not judged before they have left; one whose queue does not
// move is down.
func TestAsksThatWaitAreNotLost(t *testing.T) {
	for _, spec := range []string{"auto", "gateway", "probe"} {
		t.Run(spec, func(t *testing.T) {
			l := newLAN(t, 3, spec)
			l.gateway(gw)
			l.sync()
			l.load(1000)
			l.members[1].echo = true // what answers it waits as well
			l.run(5 * time.Second)
			for _, d := range []time.Duration{30 * ms, 60 * ms, 250 * ms, 800 * ms} {
				l.members[1].stuck, l.members[1].txDead = true, true
				l.run(d)
				l.members[1].txDead = false
				l.unstick(1)
				l.run(5 * time.Second)
			}
			l.neverDown()
			l.want(Up, Up, Up)
			l.members[1].stuck, l.members[1].txDead = true, true
			l.until(1, Down, 1500*ms)
			l.neverDown(0, 2)
		})
	}
}
