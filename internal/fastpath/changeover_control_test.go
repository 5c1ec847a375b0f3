// SPDX-License-Identifier: MIT

package fastpath

import (
	"flag"
	"testing"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/relay"
	"nicteam/modes/spread"
)

var (
	soak      = flag.Bool("soak", false, "200 changes of data path instead of a few")
	soakRate  = flag.Int("soak-rate", 20000, "with -soak: frames a second in each direction")
	soakBatch = flag.Int("soak-batch", 0, "with -soak: frames that leave at a time; 0: those of a millisecond")
	soakFor   = flag.Int("soak-changes", 200, "with -soak: how many changes there and back")
)

// TestChangeOverWithControlFrames changes between relay and programs under traffic in both directions and frames for
// the relay: each of these comes once and in order.
func TestChangeOverWithControlFrames(t *testing.T) {
	rounds, rate, batch := 3, 5000, 0
	if *soak {
		rounds, rate, batch = *soakFor, *soakRate, *soakBatch
	}
	if batch == 0 {
		batch = rate / 1000
	}
	g := newRig(t, 1)
	labtest.Must(t, g.path.Apply(g.plan(spread.RuleSingle)))
	out := labtest.Start(t, lab.Stream{From: g.host, To: g.peer, Address: peerAddress, Rate: rate, Batch: batch})
	in := labtest.Start(t, lab.Stream{From: g.peer, To: g.host, Address: hostAddress, Rate: rate, Batch: batch})
	g.flow(out, in)
	control := g.lanes(t)
	dropped := g.dropped()
	for range rounds {
		labtest.Must(t, g.path.Engage())
		if g.gate(0) != relay.GateAlone {
			t.Fatalf("gate %d", g.gate(0))
		}
		// The socket for slow protocols ends by itself after that.
		labtest.Eventually(t, "no socket listens", func() bool { return !g.listening(0) })
		g.flow(out, in)
		control.flow(t)
		labtest.Must(t, g.path.Disengage())
		if !g.listening(0) {
			t.Fatal("the socket does not listen")
		}
		g.flow(out, in)
		control.flow(t)
	}
	lost := control.end(t)
	for name, s := range map[string]*lab.Running{"out": out, "in": in} {
		rep, err := s.Stop()
		labtest.Must(t, err)
		t.Logf("%s: %.0f frames/s: %v", name, float64(rep.Sent)/rep.Took.Seconds(), rep)
		lost += rep.Lost
		if rep.Duplicated > 0 || rep.Corrupt > 0 || rep.Reordered > 0 {
			t.Errorf("%s: %v", name, rep)
		}
	}
	all := uint64(0)
	for name, n := range g.dropped() {
		all += n - dropped[name]
		t.Logf("%d are counted as dropped: %s", n-dropped[name], name)
	}
	t.Logf("%d changes there and back: %d frames lost, %d counted as dropped", rounds, lost, all)
	if lost > all || *soak && lost > 0 {
		t.Errorf("%d frames were lost, and %d were dropped", lost, all)
	}
}
