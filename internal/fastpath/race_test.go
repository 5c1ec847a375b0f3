// SPDX-License-Identifier: MIT

package fastpath

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/nic"
	"nicteam/modes/spread"
	"nicteam/team"
)

// Everything that may happen at once does, under traffic: nobody sees memory that is gone, counters never go back, and
// each frame is counted once.
func TestAllAtOnce(t *testing.T) {
	g := newRig(t, 2)
	labtest.Must(t, g.path.Apply(g.elb()))
	peer := g.peerSocket(0)
	before, began := g.tallied(peer)
	out, in := g.streams(3000)
	end := time.Now().Add(3 * time.Second)
	var all sync.WaitGroup
	again := func(name string, f func() error) {
		all.Go(func() {
			n := 0
			for ; time.Now().Before(end); n++ {
				if err := f(); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				time.Sleep(rand.N(3 * time.Millisecond))
			}
			t.Logf("%s: %d times", name, n)
		})
	}
	again("engage", func() error {
		if err := g.path.Engage(); err != nil {
			return err
		}
		time.Sleep(rand.N(30 * time.Millisecond))
		return g.path.Disengage()
	})
	again("leave and join", func() error {
		if err := g.path.Leave(1); err != nil {
			return err
		}
		time.Sleep(rand.N(10 * time.Millisecond))
		return g.host.Do(func() error { return g.path.Join(1, g.links[1]) })
	})
	generation := uint64(0)
	plans := []func() *spread.Plan{g.elb, func() *spread.Plan { return g.plan(spread.RuleSlots) }, func() *spread.Plan {
		return g.plan(spread.RuleRoundRobin)
	},
		func() *spread.Plan { return g.plan(spread.RuleSingle) }}
	again("apply", func() error {
		pl := plans[rand.N(len(plans))]()
		generation++
		pl.Shortest.Generation = generation
		if rand.N(2) == 0 {
			pl.Distributing = 1
		}
		return g.path.Apply(pl)
	})
	last := g.totals()
	again("counters", func() error {
		now := g.totals()
		for id := range 2 {
			was, is := &last.Members[id], &now.Members[id]
			for p := range was.TX {
				if is.TX[p].Frames < was.TX[p].Frames || is.RX[p].Frames < was.RX[p].Frames ||
					is.TX[p].Bytes < was.TX[p].Bytes || is.RX[p].Bytes < was.RX[p].Bytes {
					t.Errorf("member %d: counters go back: %+v, %+v", id, was, is)
				}
			}
			for d := range was.TXDrop {
				if is.TXDrop[d] < was.TXDrop[d] || is.RXDrop[d] < was.RXDrop[d] {
					t.Errorf("member %d: drops go back: %+v, %+v", id, was, is)
				}
			}
		}
		last = now
		return nil
	})
	heard, flows := new(spread.RxBytes), new(spread.FlowTable)
	again("heard", func() error { g.path.RxBytes(heard); return nil })
	again("flows", func() error { g.path.Flows(flows); return nil })
	again("backlog", func() error { g.path.Backlog(0); g.path.Backlog(1); return nil })
	all.Wait()
	labtest.Must(t, g.path.Disengage())
	ro, err := out.Stop()
	labtest.Must(t, err)
	ri, err := in.Stop()
	labtest.Must(t, err)
	t.Logf("out %v\nin %v", ro, ri)
	if ro.Duplicated+ri.Duplicated+ro.Corrupt+ri.Corrupt > 0 {
		t.Errorf("out %v\nin %v", ro, ri)
	}
	after, now := g.tallied(peer)
	m, was := &now.Members[0], &began.Members[0]
	sent, taken := uint64(0), uint64(0)
	for p := range m.RX {
		taken += m.RX[p].Frames - was.RX[p].Frames
	}
	for d := range m.RXDrop {
		taken += m.RXDrop[d] - was.RXDrop[d]
	}
	if taken != after-before {
		t.Errorf("%d frames are counted of %d that the NIC has received: %+v and %+v", taken, after-before, *was, *m)
	}
	for id := range 2 {
		sent += now.Members[id].TX[frame.UDP].Frames - began.Members[id].TX[frame.UDP].Frames
	}
	t.Logf("sent %d, received %d; taken %d of %d", sent, ro.Received, taken, after-before)
	// A stream numbers none of its first frames: one of each flow, until one arrives, forty times at most.
	if warm := sent - ro.Received; warm > 40*8 {
		t.Errorf("%d frames are counted that %d arrived of", sent, ro.Received)
	}
	select {
	case err := <-g.path.Lost():
		t.Errorf("lost: %v", err)
	default:
	}
}

// tallied is how many frames member 0's NIC has received, and what is counted when just these are: a frame of its
// neighbour's that is counted comes behind all others, and none has come since.
func (g *rig) tallied(peer *nic.Socket) (arrived uint64, c *team.Counters) {
	g.Helper()
	for {
		before, was := g.arrived(0), g.totals().Members[0].RX[frame.LACP].Frames
		labtest.Must(g, peer.SendControl(slowFrame(peerMAC, 0)))
		labtest.Eventually(g, "the frame is counted", func() bool {
			c = g.totals()
			return c.Members[0].RX[frame.LACP].Frames > was
		})
		if arrived = g.arrived(0); arrived == before+1 {
			return arrived, c
		}
	}
}

// arrived is how many frames a member's NIC has received.
func (g *rig) arrived(id int) uint64 {
	g.Helper()
	l, err := g.host.Handle().LinkByName(g.links[id].Name)
	labtest.Must(g, err)
	return l.Attrs().Statistics.RxPackets
}
