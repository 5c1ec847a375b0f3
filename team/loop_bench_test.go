// SPDX-License-Identifier: MIT

package team

import (
	"testing"
	"time"

	"nicteam/internal/settings"
	"nicteam/modes"
)

// BenchmarkLoopFailover is the time from the news of a loss to the Plan, of 8 members.
func BenchmarkLoopFailover(b *testing.B) {
	for _, kind := range []modes.Kind{modes.ActiveBackup, modes.XOR, modes.RoundRobin} {
		b.Run(kind.String(), func(b *testing.B) {
			r := newRig(b, func(c *settings.Config) { c.Mode = kind })
			for n := 1; n <= 8; n++ {
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
