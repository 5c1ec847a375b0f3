// SPDX-License-Identifier: MIT

package relay

import (
	"sync"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
)

// shortest is the plan of elb with members of 1 Gbit/s, the adapter's address being at home with member 0.
func (g *rig) shortest() *spread.Plan {
	pl := g.perMember(spread.RuleShortest)
	pl.Shortest = &spread.Shortest{Gain: spread.DefaultGain, Skew: spread.DefaultSkew}
	for id := range g.links {
		pl.Shortest.Rates[id] = 1_000_000_000
	}
	return pl
}

func TestFlowsCopiesTheTable(t *testing.T) {
	g := newRig(t, 2)
	f := new(spread.FlowTable)
	g.apply(g.plan(spread.RuleSingle))
	if g.relay.Flows(f) {
		t.Error("there is a table under another rule")
	}
	g.apply(g.shortest())
	host := g.teamPort()
	const n = 50
	for i := range n {
		host.send(testFrame(peerMAC+frame.MAC(i), adapterMAC, i))
	}
	var bytes uint64
	labtest.Eventually(t, "a table with all that was sent", func() bool {
		bytes = 0
		if !g.relay.Flows(f) {
			return false
		}
		for i := range f.Slots {
			bytes += f.Slots[i].Bytes
		}
		return bytes >= n*60
	})
	if bytes != n*60 || f.Now <= 0 || f.Members[0].Rate == 0 {
		t.Errorf("%d bytes at %d, %+v", bytes, f.Now, f.Members[0])
	}
	was := f.Now
	if !g.relay.Flows(f) || f.Now <= was {
		t.Errorf("a later copy is of %d, the one before of %d", f.Now, was)
	}
	g.apply(g.plan(spread.RuleSingle))
	if g.relay.Flows(f) {
		t.Error("there is a table under another rule")
	}
}

// Flows returns whenever the relay is closed, and the relay's end is not missed.
func TestFlowsWhileClosing(t *testing.T) {
	g := newRig(t, 1)
	for range 20 {
		g.apply(g.shortest())
		host := g.socket(g.host, "team0")
		labtest.Must(t, host.SendControl(testFrame(peerMAC, adapterMAC, 0)))
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				f := new(spread.FlowTable)
				for {
					g.relay.Flows(f)
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			labtest.Check(t, g.relay.Close())
		}()
		select {
		case <-closed:
		case <-time.After(labtest.Patience):
			t.Fatal("Close hangs")
		}
		began := time.Now()
		if g.relay.Flows(new(spread.FlowTable)) || time.Since(began) > time.Second {
			t.Errorf("after Close there is a table, or %v of waiting for one", time.Since(began))
		}
		close(stop)
		wg.Wait()
		host.Close()
		g.start()
	}
}

func TestRxBytesCountWhatIsForUs(t *testing.T) {
	g := newRig(t, 2)
	g.receiveAll()
	host, peers := g.teamPort(), []*port{g.peerPort(0), g.peerPort(1)}
	g.apply(g.plan(spread.RuleSingle))
	b := testFrame(adapterMAC, peerMAC, 0)
	peers[0].send(b)
	host.expect(b)
	g.apply(g.perMember(spread.RuleSingle))
	for range 3 {
		for id, p := range peers {
			b := testFrame(memberMAC(id), peerMAC, 1)
			p.send(b)
			adapterMAC.Put(b, 0)
			host.expect(b)
		}
		labtest.Must(t, g.relay.Leave(1)) // what was received stays
		g.join(1)
	}
	b = testFrame(frame.Broadcast, peerMAC, 0)
	peers[0].send(b)
	host.expect(b)
	peers[0].send(testFrame(strangerMAC, peerMAC, 0))

	var h frame.Headers
	frame.Parse(b, &h)
	var got spread.RxBytes
	labtest.Eventually(t, "what was received", func() bool {
		g.relay.RxBytes(&got)
		return got[spread.RxClass(&h, b)] == 6*60
	})
	var sum uint64
	for _, n := range got {
		sum += n
	}
	if sum != 6*60 {
		t.Errorf("%d bytes received, %d of them from the peer", sum, 6*60)
	}
}
