// SPDX-License-Identifier: MIT

//go:build !race

package monitor

import (
	"fmt"
	"testing"
	"time"
)

// In elb peers answer by the member that their address is given to: another one sends and never hears a host, which is
// no fault of its own. When it fails in one direction, the probes between the members show that at once.
func TestProbesSenseWhereNoHostIsHeard(t *testing.T) {
	for name, dies := range map[string]func(m *port){
		"sends nothing": func(m *port) { m.txDead = true },
		"hears nothing": func(m *port) { m.rxDead = true },
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{2, 3} {
				l := newLAN(t, n, "auto")
				l.gateway(gw)
				l.sync()
				l.load(1000)
				l.members[1].rx = 0
				l.run(3 * time.Minute)
				l.neverDown()
				dies(l.members[1])
				if took := l.until(1, Down, 45*ms); took <= 45*ms {
					t.Logf("%d members: down after %v", n, took)
				}
				for id := range n {
					if id != 1 {
						l.neverDown(id)
					}
				}
			}
		})
	}
}

// A pair whose probes stop now and then, while all else passes, begins rounds less and less often, and its ends are
// judged by the rest as fast as others are.
func TestFlickeringPairBacksOff(t *testing.T) {
	for _, c := range []struct {
		specs string
		load  float64
	}{{"auto", 1000}, {"probe", 1000}, {"probe", 0}} {
		t.Run(fmt.Sprint(c.specs, " ", c.load), func(t *testing.T) {
			l := newLAN(t, 4, c.specs)
			l.gateway(gw)
			l.sync()
			l.load(c.load)
			l.run(5 * time.Second)
			period := 200 * ms
			if c.load == 0 {
				period = 4 * time.Second // of which one probe in four is lost
			}
			l.noProbe = func(from, to int) bool {
				return from == 0 && to == 1 && l.now.Sub(l.begin)%period < period/4
			}
			l.run(time.Minute)
			changes, asks := len(l.changes), l.asks[2]
			l.run(time.Minute)
			suspicions := 0
			for _, ch := range l.changes[changes:] {
				if ch.member == 1 && ch.state == Suspect {
					suspicions++
				}
			}
			if suspicions > 14 {
				t.Errorf("%d suspicions in a minute", suspicions)
			}
			if n := l.asks[2] - asks; n > 120 {
				t.Errorf("%d asks in a minute", n)
			}
			l.neverDown()
			if c.load > 0 {
				l.members[1].rxDead = true
				l.until(1, Down, 45*ms)
				l.neverDown(0, 2, 3)
			}
		})
	}
}

// A pair whose suspicion waits, since the last ones were wrong, is asked about when that is over, if no probe has come.
func TestDoubtOfPairWaits(t *testing.T) {
	l := newLAN(t, 3, "auto")
	l.gateway(gw)
	l.sync()
	l.load(1000)
	l.members[1].rx = 0 // no host is heard by it
	l.run(5 * time.Second)
	l.noProbe = func(from, to int) bool { return from == 0 && to == 1 && l.now.Sub(l.begin)%(200*ms) < 50*ms }
	l.run(2 * time.Second)
	l.noProbe = nil
	l.run(300 * ms)
	l.members[1].rxDead = true
	if took := l.until(1, Down, 2*time.Second); took > 1100*ms {
		t.Errorf("down after %v", took)
	}
	l.neverDown(0, 2)
}
