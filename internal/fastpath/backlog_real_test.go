// SPDX-License-Identifier: MIT

package fastpath

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/fastpath/backlog"
	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

// elb is a Plan of that mode.
func (g *rig) elb() *spread.Plan {
	pl := g.plan(spread.RuleShortest)
	pl.Shortest.Gain, pl.Hash.Policy = time.Millisecond, spread.Layer34
	return pl
}

func (g *rig) totals() *team.Counters {
	c := new(team.Counters)
	g.path.Counters(c)
	return c
}

// Members are used by what they carry, not by the speed that their links report.
func TestMembersCarryWhatTheyCan(t *testing.T) {
	g := newRig(t, 2)
	rates := []float64{40e6, 120e6}
	for id, rate := range rates {
		labtest.Must(t, g.host.Shape(fmt.Sprintf("m%d", id), uint64(rate)))
	}
	labtest.Must(t, g.path.Apply(g.elb()))
	labtest.Must(t, g.path.Engage())
	load, err := lab.Load{From: g.host, To: g.peer, Address: peerAddress, Flows: 12}.Start(t.Context())
	labtest.Must(t, err)
	t.Cleanup(func() { load.Stop() })
	f := new(spread.FlowTable)
	measured := func() bool {
		if !g.path.Flows(f) {
			return false
		}
		for id, rate := range rates {
			q := &f.Members[id]
			if c := float64(q.Capacity); q.Source != spread.RateMeasured || c < rate*0.85 || c > rate*1.15 {
				return false
			}
		}
		return true
	}
	labtest.Eventually(t, "measured capacities", measured)
	began, want := g.totals(), rates[0]+rates[1]
	labtest.Eventually(t, "four fifths of what both can, over 16 MiB", func() bool {
		before := load.Rate()
		labtest.Eventually(t, "16 MiB", func() bool { return load.Rate().Bytes-before.Bytes > 16<<20 })
		got := load.Rate().Less(before).BitsPerSecond()
		t.Logf("%.1f Mbit/s in all of %.0f", got/1e6, want/1e6)
		return got >= want*0.8
	})
	after := g.totals()
	for id := range rates {
		m := &after.Members[id]
		t.Logf("member %d: %d bytes, %d dropped", id, m.TX[frame.TCP].Bytes-began.Members[id].TX[frame.TCP].Bytes,
			m.TXDrop[team.DropBacklog]-began.Members[id].TXDrop[team.DropBacklog])
	}
}

// Backlog reports what waits, and zero once all has left. Drops are counted.
func TestBacklogEnds(t *testing.T) {
	g := newRig(t, 1)
	labtest.Must(t, g.host.Shape("m0", 2e6))
	labtest.Must(t, g.path.Apply(g.plan(spread.RuleSingle)))
	labtest.Must(t, g.path.Engage())
	// One socket may have less under way than waits at most.
	var conns [4]net.Conn
	for i := range conns {
		labtest.Must(t, g.host.Do(func() (err error) {
			conns[i], err = net.Dial("udp", "10.9.0.2:9")
			return err
		}))
		defer conns[i].Close()
	}
	send := func() {
		for i := range 40 {
			_, _ = conns[i%len(conns)].Write(make([]byte, 1400)) // the peer refuses them
		}
	}
	labtest.Eventually(t, "a backlog", func() bool { send(); return g.path.Backlog(0) > 100<<10 })
	labtest.Eventually(t, "drops that are counted", func() bool {
		send()
		return g.totals().Members[0].TXDrop[team.DropBacklog] > 20
	})
	if g.path.Backlog(0) == 0 {
		t.Error("nothing waits")
	}
	labtest.Eventually(t, "no backlog", func() bool { return g.path.Backlog(0) == 0 })
	l, err := g.host.Handle().LinkByName("m0")
	labtest.Must(t, err)
	m := g.totals().Members[0]
	given, lost := uint64(0), m.TXDrop[team.DropBacklog]
	for _, c := range m.TX {
		given += c.Frames
	}
	if left := l.Attrs().Statistics.TxPackets; left != given-lost {
		t.Errorf("%d frames were given and %d dropped, and %d have left", given, lost, left)
	}
	labtest.Must(t, g.path.Disengage())
	if was, is := m.TXDrop[team.DropBacklog], g.totals().Members[0].TXDrop[team.DropBacklog]; is != was {
		t.Errorf("%d drops, %d before the programs went", is, was)
	}
	if n := g.path.Backlog(0); n != 0 {
		t.Errorf("%d bytes wait in the relay", n)
	}
}

