// SPDX-License-Identifier: MIT

package fastpath

import (
	"fmt"
	"net/netip"
	"testing"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
)

var (
	hostAddress = netip.MustParseAddr("10.9.0.1")
	peerAddress = netip.MustParseAddr("10.9.0.2")
)

// TestChangeOver changes between relay and programs under traffic in both directions. What is received over two members
// may be reordered by the peer's bridge, which learns the adapter's address now here, now there; so it is one member
// there.
func TestChangeOver(t *testing.T) {
	for _, c := range []struct {
		name    string
		members int
		spread  spread.Rule
		rate    int
	}{
		{"single", 1, spread.RuleSingle, 10000},
		{"slots", 2, spread.RuleSlots, 5000},
		{"shortest", 1, spread.RuleShortest, 10000},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, c.members)
			labtest.Must(t, g.path.Apply(g.plan(c.spread)))
			// On a busy machine queues overflow, which says nothing of the changes: what these lose, they lose each
			// time.
			for attempt := 1; ; attempt++ {
				lost := g.changeOverAndBack(c.rate, c.members == 1)
				if len(lost) == 0 {
					break
				}
				if attempt == 3 {
					t.Errorf("lost frames three times: %v", lost)
					break
				}
			}
		})
	}
}

// changes are there and back; the kernel verifies the programs each time, which takes most of the test.
const changes = 4

// changeOverAndBack changes the data path there and back while frames pass in both directions, and returns the
// directions that lost more than changes may.
func (g *rig) changeOverAndBack(rate int, ordered bool) (lost []string) {
	t := g.TB
	t.Helper()
	overrun := g.overrun()
	out := labtest.Start(t, lab.Stream{From: g.host, To: g.peer, Address: peerAddress, Rate: rate})
	in := labtest.Start(t, lab.Stream{From: g.peer, To: g.host, Address: hostAddress, Rate: rate})
	more := func(frames uint64) {
		t.Helper()
		wantOut, wantIn := out.Received()+frames, in.Received()+frames
		labtest.Eventually(t, "frames", func() bool {
			return out.Received() >= wantOut && in.Received() >= wantIn
		})
	}
	more(500)
	for range changes {
		labtest.Must(t, g.path.Engage())
		more(500)
		labtest.Must(t, g.path.Disengage())
		more(500)
	}
	for name, r := range map[string]*lab.Running{"out": out, "in": in} {
		rep, err := r.Stop()
		labtest.Must(t, err)
		t.Logf("%s: %v", name, rep)
		if rep.Duplicated > 0 || rep.Corrupt > 0 || rep.Reordered > 0 && (name == "out" || ordered) {
			t.Errorf("%s: %v", name, rep)
		}
		// The relay may not have run for so long that the adapter's queue was full.
		if name == "out" {
			rep.Lost -= min(rep.Lost, g.overrun()-overrun)
		}
		// 20 each time at 20 000 frames a second.
		if rep.Lost > changes*10 {
			lost = append(lost, fmt.Sprintf("%s: %d", name, rep.Lost))
		}
	}
	return lost
}

// overrun is how many frames the adapter's queue had no room for.
func (g *rig) overrun() uint64 {
	g.Helper()
	l, err := g.host.Handle().LinkByName("team0")
	labtest.Must(g, err)
	return l.Attrs().Statistics.TxDropped
}
