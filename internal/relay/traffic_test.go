// SPDX-License-Identifier: MIT

package relay

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/nic"
	"nicteam/internal/settings"
	"nicteam/modes/spread"
	"nicteam/team"
)

// transfer sends n random octets over TCP and checks what arrives.
func (g *rig) transfer(from, to *lab.Host, addr string, n int) (took time.Duration) {
	g.Helper()
	l, err := to.Listen("tcp", addr+":0")
	labtest.Must(g, err)
	defer l.Close()
	type result struct {
		sum [32]byte
		n   int64
		err error
	}
	got := make(chan result, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			got <- result{err: err}
			return
		}
		defer c.Close()
		h := sha256.New()
		n, err := io.Copy(h, c)
		got <- result{[32]byte(h.Sum(nil)), n, err}
	}()
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(data)
	began := time.Now()
	c, err := from.Dial(g.Context(), "tcp", l.Addr().String())
	labtest.Must(g, err)
	labtest.Must(g, c.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = c.Write(data)
	labtest.Must(g, err)
	labtest.Must(g, c.(*net.TCPConn).CloseWrite())
	r := <-got
	c.Close()
	labtest.Must(g, r.err)
	if r.n != int64(n) || r.sum != sha256.Sum256(data) {
		g.Errorf("%d octets of %d arrived, sum differs", r.n, n)
	}
	return time.Since(began)
}

func TestSuperFramesPassWhole(t *testing.T) {
	for _, off := range []bool{false, true} {
		name := "whole"
		if off {
			name = "segmented"
		}
		t.Run(name, func(t *testing.T) {
			g := newRig(t, 1)
			if off {
				labtest.Must(t, g.relay.Close())
				var err error
				g.relay, err = New(Options{Adapter: g.adapter, TSO: settings.OffloadOff, USO: settings.OffloadOff})
				labtest.Must(t, err)
				r := g.relay
				t.Cleanup(func() { r.Close() })
				g.join(0)
			}
			g.apply(g.plan(spread.RuleSingle))
			g.bridge()
			super := func(h *frame.Headers) bool { return h.Protocol == frame.TCP }
			out, in := g.port(g.peer, "p0", super), g.port(g.host, "team0", super)
			const n = 4 << 20
			g.transfer(g.host, g.peer, "10.9.0.2", n)
			longest := 0
			for len(out.seen) > 0 {
				longest = max(longest, len(out.next()))
			}
			if (longest > 1514) == off {
				t.Errorf("the longest frame transmitted has %d octets", longest)
			}
			// A batch is counted when it has gone.
			c := g.await("frames counted as on the wire", func(c *team.Counters) bool {
				got := c.Members[0].TX[frame.TCP]
				return got.Frames >= n/1448 && got.Bytes >= n+got.Frames*54
			}).Members[0]
			if (c.Segmented > 0) != off {
				t.Errorf("%d super-frames segmented in software", c.Segmented)
			}
			for len(in.seen) > 0 {
				in.next()
			}
			g.transfer(g.peer, g.host, "10.9.0.1", n)
			longest = 0
			for len(in.seen) > 0 {
				longest = max(longest, len(in.next()))
			}
			if longest <= 1514 {
				t.Errorf("the longest frame received has %d octets", longest)
			}
		})
	}
}

// stream sends numbered frames from the host at some 20 000 a second until stop is closed, and says how many.
func stream(p *port, stop <-chan struct{}) int {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-stop:
			return n
		case <-tick.C:
			for range 20 {
				if p.socket.SendControl(testFrame(peerMAC, adapterMAC, n)) == nil {
					n++
				}
			}
		}
	}
}

// tallyOf counts the numbered frames seen by ports once want have come.
func tallyOf(t *testing.T, want int, ports ...*port) {
	t.Helper()
	seen := make([]int, want)
	total := 0
	labtest.Eventually(t, "all frames", func() bool {
		for _, p := range ports {
			for len(p.seen) > 0 {
				seen[number(p.next())]++
				total++
			}
		}
		return total >= want
	})
	for i, n := range seen {
		if n != 1 {
			t.Fatalf("frame %d of %d arrived %d times", i, want, n)
		}
	}
}

