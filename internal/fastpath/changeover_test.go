// SPDX-License-Identifier: MIT

package fastpath

import (
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
			out := labtest.Start(t, lab.Stream{From: g.host, To: g.peer, Address: peerAddress, Rate: c.rate})
			in := labtest.Start(t, lab.Stream{From: g.peer, To: g.host, Address: hostAddress, Rate: c.rate})
			more := func(frames uint64) {
				t.Helper()
				wantOut, wantIn := out.Received()+frames, in.Received()+frames
				labtest.Eventually(t, "frames", func() bool {
					return out.Received() >= wantOut && in.Received() >= wantIn
				})
			}
			more(500)
			for range 8 {
				labtest.Must(t, g.path.Engage())
				more(500)
				labtest.Must(t, g.path.Disengage())
				more(500)
			}
			for name, r := range map[string]*lab.Running{"out": out, "in": in} {
				rep, err := r.Stop()
				labtest.Must(t, err)
				t.Logf("%s: %v", name, rep)
				if rep.Duplicated > 0 || rep.Corrupt > 0 || rep.Reordered > 0 && (name == "out" || c.members == 1) {
					t.Errorf("%s: %v", name, rep)
				}
				// The relay may not have run for so long that the adapter's queue was full.
				if name == "out" {
					rep.Lost -= min(rep.Lost, g.overrun())
				}
				// Eight times there and back, 20 each time at 20 000 frames a second.
				if rep.Lost > 8*10 {
					t.Errorf("%s: lost %d", name, rep.Lost)
				}
			}
		})
	}
}

// overrun is how many frames the adapter's queue had no room for.
func (g *rig) overrun() uint64 {
	g.Helper()
	l, err := g.host.Handle().LinkByName("team0")
	labtest.Must(g, err)
	return l.Attrs().Statistics.TxDropped
}
