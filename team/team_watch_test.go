// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/monitor"
)

// answering is a kernel whose members are on a LAN with a gateway that answers ARP probes.
type answering struct{ *kernel }

func (k *answering) Send(id int, b []byte) error {
	var n frame.Neighbour
	if frame.ParseNeighbour(b, &n) && n.Op == frame.ARPRequest && n.About == gateway {
		answer := arpAnswer(n.Sender)
		time.AfterFunc(time.Millisecond, func() {
			k.control <- Control{Kind: ControlFrame, Member: id, Frame: answer}
		})
	}
	return k.kernel.Send(id, b)
}

// TestFiguresOfWatchesAreShown: the Status has them soon after they change, although most inputs of the watches are no
// reason for a new one.
func TestFiguresOfWatchesAreShown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := &answering{newKernel()}
		c := activeBackup()
		c.LinkWatch = []string{"gateway"}
		tm := runningOn(t, k, Options{Config: c,
			WatchTargets: monitor.Targets{Gateways: []monitor.Target{{IP: gateway}}}}, 1, 2)
		for range 10 {
			time.Sleep(time.Second)
			for _, m := range tm.Status().Members {
				w := m.Watch
				if w == nil || w.Verdict != "up" || w.RTT != time.Millisecond.Nanoseconds() || len(w.Asked) != 1 {
					t.Fatalf("%s: %+v", m.Name, w)
				}
				if age := time.Since(w.Asked[0].Last); age > time.Second+publishGap+50*time.Millisecond {
					t.Errorf("%s: the last answer shown is %v old", m.Name, age)
				}
			}
		}
		if err := tm.SetWatchTargets(context.Background(), monitor.Targets{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if w := tm.Status().Members[0].Watch; w != nil && len(w.Asked) > 0 {
			t.Errorf("without a target: %+v", w)
		}
	})
}

// counting is an answering kernel that counts what the members send and hear, and how often carriers are read.
type counting struct {
	answering
	readings atomic.Int64
}

func (k *counting) Send(id int, b []byte) error {
	k.do(func() {
		k.counters.Members[id].TX[frame.ARP].Frames++
		k.counters.Members[id].RX[frame.ARP].Frames++
	})
	return k.answering.Send(id, b)
}

func (k *counting) Carrier(index int) bool {
	k.readings.Add(1)
	return k.kernel.Carrier(index)
}

// TestAsksAreNoLoad: carriers are read as seldom as without asks, however many members ask at the same time.
func TestAsksAreNoLoad(t *testing.T) {
	read := func(watch string) (n int64) {
		bubble(t, func(t *testing.T) {
			k := &counting{answering: answering{newKernel()}}
			c := activeBackup()
			c.LinkWatch = []string{watch}
			runningOn(t, k, Options{Config: c,
				WatchTargets: monitor.Targets{Gateways: []monitor.Target{{IP: gateway}}}}, 1, 2, 3, 4, 5, 6, 7, 8)
			time.Sleep(20 * time.Second)
			was := k.readings.Load()
			time.Sleep(20 * time.Second)
			n = k.readings.Load() - was
		})
		return n
	}
	if with, without := read("gateway"), read("carrier"); with > without+without/10 {
		t.Errorf("carriers were read %d times while members ask, %d times without", with, without)
	}
}

// TestAnswersThatAreThereCount: what the data path has delivered is handled before what is due.
func TestAnswersThatAreThereCount(t *testing.T) {
	bubble(t, func(t *testing.T) { // time stands still
		k := newKernel()
		tm, err := New(Options{Config: activeBackup(), MAC: adapterMAC, Adapter: k, Datapath: k, Source: k})
		if err != nil {
			t.Fatal(err)
		}
		ticks := 0
		tm.loop.mode = countedTicks{tm.loop.mode, &ticks}
		tm.control, tm.due = k.control, time.Now()
		for range cap(k.control) {
			k.control <- Control{Kind: ControlStation, Member: -1, Station: frame.StationOf(0x0200_0000_5001, 0)}
		}
		for n := cap(k.control); n > 0; n-- {
			was := ticks
			if tm.tick(); ticks != was {
				t.Fatalf("a tick while %d reports wait", n)
			}
			tm.handleControl(<-k.control)
		}
		was := ticks
		if tm.tick(); tm.loop.fdb.len() != 1 || ticks == was {
			t.Errorf("%d stations, no tick after the last report", tm.loop.fdb.len())
		}
	})
}

// TestSignOfLifeChangesNothing: who asks whether the control loop is alive has it save and decide nothing.
func TestSignOfLifeChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var saved atomic.Int64
		c := settings.DefaultConfig() // elb
		c.Team, c.LinkWatch = "team0", []string{"carrier"}
		tm := running(t, newKernel(), Options{Config: c,
			SaveCheckpoint: func(*Checkpoint) { saved.Add(1) }}, 1, 2)
		time.Sleep(30 * time.Second) // announcements are over
		was, status := saved.Load(), tm.Published()
		for range 10 {
			if err := tm.Alive(context.Background()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := saved.Load() - was; n != 0 {
			t.Errorf("%d checkpoints", n)
		}
		if tm.Published() != status {
			t.Error("another status was published")
		}
	})
}

// countedTicks is a mode that is always due.
type countedTicks struct {
	modes.Mode
	n *int
}

func (m countedTicks) Deadline() time.Time { return time.Now().Add(-time.Microsecond) }

func (m countedTicks) Handle(now time.Time, ev modes.Event) modes.Effects {
	if _, is := ev.(modes.Tick); is {
		*m.n++
	}
	return m.Mode.Handle(now, ev)
}