func TestPlanSwitchLosesNothing(t *testing.T) {
	g := newRig(t, 3)
	host := g.teamPort()
	peers := []*port{g.peerPort(0), g.peerPort(1), g.peerPort(2)}
	g.apply(g.plan(spread.RuleSingle))
	stop, sent := make(chan struct{}), make(chan int)
	go func() { sent <- stream(host, stop) }()
	spreads := []spread.Rule{spread.RuleSingle, spread.RuleRoundRobin}
	for i := range 300 {
		pl := g.plan(spreads[i%2])
		pl.Distributing, pl.Weights[2] = pl.Distributing.Without(2), 0
		pl.Active = i / 2 % 2
		g.apply(pl)
		if i%10 == 0 { // members come and go meanwhile
			labtest.Must(t, g.relay.Leave(2))
			g.join(2)
		}
	}
	close(stop)
	tallyOf(t, <-sent, peers...)
	if len(peers[2].seen) != 0 {
		t.Error("the member that did not distribute sent frames")
	}
}

func TestApplyReturnsWhenTheOldPlanIsOver(t *testing.T) {
	g := newRig(t, 2)
	host := g.teamPort()
	peers := []*port{g.peerPort(0), g.peerPort(1)}
	for i := range 200 {
		pl := g.plan(spread.RuleSingle)
		pl.Active = i % 2
		g.apply(pl)
		for range 3 {
			host.send(testFrame(peerMAC, adapterMAC, i))
		}
		pl = g.plan(spread.RuleSingle)
		pl.Active = 1 - i%2
		g.apply(pl)
		// What the first Plan's member was not given by now it never is.
		at := g.counters().Members[i%2].TX[frame.Other].Frames
		for range 3 {
			b := peers[0]
			select {
			case x := <-b.seen:
				_ = x
			case x := <-peers[1].seen:
				_ = x
			case <-time.After(labtest.Patience):
				t.Fatal("frame lost")
			}
		}
		if now := g.counters().Members[i%2].TX[frame.Other].Frames; now != at {
			t.Fatalf("round %d: %d frames followed the old Plan after Apply", i, now-at)
		}
	}
}

func TestCountersEqualThePeers(t *testing.T) {
	g := newRig(t, 2)
	g.apply(g.plan(spread.RuleRoundRobin))
	host := g.teamPort()
	peers := []*port{g.peerPort(0), g.peerPort(1)}
	const n = 3001
	for i := range n {
		host.send(testFrame(peerMAC, adapterMAC, i))
		if i%50 == 0 {
			// The TAP's queue is long, the test need not fill it.
			labtest.Eventually(t, "frames", func() bool { return len(peers[0].seen)+len(peers[1].seen) >= i })
		}
	}
	labtest.Eventually(t, "frames", func() bool { return len(peers[0].seen)+len(peers[1].seen) == n })
	c := g.counters()
	for id, p := range peers {
		want := frame.Count{Frames: uint64(len(p.seen)), Bytes: 60 * uint64(len(p.seen))}
		if got := c.Members[id].TX[frame.Other]; got != want {
			t.Errorf("member %d sent %+v, its peer saw %+v", id, got, want)
		}
	}
}

