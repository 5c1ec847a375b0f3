// SPDX-License-Identifier: MIT

package sim

import (
	"flag"
	"slices"
	"testing"
	"time"

	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/monitor"
)

// long takes the figures of link watches from long series, which take minutes.
var long = flag.Bool("long", false, "figures of link watches from long series: 100 losses each, a day of standstills")

// series returns how often or how long, in a long run and else.
func series[T any](most, least T) T {
	if *long {
		return most
	}
	return least
}

// TestSilentLossIsShort: how long it takes until a member that loses all frames in one direction is out of use, 99
// times of 100.
func TestSilentLossIsShort(t *testing.T) {
	t.Parallel()
	const short = 45 * time.Millisecond
	for _, c := range []struct {
		mode           modes.Kind
		load           time.Duration
		sent, received time.Duration // most
	}{
		{modes.ELB, busy, short, short}, {modes.ActiveBackup, busy, short, short},
		// What is returned to them arrives by the other cable too, so that no counter shows anything but TCP's.
		{modes.XOR, busy, idleMost, short}, {modes.RoundRobin, busy, idleMost, short},
		{modes.ELB, idle, idleMost, idleMost}, {modes.ActiveBackup, idle, idleMost, idleMost},
		{modes.XOR, idle, idleMost, idleMost}, {modes.RoundRobin, idle, idleMost, idleMost},
	} {
		for end, way := range []string{"sent", "received"} {
			b, _ := watched(t, c.mode, 2, 3, c.load, undamped)
			b.sw.Sprays = c.mode == modes.RoundRobin
			b.pass(5 * time.Second)
			b.team.Lied = true // judged here
			var took []time.Duration
			for range series(100, 4) {
				n := 0
				if c.mode == modes.ActiveBackup && !b.team.Uses(b.nics[0]) {
					n = 1
				}
				b.pass(b.between(0, time.Second))
				e := b.wires[n].Ends[end]
				e.Break(1)
				d, err := b.Until("out of use", 2*idleMost, func() bool { return !b.team.Uses(b.nics[n]) })
				if err != nil {
					t.Fatal(err)
				}
				took = append(took, d)
				e.Mend()
				b.pass(4 * time.Second)
			}
			slices.Sort(took)
			p50, p99 := took[len(took)/2], took[(len(took)*99+99)/100-1]
			t.Logf("%v, frames each %v, what is %s: p50 %v, p99 %v, most %v of %d", c.mode, c.load, way, p50, p99,
				took[len(took)-1], len(took))
			if most := []time.Duration{c.sent, c.received}[end]; p99 > most {
				t.Errorf("%v, what is %s: %v", c.mode, way, p99)
			}
		}
	}
}

// TestDayOfStandstills: a process that stands still at random for up to 2 s, all day, calls no member down.
func TestDayOfStandstills(t *testing.T) {
	t.Parallel()
	b := newBench(t, modes.ELB, 3, 3, Line{})
	b.team.Gateway(false, b.peers[0])
	for i := range 3 {
		b.both(i, uint16(2000+i), 200, 500*time.Millisecond)
	}
	b.pass(4 * time.Second)
	for end := b.Now() + series(24*time.Hour, 10*time.Minute); b.Now() < end; {
		b.team.Stall(b.between(time.Millisecond, 2*time.Second))
		b.pass(b.between(time.Millisecond, 10*time.Second)) // Team.blames
	}
	b.pass(3 * time.Second)
	b.allUp()
	t.Logf("%d standstills in %v", b.team.Stalls, b.Now())
}

// TestFastFlap: a cable that comes and goes ten times a second for ten minutes is damped, and takes nothing from flows
// of the others.
func TestFastFlap(t *testing.T) {
	t.Parallel()
	b, _ := watched(t, modes.ELB, 3, 3, light, func(c *settings.Config) { c.Damping = true })
	returns, used := 0, true
	var flaps func()
	stop := b.Now() + series(10*time.Minute, time.Minute)
	flaps = func() {
		if b.Now() < stop {
			b.wires[1].Set(!b.wires[1].up)
			b.After(50*time.Millisecond, flaps)
		}
	}
	flaps()
	for b.Now() < stop {
		b.pass(5 * time.Millisecond)
		now := b.team.Uses(b.nics[1])
		if now && !used {
			returns++
		}
		used = now
		for _, n := range []int{0, 2} {
			if s, why := b.team.watchOf(b.nics[n]); s == monitor.Down.String() {
				t.Fatalf("%s is down: %s", b.nics[n].Name, why)
			}
		}
	}
	t.Logf("%d returns in %v", returns, series(10*time.Minute, time.Minute))
	if returns > 8 {
		t.Errorf("%d returns", returns)
	}
}
