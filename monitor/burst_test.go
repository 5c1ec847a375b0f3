// SPDX-License-Identifier: MIT

//go:build !race

package monitor

import (
	"fmt"
	"testing"
	"time"
)

// TestBurstsByTurns: in a burst of asks each member asks as early as the others, so that nobody loses all of its
// answers where only the first ones are answered. A switch that takes turns returns what one member asks for by
// several. Many members do not ask more at once than some do.
func TestBurstsByTurns(t *testing.T) {
	for n := 2; n <= 16; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			l := newLAN(t, n, "auto")
			c := l.w.cfg
			c.Group = true
			l.w.Configure(l.now, c)
			l.gateway(gw)
			l.sync()
			l.run(200 * time.Millisecond)
			target := l.w.targets[0]
			l.w.Sends()
			l.w.startRound(l.now, target, l.w.members[0], true, "a test")
			sends := l.w.Sends()
			burst := target.round.burst
			if len(sends) != burst*n+1 || len(sends) > mostAsks+1 || burst < 2 || burst*target.round.want < 12 {
				t.Errorf("%d asks at once of %d a member, %d times", len(sends), burst, target.round.want)
			}
			asked, ports := make([]int, n), make([]map[int]bool, n)
			for i, s := range sends {
				if asked[s.Member] > i/n {
					t.Fatalf("ask %d: eth%d asks again before others have", i, s.Member)
				}
				asked[s.Member]++
				if ports[s.Member] == nil {
					ports[s.Member] = map[int]bool{}
				}
				ports[s.Member][i%n] = true
			}
			for id, by := range ports {
				if len(by) < min(burst, n) {
					t.Errorf("answers to eth%d arrive by %d members where a switch takes turns", id, len(by))
				}
			}
		})
	}
}
