// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"testing"
	"time"

	"nicteam/internal/settings"
	"nicteam/modes"
)

// TestLossThatIsOver: a carrier is back before the loop hears that it was away. The member is down until that is read,
// once, however often its carrier goes away then, and a loss that lasts is noticed all the same.
func TestLossThatIsOver(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ActiveBackup, modes.ELB, modes.XOR, modes.RoundRobin, modes.Broadcast} {
		for _, delay := range []time.Duration{0, 50 * time.Millisecond} {
			t.Run(fmt.Sprintf("%v down delay %v", mode, delay), func(t *testing.T) {
				b := newBench(t, mode, 3, 1, Line{}, func(c *settings.Config) { c.DownDelay = delay })
				b.team.Sees = true
				m := b.team.members[0]
				member := func() (up bool, failures uint64) {
					s := b.team.Status().Members[0]
					return s.Link && s.State != "down", s.Failures
				}
				want := uint64(1)
				if delay > 0 {
					want = 0
				}
				for n := range 5 {
					b.wires[0].Set(false)
					b.team.suspect(m) // as a frame does that meets it
					b.wires[0].Set(true)
					b.pass(200 * time.Millisecond)
					if up, failures := member(); !up || failures != want {
						t.Fatalf("after %d moments without carrier: up %v, %d failures", n+1, up, failures)
					}
				}
				b.wires[0].Set(false)
				b.pass(delay + 2*carrierDelay)
				if up, failures := member(); up || failures != want+1 {
					t.Errorf("after a loss that lasts: up %v, %d failures", up, failures)
				}
			})
		}
	}
}

// TestLossSeenIsFast: what the data path sees is decided before any reading.
func TestLossSeenIsFast(t *testing.T) {
	t.Parallel()
	for _, sees := range []bool{false, true} {
		b := newBench(t, modes.ActiveBackup, 2, 1, Line{})
		b.team.Sees = sees
		b.UDP(b.team.Stack, b.peers[0], FlowKey{Sport: 1000, Dport: 7}, 500, 200*time.Microsecond)
		b.pass(200 * time.Millisecond)
		var most time.Duration
		for n := range 6 {
			now, next := n%2, 1-n%2
			b.wires[now].Set(false)
			took, err := b.Until("the other member sends", time.Second,
				func() bool { return b.team.Status().Active == b.nics[next].Name })
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, took)
			b.pass(2 * carrierDelay) // a reading confirms it
			b.wires[now].Set(true)
			b.pass(200 * time.Millisecond)
		}
		if fast := most <= 200*time.Microsecond+2*controlDelay; fast != sees {
			t.Errorf("sees %v: up to %v", sees, most)
		}
	}
}
