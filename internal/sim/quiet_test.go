// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"testing"
	"time"

	"nicteam/internal/settings"
	"nicteam/modes"
)

// quiet is a team at rest and a peer that says a word a second.
func quiet() *World {
	w := New(1)
	sw := w.Switch("sw")
	c := settings.DefaultConfig()
	c.Mode = modes.ELB
	t := w.Team("team0", c, 0)
	for i := range 4 {
		n := w.NIC(fmt.Sprintf("eth%d", i))
		sw.Plug(n.End, Line{})
		t.Add(n, 0)
	}
	p := w.Peer("peer", sw, Line{})
	w.UDP(p, t.Stack, FlowKey{Sport: 1, Dport: 1}, 100, time.Second)
	return w
}

// TestQuietTeamCostsNothing: hours of a team at rest are over soon.
func TestQuietTeamCostsNothing(t *testing.T) {
	w := quiet()
	begin := time.Now()
	const simulated = 2 * time.Hour
	if err := w.Run(simulated); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	rate := simulated.Seconds() / took.Seconds()
	t.Logf("%.0f simulated seconds a second", rate)
	if rate < 1000 {
		t.Errorf("%v of a team at rest took %v", simulated, took)
	}
}

func BenchmarkQuietSecond(b *testing.B) {
	w := quiet()
	for b.Loop() {
		if err := w.Run(time.Second); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFrame is what a frame costs on its way from a team in elb through a switch to a peer.
func BenchmarkFrame(b *testing.B) {
	w := New(1)
	sw := w.Switch("sw")
	t := w.Team("team0", settings.DefaultConfig(), 0)
	for i := range 4 {
		n := w.NIC(fmt.Sprintf("eth%d", i))
		sw.Plug(n.End, Line{Rate: 10e9})
		t.Add(n, 0)
	}
	p := w.Peer("peer", sw, Line{Rate: 10e9})
	f := w.UDP(t.Stack, p, FlowKey{Sport: 1, Dport: 1}, 1000, 10*time.Microsecond)
	for b.Loop() {
		if err := w.Run(10 * time.Microsecond); err != nil {
			b.Fatal(err)
		}
	}
	if f.Got == 0 {
		b.Fatal("nothing arrived")
	}
}