func TestBacklogIsBounded(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.plan(spread.RuleSingle))
	g.bridge()
	const rate = 100e6
	labtest.Must(t, g.host.Shape("m0", rate))
	labtest.Must(t, g.relay.SetBacklog(0, 128<<10))

	// UDP far over the rate, from the host's own stack.
	c, err := g.host.ListenPacket("udp", "10.9.0.1:0")
	labtest.Must(t, err)
	defer c.Close()
	sink, err := g.peer.ListenPacket("udp", "10.9.0.2:0")
	labtest.Must(t, err)
	defer sink.Close()
	most := 0
	b := make([]byte, 1400)
	before := g.counters().Members[0]
	labtest.Eventually(t, "drops", func() bool {
		for range 1000 {
			c.WriteTo(b, sink.LocalAddr())
			most = max(most, g.relay.Backlog(0))
		}
		return g.counters().Members[0].TXDrop[team.DropBacklog] > before.TXDrop[team.DropBacklog]+100
	})
	// The bound is checked before a frame, and datagrams may have become one of 64 KiB.
	if most > (128+72)<<10 || most < 64<<10 {
		t.Errorf("the backlog reached %d octets, bound %d", most, 128<<10)
	}

	// TCP finds the rate under the bound.
	labtest.Must(t, g.relay.SetBacklog(0, nic.BacklogFor(rate)))
	const n = 4 << 20
	labtest.Eventually(t, "TCP at half the rate", func() bool {
		got := n * 8 / g.transfer(g.host, g.peer, "10.9.0.2", n).Seconds()
		t.Logf("TCP at %.0f Mbit/s of %.0f", got/1e6, rate/1e6)
		return got >= rate/2
	})

	// A queue that is full below is backlog as well.
	labtest.Must(t, g.relay.SetBacklog(0, 64<<20))
	before = g.counters().Members[0]
	labtest.Eventually(t, "drops of the qdisc", func() bool {
		for range 1000 {
			c.WriteTo(b, sink.LocalAddr())
		}
		return g.counters().Members[0].TXDrop[team.DropBacklog] > before.TXDrop[team.DropBacklog]
	})
	if now := g.counters().Members[0]; now.TXError != before.TXError || now.Resent != 0 {
		t.Errorf("a full queue was taken for a refusal: %+v", now)
	}
}

// TestSteadyStateDoesNotAllocate runs the two batch functions by hand.
func TestSteadyStateDoesNotAllocate(t *testing.T) {
	for _, tt := range []struct {
		name string
		plan func(g *rig) *spread.Plan
	}{
		{"round-robin", func(g *rig) *spread.Plan { return g.plan(spread.RuleRoundRobin) }},
		{"shortest, per member", (*rig).shortest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, 2)
			g.apply(tt.plan(g))
			host := g.teamPort()
			labtest.Must(t, g.relay.tx.end()) // from here on the test is the transmitter

			tx := g.relay.tx
			for i := range 3 {
				host.send(testFrame(peerMAC, adapterMAC, i))
			}
			tx.n = 0
			if err := tx.read(); err != unix.EAGAIN || tx.n != 3 {
				t.Fatalf("read %d frames, %v", tx.n, err)
			}
			batch := func() {
				for i := range tx.n {
					adapterMAC.Put(tx.frame(i), sourceAt) // as it came
				}
				tx.at = 0
				tx.batch()
			}
			batch()
			if allocs := testing.AllocsPerRun(1000, batch); allocs != 0 {
				t.Errorf("transmit: %v allocations a batch", allocs)
			}
			labtest.Must(t, tx.start())

			labtest.Must(t, host.socket.Close()) // its own copies would count
			labtest.Must(t, g.relay.Leave(1))
			peer, s := g.socket(g.peer, "p1"), g.socket(g.host, "m1")
			m := newMember(g.relay, 1, s)
			g.relay.recentLocal.noteSent(g.relay.clock.now(), frame.StationOf(strangerMAC, 0))
			b := append(make([]byte, frame.VnetLen), testFrame(memberMAC(1), peerMAC, 1)...)
			receive := func() {
				peer.Queue(b)
				peer.Flush()
				var err error
				if m.n, err = s.Receive(); err != nil {
					t.Error(err)
				}
				m.at = 0
				m.batch()
			}
			receive()
			if allocs := testing.AllocsPerRun(1000, receive); allocs != 0 {
				t.Errorf("receive: %v allocations a batch", allocs)
			}
			if c := g.counters().Members[1]; c.RX[frame.Other].Frames < 1000 {
				t.Errorf("received %+v", c)
			}
		})
	}
}

// socket opens a socket that nobody reads but the test.
func (g *rig) socket(h *lab.Host, name string) (s *nic.Socket) {
	g.Helper()
	l, err := h.Handle().LinkByName(name)
	labtest.Must(g, err)
	labtest.Must(g, h.Do(func() (err error) {
		s, err = nic.Open(nic.Options{Name: name, Index: l.Attrs().Index, MAC: frame.MACFrom(l.Attrs().HardwareAddr)})
		return err
	}))
	g.Cleanup(func() { s.Close() })
	return s
}

