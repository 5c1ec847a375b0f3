// SPDX-License-Identifier: MIT

package team

import (
	"fmt"
	"testing"
	"time"

	"nicteam/internal/settings"
	"nicteam/modes"
)

// BenchmarkLoopFailover is the time from the news of a loss to the Plan.
func BenchmarkLoopFailover(b *testing.B) {
	for _, members := range []int{8, 64} {
		for _, kind := range []modes.Kind{modes.ActiveBackup, modes.XOR, modes.RoundRobin} {
			b.Run(fmt.Sprintf("%s-%d", kind, members), func(b *testing.B) {
				r := newRig(b, func(c *settings.Config) {
					c.Mode, c.Damping, c.LinkWatch = kind, false, []string{"auto"}
				})
				for n := 1; n <= members; n++ {
					r.join(n)
					r.link(n, true)
				}
				up := true
				for b.Loop() {
					r.now = r.now.Add(time.Second)
					up = !up
					if r.link(1, up); r.out.Plan == nil {
						b.Fatal("no Plan")
					}
					r.log = r.log[:0]
				}
			})
		}
	}
}