// A station of Plan.Ageing is reported when it sends, once a Plan.
func TestAgeingStationsAreReported(t *testing.T) {
	const guest, silent = frame.MAC(0x020000000b01), frame.MAC(0x020000000b02)
	g := newRig(t, 1)
	pl := g.plan(spread.RuleSingle)
	pl.Behind, pl.Promiscuous = []frame.MAC{guest, silent}, true
	pl.Stations = []frame.Station{frame.StationOf(guest, 0), frame.StationOf(silent, 0)}
	labtest.Must(t, g.path.Apply(pl))
	labtest.Must(t, g.path.Engage())
	fd := -1
	labtest.Must(t, g.host.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	}))
	defer unix.Close(fd)
	b := make([]byte, 60)
	memberMAC(9).Put(b, 0)
	guest.Put(b, 6)
	b[12], b[13] = 0x88, 0xb6
	send := func() {
		t.Helper()
		labtest.Must(t, unix.Sendto(fd, b, 0, &unix.SockaddrLinklayer{Ifindex: g.adapter.Index()}))
	}
	told := func() (n int) {
		t.Helper()
		for {
			select {
			case c := <-g.path.Control():
				if c.Kind == team.ControlStation {
					if c.Station.MAC() != guest {
						t.Fatalf("reported %v", c.Station)
					}
					n++
				}
			default:
				return n
			}
		}
	}
	send()
	labtest.Eventually(t, "a frame that the program saw", func() bool {
		return g.totals().Members[0].TX[frame.Other].Frames > 0
	})
	if n := told(); n != 0 {
		t.Fatalf("reported %d times unasked", n)
	}
	for range 2 {
		asks := *pl
		asks.Ageing = pl.Stations
		labtest.Must(t, g.path.Apply(&asks))
		n := 0
		labtest.Eventually(t, "a report of the station", func() bool {
			send()
			n += told()
			return n > 0
		})
		looked := time.Now()
		labtest.Eventually(t, "another look", func() bool { send(); return time.Since(looked) > 3*ageingInterval/2 })
		if n += told(); n != 1 {
			t.Errorf("reported %d times", n)
		}
	}
}

// Orders to move flows that never pause are carried out by the programs.
func TestOrderedMoves(t *testing.T) {
	g := newRig(t, 2)
	for id := range 2 {
		labtest.Must(t, g.host.Shape(fmt.Sprintf("m%d", id), 100e6))
	}
	pl := g.elb()
	labtest.Must(t, g.path.Apply(pl))
	labtest.Must(t, g.path.Engage())
	load, err := lab.Load{From: g.host, To: g.peer, Address: peerAddress, Flows: 8}.Start(t.Context())
	labtest.Must(t, err)
	t.Cleanup(func() { load.Stop() })
	f := new(spread.FlowTable)
	busy := func(id int) (slots []int) {
		labtest.Eventually(t, "a flow table", func() bool { return g.path.Flows(f) })
		for s := range f.Slots {
			if x := &f.Slots[s]; x.Until != 0 && int(x.Member) == id && x.Bytes > 1<<20 {
				slots = append(slots, s)
			}
		}
		return slots
	}
	labtest.Eventually(t, "busy flows on both members", func() bool { return len(busy(0)) >= 2 && len(busy(1)) >= 2 })
	before := f.Forced
	order, ordered := *pl.Shortest, *pl
	ordered.Shortest = &order
	order.Generation = 1
	for _, s := range busy(0) {
		order.Moves = append(order.Moves, spread.Move{Slot: uint16(s), To: 1})
	}
	if len(order.Moves) == 0 {
		t.Fatal("nothing to move")
	}
	labtest.Must(t, g.path.Apply(&ordered))
	labtest.Eventually(t, "moves by order", func() bool {
		busy(0)
		return f.Forced > before // a flow that has just paused has moved by itself
	})
	if n := f.Forced - before; n > uint64(len(order.Moves)) {
		t.Errorf("%d moves, %d were ordered", n, len(order.Moves))
	}
}

// heldStats is a statsReader that waits for the kernel's lock.
type heldStats struct {
	statsReader
	held sync.Mutex
}

func (h *heldStats) ReadLinks(of *backlog.Indexes, to *[spread.MaxMembers]backlog.LinkStats) error {
	h.held.Lock()
	defer h.held.Unlock()
	return h.statsReader.ReadLinks(of, to)
}

// Apply and Counters do not wait while the monitor waits for the kernel.
func TestApplyDoesNotWaitForTheMonitor(t *testing.T) {
	g := newRig(t, 2)
	stats := &heldStats{statsReader: g.path.backlog.stats}
	g.path.backlog.stats = stats
	labtest.Must(t, g.path.Apply(g.elb()))
	labtest.Must(t, g.path.Engage())
	load, err := lab.Load{From: g.host, To: g.peer, Address: peerAddress, Flows: 4}.Start(t.Context())
	labtest.Must(t, err)
	t.Cleanup(func() { load.Stop() })
	f := new(spread.FlowTable)
	labtest.Eventually(t, "measuring", func() bool {
		return g.path.Flows(f) && f.Members[0].Capacity+f.Members[1].Capacity > 0
	})

	stats.held.Lock()
	done := make(chan error, 1)
	go func() {
		for range 20 {
			if err := g.path.Apply(g.elb()); err != nil {
				done <- err
				return
			}
			g.path.Counters(new(team.Counters))
		}
		done <- nil
	}()
	select {
	case err := <-done:
		stats.held.Unlock()
		labtest.Must(t, err)
	case <-time.After(labtest.Patience):
		stats.held.Unlock()
		t.Fatal("a Plan waits for the monitor")
	}
}