// TestEverythingAtOnce is for the race detector.
func TestEverythingAtOnce(t *testing.T) {
	g := newRig(t, 2)
	g.apply(g.plan(spread.RuleRoundRobin))
	host, peer := g.teamPort(), g.peerPort(0)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	loop := func(f func()) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f()
				}
			}
		})
	}
	wg.Go(func() { stream(host, stop) })
	loop(func() { g.relay.Send(0, testFrame(peerMAC, adapterMAC, 0)) })
	loop(func() { peer.socket.SendControl(testFrame(adapterMAC, peerMAC, 0)) })
	loop(func() { g.counters() })
	loop(func() { g.relay.Flows(new(spread.FlowTable)); g.relay.RxBytes(new(spread.RxBytes)) })
	loop(func() {
		host.socket.SendControl(testFrame(frame.Broadcast, strangerMAC+frame.MAC(rand.IntN(100)), 0))
		host.socket.SendControl(arp(frame.Broadcast, adapterMAC, 0))
	})
	loop(func() { g.relay.Backlog(1); g.relay.SetBacklog(1, 1<<20) })
	loop(func() {
		pl := g.plan(spread.RuleRoundRobin)
		if !g.relay.active.Load().PerMember {
			pl = g.shortest()
		}
		pl.Promiscuous = !g.relay.active.Load().Promiscuous
		pl.Filter[0] = []frame.MAC{adapterMAC, frame.MAC(0x020000000200 + uint64(rand.IntN(3)))}
		g.relay.Apply(pl)
	})
	loop(func() { g.relay.Leave(1); g.host.Do(func() error { return g.relay.Join(1, g.links[1]) }) })
	labtest.Eventually(t, "traffic", func() bool {
		c := g.counters()
		return c.Members[0].RX[frame.Other].Frames > 3000 && c.Members[1].TX[frame.Other].Frames > 500
	})
	labtest.Must(t, g.relay.Close())
	close(stop)
	wg.Wait()
	if p := g.relay.panics.List(); len(p) != 0 {
		t.Errorf("panics: %+v", p)
	}
}

func TestAdapterDownDropsAndGoesOn(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.plan(spread.RuleSingle))
	peer := g.peerPort(0)
	labtest.Must(t, g.host.Down("team0"))
	peer.send(testFrame(adapterMAC, peerMAC, 1))
	g.await("drop", func(c *team.Counters) bool { return c.Members[0].RXDrop[team.DropAdapter] == 1 })
	labtest.Must(t, g.host.Up("team0"))
	host := g.teamPort()
	b := testFrame(adapterMAC, peerMAC, 2)
	peer.send(b)
	host.expect(b)
	host.send(testFrame(peerMAC, adapterMAC, 3))
	peer.expect(testFrame(peerMAC, adapterMAC, 3))
}

func TestIdleDoesNothing(t *testing.T) {
	g := newRig(t, 2)
	g.apply(g.plan(spread.RuleSingle))
	at := atomic.LoadUint32(&g.relay.tx.epoch.n)
	// Work that others have left, such as collecting garbage, is done at some time.
	labtest.Eventually(t, "300 ms take less than 30 ms of a processor", func() bool {
		before := processTime()
		<-time.After(300 * time.Millisecond) // the measure itself
		return processTime()-before < 30*time.Millisecond
	})
	if n := atomic.LoadUint32(&g.relay.tx.epoch.n) - at; n > 20 {
		t.Errorf("%d batches while nothing was sent", n/2)
	}
}

// SetBacklog bounds the backlog of member id, at first nic.BacklogFor its speed.
func (r *Relay) SetBacklog(id, bytes int) error {
	m := r.member(id)
	if m == nil {
		return fmt.Errorf("set backlog of member %d: %w", id, ErrNoMember)
	}
	return m.socket.SetBacklog(bytes)
}
