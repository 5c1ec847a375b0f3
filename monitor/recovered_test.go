// SPDX-License-Identifier: MIT

//go:build !race

package monitor

import (
	"fmt"
	"testing"
	"time"
)

// TestSecondLossIsNoticedAsFast silences a member again soon after it is back, in each direction.
func TestSecondLossIsNoticedAsFast(t *testing.T) {
	for _, transmit := range []bool{true, false} {
		t.Run(fmt.Sprint("transmit ", transmit), func(t *testing.T) {
			l := newLAN(t, 3, "auto")
			l.gateway(gw)
			l.sync()
			l.load(1500)
			l.run(3 * time.Second)
			dead := &l.members[1].txDead
			if !transmit {
				dead = &l.members[1].rxDead
			}
			for range 5 {
				*dead = true
				l.until(1, Down, 45*ms)
				l.run(700 * ms)
				*dead = false
				l.until(1, Up, time.Second)
				l.run(500 * ms)
			}
			l.neverDown(0, 2)
		})
	}
}
