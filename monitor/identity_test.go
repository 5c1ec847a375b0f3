// SPDX-License-Identifier: MIT

//go:build !race

package monitor

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
)

// elsewhere adds a host that has the gateway's address in the network of the members by, and none of the others'.
func (l *lan) elsewhere(h *lanHost, by ...int) *lanHost {
	o := l.host(h.Target)
	for id := range l.members {
		o.not[id] = true
	}
	for _, id := range by {
		o.not[id], h.not[id] = false, true
	}
	return o
}

// TestAnotherRouter puts the port of a member into a network where another router has the gateway's address.
func TestAnotherRouter(t *testing.T) {
	for _, rate := range []float64{0, 1000} {
		l := newLAN(t, 3, "auto")
		h := l.gateway(gw)
		l.sync()
		if rate > 0 {
			l.load(rate)
		}
		l.run(5 * time.Second)
		l.want(Up, Up, Up)
		h.not[0] = true
		other := l.elsewhere(h, 0)
		l.members[0].rxDead = false
		l.until(0, Down, 3500*ms)
		if r := l.w.Verdict(0).Reason; !strings.Contains(r, "is on another network") ||
			!strings.Contains(r, other.mac.String()) || !strings.Contains(r, h.mac.String()) {
			t.Errorf("%v frames/s: reason %q", rate, r)
		}
		l.run(20 * time.Second)
		l.neverDown(1, 2)
		other.dead, h.not[0] = true, false
		l.until(0, Up, 3500*ms)
		l.run(5 * time.Second)
		l.want(Up, Up, Up)
	}
}

// TestStackKnowsTheRouter: a member in another network answers first, but the host knew the router before.
func TestStackKnowsTheRouter(t *testing.T) {
	l := newLAN(t, 2, "auto")
	h := l.host(gw)
	l.elsewhere(h, 0)
	l.members[1].delay = 30 * ms
	l.targets(Targets{Gateways: []Target{gw}, Neighbours: []Neighbour{{gw, h.mac}}})
	l.sync()
	l.until(1, Up, 150*ms)
	l.until(0, Down, 5*time.Second)
	l.neverDown(1)
}

// TestStackIsOutOfDate: the MAC that the host knows is that of a router which is gone.
func TestStackIsOutOfDate(t *testing.T) {
	l := newLAN(t, 2, "auto")
	h := l.host(gw)
	l.targets(Targets{Gateways: []Target{gw}, Neighbours: []Neighbour{{gw, h.mac + 7}}})
	l.sync()
	l.until(0, Up, 700*ms)
	l.until(1, Up, 700*ms)
	l.run(20 * time.Second)
	l.neverDown()
}

// TestTwoMACsOfOneRouter: each of its NICs answers a broadcast, as the kernel does by default.
func TestTwoMACsOfOneRouter(t *testing.T) {
	l := newLAN(t, 3, "auto")
	h := l.gateway(gw)
	l.host(gw).delay = 10 * time.Microsecond // the other NIC is first
	l.sync()
	l.load(1000)
	l.run(20 * time.Second)
	h.dead = true
	l.run(20 * time.Second)
	l.neverDown()
	l.want(Up, Up, Up)
	l.members[2].txDead = true
	l.until(2, Down, 45*ms)
}

// TestRouterIsATeam: it answers each member by another MAC, and by none to the same one.
func TestRouterIsATeam(t *testing.T) {
	l := newLAN(t, 3, "auto")
	h := l.gateway(gw)
	h.spread = func(asker frame.MAC) frame.MAC { return h.mac + asker%7*16 }
	l.sync()
	l.load(1000)
	l.run(20 * time.Second)
	l.neverDown()
	l.want(Up, Up, Up)
	l.members[1].txDead = true
	l.until(1, Down, 45*ms)
	l.members[1].txDead = false
	l.until(1, Up, 2*time.Second)
	l.run(5 * time.Second)
	l.neverDown(0, 2)
}

// TestRouterAsksFromItsNewMAC: the router has got another MAC, and where a member has no way to it another host answers
// by the known one. Who asks for this host is the router.
func TestRouterAsksFromItsNewMAC(t *testing.T) {
	us, other := netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.3")
	for _, tt := range []struct {
		name       string
		early      bool // it asks before the known MAC is missed
		known      bool // the known MAC asked for this host before
		wants      netip.Addr
		moves, all bool
	}{
		{"for this host", false, false, us, true, true},
		{"for this host before", true, false, us, true, true},
		{"for another one before", true, false, other, false, true},
		{"for another one", false, false, other, false, true},
		{"the known one did", false, true, us, false, true},
		{"to this host only", false, false, us, true, false},
	} {
		l := newLAN(t, 2, "auto")
		h := l.host(gw)
		l.targets(Targets{Gateways: []Target{gw}, Own: []netip.Addr{us}})
		l.sync()
		l.run(5 * time.Second)
		o := l.elsewhere(h, 0)
		if tt.known {
			l.deliver(l.members[1], ms, frametest.ARP(h.mac, frametest.Request, frame.Broadcast, gw.IP, us))
		}
		to := memberMAC(0)
		if tt.all {
			to = frame.Broadcast
		}
		f := frametest.ARP(o.mac, frametest.Request, to, gw.IP, tt.wants)
		if tt.early {
			l.deliver(l.members[0], ms, f)
			l.run(5 * time.Second)
			if tt.moves {
				l.want(Up, Down)
			} else {
				l.want(Down, Up)
			}
			continue
		}
		l.until(0, Down, 3500*ms)
		l.want(Down, Up)
		if only := l.w.Receive(l.now, 0, f); only != tt.all {
			t.Errorf("%s: %v, want %v", tt.name, only, tt.all)
		}
		l.after()
		if tt.moves {
			l.until(0, Up, 60*ms)
			l.until(1, Down, 60*ms)
		}
		l.run(20 * time.Second)
		if tt.moves {
			l.want(Up, Down)
		} else {
			l.want(Down, Up)
		}
	}
}
