// SPDX-License-Identifier: MIT

//go:build !race

package monitor

import (
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// A member whose frames go nowhere is down, and the others are not, whatever is asked and however many there are.
func TestSilentLoss(t *testing.T) {
	for _, c := range []struct {
		name  string
		specs []string
		build func(*lan)
		load  float64
		most  time.Duration
	}{
		{"gateway, idle", []string{"auto"}, func(l *lan) { l.gateway(gw) }, 0, 3500 * ms},
		{"gateway, busy", []string{"auto"}, func(l *lan) { l.gateway(gw) }, 1000, 45 * ms},
		{"IPv6 gateway, busy", []string{"auto"}, func(l *lan) { l.gateway(gw6) }, 1000, 45 * ms},
		{"two gateways", []string{"gateway"}, func(l *lan) { l.gateway(gw, gw6) }, 1000, 45 * ms},
		{"VLAN", []string{"auto"}, func(l *lan) { l.gateway(Target{gw.IP, 20}) }, 1000, 45 * ms},
		{"arp", []string{"arp:10.9.0.7"}, func(l *lan) { l.host(peer1) }, 1000, 45 * ms},
		{"arp, idle", []string{"arp:10.9.0.7"}, func(l *lan) { l.host(peer1) }, 0, 3500 * ms},
		{"nd", []string{"nd:fe80::fe"}, func(l *lan) { l.host(gw6) }, 1000, 45 * ms},
		{"hosts", []string{"auto"}, func(l *lan) {
			l.host(peer1)
			l.host(peer2)
			l.targets(Targets{Hosts: []Target{peer1, peer2}})
		}, 1000, 45 * ms},
	} {
		for _, dir := range []string{"tx", "rx", "both"} {
			for _, n := range []int{2, 3, 8} {
				t.Run(strings.Join([]string{c.name, dir, string(rune('0' + n))}, "/"), func(t *testing.T) {
					l := newLAN(t, n, c.specs...)
					c.build(l)
					l.sync()
					if c.load > 0 {
						l.load(c.load)
					}
					l.run(5*time.Second + 3*ms)
					if dir != "rx" {
						l.members[1].txDead, l.members[1].echo = true, c.specs[0] != "auto"
					}
					if dir != "tx" {
						l.members[1].rxDead = true
					}
					took := l.until(1, Down, c.most)
					l.run(5 * time.Second)
					for id := range n {
						if id != 1 {
							l.neverDown(id)
						} else if s := l.state(id); s != Down {
							t.Errorf("eth1 is %v", s)
						}
					}
					l.members[1].txDead, l.members[1].rxDead = false, false
					if back := l.until(1, Up, 500*ms); back > 300*ms {
						t.Errorf("back after %v", back)
					}
					t.Logf("down after %v: %v", took, l.changes)
				})
			}
		}
	}
}

// TestTargetIsOfTheWatchThatWantsIt changes the watches: what stays asked is that of the new one.
func TestTargetIsOfTheWatchThatWantsIt(t *testing.T) {
	l := newLAN(t, 2, "auto")
	l.gateway(gw)
	l.sync()
	l.run(2 * time.Second)
	c := l.w.cfg
	c.Specs = []Spec{{Kind: KindARP, IP: gw.IP}}
	l.w.Configure(l.now, c)
	if a := l.w.Verdict(0).Asked; len(a) != 1 || a[0].Spec.Kind != KindARP || !a[0].Answers {
		t.Errorf("asked %+v", a)
	}
}
