// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"testing"
	"time"

	"nicteam/internal/frame"
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

// TestAnswersThatAreThereCount: what the data path has delivered is handled before what is due.
func TestAnswersThatAreThereCount(t *testing.T) {
	k := newKernel()
	tm, err := New(Options{Config: activeBackup(), MAC: adapterMAC, Adapter: k, Datapath: k, Source: k})
	if err != nil {
		t.Fatal(err)
	}
	for range cap(k.control) {
		k.control <- Control{Kind: ControlStation, Member: -1, Station: frame.StationOf(0x0200_0000_5001, 0)}
	}
	tm.handleControl(k.control)
	if n := len(k.control); n != 0 || tm.loop.fdb.len() != 1 {
		t.Errorf("%d reports not handled, %d stations", n, tm.loop.fdb.len())
	}
	close(k.control)
	tm.handleControl(k.control)
}
