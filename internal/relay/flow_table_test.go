// SPDX-License-Identifier: MIT

package relay

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

// answer is the control loop as far as it sends what the adapter asks: by member 0.
func (g *rig) answer() {
	r := g.relay
	go func() {
		for c := range r.Control() {
			if c.Kind == team.ControlFrame && c.Member < 0 {
				memberMAC(0).Put(c.Frame, 6)
				_ = r.Send(0, c.Frame)
			}
		}
	}()
}

// sendFlows sends over n TCP connections from the host to the peer until the test ends.
func (g *rig) sendFlows(n int) {
	g.Helper()
	l, err := g.peer.Listen("tcp", "10.9.0.2:0")
	labtest.Must(g, err)
	var wg sync.WaitGroup
	g.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { io.Copy(io.Discard, c); c.Close() })
		}
	})
	stop := make(chan struct{})
	g.Cleanup(func() { close(stop) })
	for range n {
		c, err := g.host.Dial(g.Context(), "tcp", l.Addr().String())
		labtest.Must(g, err)
		wg.Go(func() {
			defer c.Close()
			b := make([]byte, 64<<10)
			for {
				select {
				case <-stop:
					return
				default:
				}
				labtest.Check(g, c.SetDeadline(time.Now().Add(100*time.Millisecond)))
				c.Write(b)
			}
		})
	}
}

// Members are used by what they carry, not by the speed that their links report.
func TestMembersAreUsedByWhatTheyCarry(t *testing.T) {
	g := newRig(t, 2)
	rates := []float64{40e6, 120e6}
	for id, rate := range rates {
		labtest.Must(t, g.host.Shape(fmt.Sprintf("m%d", id), uint64(rate)))
	}
	pl := g.shortest()
	pl.Hash.Policy = spread.Layer34
	g.apply(pl)
	g.bridge()
	g.answer()
	g.sendFlows(12)
	f := new(spread.FlowTable)
	labtest.Eventually(t, "measured capacities", func() bool {
		if !g.relay.Flows(f) {
			return false
		}
		for id, rate := range rates {
			q := &f.Members[id]
			if c := float64(q.Capacity); q.Source != spread.RateMeasured || c < rate*0.85 || c > rate*1.15 {
				return false
			}
		}
		return true
	})
	// From then on each carries its part of the whole.
	before, began := g.counters(), time.Now()
	for range 200 {
		g.relay.Flows(f)
		<-time.After(10 * time.Millisecond) // the measure itself
	}
	after, took := g.counters(), time.Since(began).Seconds()
	var sum float64
	for id, rate := range rates {
		got := float64(after.Members[id].TX[frame.TCP].Bytes-before.Members[id].TX[frame.TCP].Bytes) * 8 / took
		t.Logf("member %d: %.1f Mbit/s of %.0f, capacity %.1f, %d dropped", id, got/1e6, rate/1e6,
			float64(f.Members[id].Capacity)/1e6,
			after.Members[id].TXDrop[team.DropBacklog]-before.Members[id].TXDrop[team.DropBacklog])
		sum += got
	}
	if want := rates[0] + rates[1]; sum < want*0.8 {
		t.Errorf("%.1f Mbit/s in all of %.0f", sum/1e6, want/1e6)
	}
}

// A member whose queue looks long because its rate is unknown is measured while others transmit.
func TestUnusedMemberIsMeasured(t *testing.T) {
	g := newRig(t, 2)
	pl := g.shortest()
	pl.Shortest.Rates[0], pl.Shortest.Rates[1] = 10_000, 10_000 // a frame takes 48 ms; in truth nothing waits
	g.apply(pl)
	host := g.teamPort()
	g.hold(func() {
		for i := range 1000 {
			host.send(testFrame(peerMAC+frame.MAC(i), adapterMAC, i))
		}
	})
	f := new(spread.FlowTable)
	labtest.Eventually(t, "both clocks set straight", func() bool {
		host.send(testFrame(peerMAC, adapterMAC, 0)) // a flow has one member
		if !g.relay.Flows(f) {
			return false
		}
		for id := range 2 {
			if f.Members[id].Clock > f.Now+int64(10*time.Millisecond) {
				return false
			}
		}
		return true
	})
}
