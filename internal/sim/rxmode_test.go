// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"testing"
	"time"

	"nicteam/modes"
)

// TestFoundAnewAtOnce: a host that has forgotten the adapter finds its IPv6 address again, which takes a group, as soon
// as the loss of the member that received groups has been noticed: no NIC's filter is waited for.
func TestFoundAnewAtOnce(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ActiveBackup, modes.ELB} {
		for seed := range 10 {
			t.Run(fmt.Sprintf("%v %d", mode, seed), func(t *testing.T) {
				b := newBench(t, mode, 3, 1, Line{})
				b.pass(time.Duration(seed) * 11 * time.Millisecond)
				peer, ip := b.peers[0], b.team.Stack.IP6
				found := func(when string) {
					t.Helper()
					peer.ForgetNeighbours()
					peer.entry(ip).ask()
					b.pass(5 * time.Millisecond)
					if peer.NeighbourMAC(ip) == 0 {
						t.Errorf("%s: not found", when)
					}
				}
				found("at first")
				for n := range 2 {
					b.wires[n].Set(false)
					b.pass(carrierDelay + controlDelay)
					found(b.nics[n].Name + " cut")
					b.pass(2 * groupsDelay)
				}
				for n := range 2 {
					b.wires[n].Set(true)
					b.pass(carrierDelay + controlDelay)
					found(b.nics[n].Name + " mended")
					b.pass(2 * groupsDelay)
				}
			})
		}
	}
}
