// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"testing"
	"time"

	"nicteam/modes"
	"nicteam/monitor"
)

// TestNextProcessOfStaticLAG: the next process of a static LAG asks by the MACs whose answers each member receives
// itself, as the one before did. What it asks at once, knowing nothing of the switch, blames nobody.
func TestNextProcessOfStaticLAG(t *testing.T) {
	t.Parallel()
	for n := 2; n <= 8; n += 3 {
		for _, sprays := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d members, turns %v", n, sprays), func(t *testing.T) {
				t.Parallel()
				b := newBench(t, modes.RoundRobin, n, 3, Line{})
				b.sw.Sprays = sprays
				for i := range b.peers {
					b.both(i, uint16(3000+i), 200, 3*time.Millisecond)
				}
				b.UDP(b.team.Stack, b.peers[0], FlowKey{Sport: 4000, Dport: 7}, 200, time.Millisecond)
				b.pass(8 * time.Second) // longer than the search for MACs
				for range 4 {
					was := b.team.Plans
					b.team.Replace(100 * time.Millisecond)
					b.pass(130 * time.Millisecond)
					b.team.Stack.Resent++ // begins a round of asks
					b.pass(2 * time.Second)
					b.allUp()
					if more := b.team.Plans - was; !sprays && more > 2 {
						t.Errorf("%d Plans after the process was replaced", more)
					}
				}
				if b.team.Missed > 0 {
					t.Errorf("the data path dropped %d answers", b.team.Missed)
				}
			})
		}
	}
}

// TestFirstAsksOfStaticLAG: what a static LAG asks before its members know by which MACs to ask blames nobody, however
// the switch's hash spreads the answers.
func TestFirstAsksOfStaticLAG(t *testing.T) {
	t.Parallel()
	for others := range 6 { // whose MACs make the members' other ones
		t.Run(fmt.Sprint(others), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, modes.RoundRobin, 0, 1, Line{})
			b.team.Gateways = []monitor.Target{{IP: b.peers[0].IP4}, {IP: b.peers[0].IP6}}
			b.team.tellTargets()
			for i := range others + 8 {
				n := b.NIC(fmt.Sprintf("eth%d", i))
				if i < others {
					continue
				}
				wire, port := b.sw.Plug(n.End, Line{})
				port.Group = 1
				b.nics, b.wires, b.ports = append(b.nics, n), append(b.wires, wire), append(b.ports, port)
				b.team.Add(n, 0)
			}
			b.both(0, 3000, 200, 3*time.Millisecond)
			b.both(0, 3001, 200, 3*time.Millisecond)
			for range 100 {
				b.team.Stack.Resent++ // begins a round of asks, unless the last ones blamed nobody
				b.never(20*time.Millisecond, 0, 1, 2, 3, 4, 5, 6, 7)
			}
		})
	}
}
