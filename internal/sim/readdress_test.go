// SPDX-License-Identifier: MIT

package sim

import (
	"testing"
	"time"

	"nicteam/modes"
)

// TestNICsGetOtherMACs: NICs that take in what is for their own address and for those they were given get others under
// traffic in both directions, one after the other. Nothing is lost once the loop has heard of it, then or when the
// addresses from before are taken in no more.
func TestNICsGetOtherMACs(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup, modes.XOR} {
		t.Run(mode.String(), func(t *testing.T) {
			b := newBench(t, mode, 3, 4, Line{Rate: 1e9})
			var flows []*Flow
			for i := range 8 {
				flows = append(flows, b.both(i%4, uint16(3000+i), 400, 2*time.Millisecond)...)
			}
			b.pass(3 * time.Second)
			arrive := func(what string) {
				t.Helper()
				restart(flows)
				resume(b, flows)
				b.pass(time.Second)
				pause(b, flows)
				for _, f := range flows {
					if f.Got != f.Sent || f.Double > 0 {
						t.Errorf("%s: %s: %d sent, %d arrived, %d doubled", what, f.Name, f.Sent, f.Got, f.Double)
					}
				}
			}
			for _, nic := range b.nics {
				b.team.Readdress(nic)
				b.pass(2 * readDelay)
				arrive(nic.Name + " has another address")
			}
			b.pass(2 * time.Minute)
			arrive("two minutes later")
			for _, p := range b.team.peers() {
				if p.Notifications == 0 {
					t.Errorf("%v was told nothing", p.Address)
				}
			}
		})
	}
}

// TestPortsGetOtherMACs: a partner notices nothing of a port whose NIC gets another address, the one that the adapter
// has among them. What comes by that until the NIC was given the adapter's is lost, as its own filter drops it.
func TestPortsGetOtherMACs(t *testing.T) {
	t.Parallel()
	b := newTalking(t, 3, Habits{Fast: true}, fast)
	for _, nic := range b.nics {
		b.team.Readdress(nic)
		b.pass(2 * readDelay)
		lost := b.calmlyLost(func() {
			for end := b.Now() + 5*time.Second; b.Now() < end; b.pass(10 * time.Millisecond) {
				if !b.whole() {
					t.Fatalf("%s: we distribute by %b, the partner by %d",
						nic.Name, b.team.plan.Distributing, b.partner.Distributing())
				}
			}
		})
		if lost > 0 {
			t.Errorf("%s: %d frames lost", nic.Name, lost)
		}
	}
	b.ordered()
}
