// SPDX-License-Identifier: MIT

//go:build !race

package monitor

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"
)

var (
	worlds     = flag.Int("worlds", 10, "random worlds of link watches")
	firstWorld = flag.Int("world", 0, "the first one")
)

// TestRandomFalseDowns lets the process stand still, targets come and go, loads change and links flap, at random: no
// member whose frames pass is down; and one whose frames do not pass is, while a target answers.
func TestRandomFalseDowns(t *testing.T) {
	for seed := range *worlds {
		randomWorld(t, uint64(*firstWorld+seed), 2*time.Minute)
	}
}

func randomWorld(t *testing.T, seed uint64, length time.Duration) {
	r := rand.New(rand.NewPCG(seed, 16))
	n := 2 + r.IntN(4)
	spec := [][]string{{"auto"}, {"auto"}, {"gateway"}, {"arp:10.9.0.7"}, {"probe"},
		{"auto", "arp:10.9.0.7"}}[r.IntN(6)]
	l := newLAN(t, n, spec...)
	switch r.IntN(4) {
	case 0:
		l.gateway(gw)
	case 1:
		l.gateway(gw, gw6)
	case 2:
		l.gateway(Target{gw.IP, 20})
	}
	l.host(peer1)
	l.host(peer2)
	for _, m := range l.members {
		m.delay = time.Duration(20+r.IntN(1500)) * time.Microsecond
		if r.IntN(4) == 0 { // a queue that fills now and then
			m.jitter = func() time.Duration {
				if r.IntN(20) > 0 {
					return 0
				}
				return time.Duration(r.IntN(20)) * ms
			}
		}
	}
	l.sync()
	l.sampling([]time.Duration{5 * ms, 10 * ms}[r.IntN(2)])
	between := func(least, most time.Duration) time.Duration {
		return least + time.Duration(r.Int64N(int64(most-least)+1))
	}
	dead := -1 // the member whose frames do not pass
	for l.now.Sub(l.begin) < length {
		switch r.IntN(10) {
		case 0, 1, 2:
			l.standStill(between(0, []time.Duration{12 * ms, 60 * ms, 2 * time.Second}[r.IntN(3)]))
		case 3, 4:
			m := l.members[r.IntN(n)]
			m.tx, m.rx = []float64{0, 3, 60, 1000, 20000}[r.IntN(5)], []float64{0, 3, 60, 1000, 20000}[r.IntN(5)]
			m.Sends = r.IntN(4) > 0
			l.sync()
		case 5:
			h := l.hosts[r.IntN(len(l.hosts))]
			h.dead = !h.dead
		case 6:
			if r.IntN(3) == 0 {
				l.hosts[r.IntN(len(l.hosts))].mac += 100
			}
		case 7:
			l.resent += uint64(r.IntN(6))
		case 8:
			if id := r.IntN(n); id != dead {
				l.link(id, !l.members[id].Link)
			}
		case 9:
			hosts := []Target{peer1, peer2}
			r.Shuffle(2, func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
			k := l.w.known
			k.Hosts = hosts[:r.IntN(3)]
			l.targets(k)
		}
		l.run(between(ms, []time.Duration{20 * ms, 500 * ms, 5 * time.Second}[r.IntN(3)]))
	}
	l.neverDown()
	if t.Failed() {
		t.Fatalf("seed %d: %d members, %v, %+v", seed, n, spec, l.w.known)
	}

	// All is well, then one dies.
	for _, h := range l.hosts {
		h.dead = false
	}
	for id := range l.members {
		if !l.members[id].Link {
			l.link(id, true)
		}
	}
	l.run(15 * time.Second)
	dead = r.IntN(n)
	l.members[dead].rxDead = true
	l.run(4 * time.Second)
	if s := l.state(dead); s != Down && !(l.w.prober.deciding() && n == 2) &&
		!(spec[0] == "gateway" && len(l.w.known.Gateways) == 0) {
		t.Errorf("seed %d: %d members, %v, %+v: eth%d is %v (%s)", seed, n, spec, l.w.known, dead, s,
			l.w.Verdict(dead).Reason)
	}
}
