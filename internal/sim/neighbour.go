// SPDX-License-Identifier: MIT

package sim

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"nicteam/internal/frame"
)

// A host's neighbour cache, as in Linux (net/core/neighbour.c, net/ipv4/arp.c, net/ipv6/ndisc.c):
//
//	none → incomplete (3 requests) → reachable (30 s) → stale → (used) delay (5 s) → probe (3 unicast requests)
//	→ reachable, or none
//
// Requests for our address create entries; announcements only change existing ones.

type reach uint8

const (
	incomplete reach = iota
	reachable
	stale
	delay
	probe
)

const (
	reachableTime = 30 * time.Second
	delayTime     = 5 * time.Second
	retransTime   = time.Second
	probesMax     = 3
	lockTime      = time.Second // after an update, ARP answers that are not gratuitous are ignored for this time
	unresolvedMax = 64          // frames queued until an answer
)

type neighbour struct {
	s         *Stack
	ip        netip.Addr
	mac       frame.MAC
	state     reach
	updated   time.Duration // mac, or state, was last changed
	confirmed time.Duration
	probes    int
	waiting   []*Packet
	timer     *timer
}

// lookup returns the entry of ip, nil for none.
func (s *Stack) lookup(ip netip.Addr) *neighbour { return s.neighbours[ip] }

func (s *Stack) entry(ip netip.Addr) *neighbour {
	n := s.neighbours[ip]
	if n == nil {
		n = &neighbour{s: s, ip: ip, updated: s.w.now - lockTime}
		n.timer = newTimer(&s.w.clock, n.expired)
		s.neighbours[ip] = n
	}
	return n
}

// NeighbourMAC is the MAC that the host has for ip, 0 none.
func (s *Stack) NeighbourMAC(ip netip.Addr) frame.MAC {
	if n := s.lookup(ip); n != nil && n.state != incomplete {
		return n.mac
	}
	return 0
}

// Forgets empties the host's caches.
func (s *Stack) ForgetNeighbours() {
	for _, n := range s.neighbours {
		n.timer.stop()
	}
	clear(s.neighbours)
}

// resolve returns the MAC of ip, or queues the frame until it is known.
func (s *Stack) resolve(ip netip.Addr, p *Packet) (frame.MAC, bool) {
	n := s.lookup(ip)
	if n == nil {
		n = s.entry(ip)
		n.ask()
	}
	switch n.state {
	case incomplete:
		if len(n.waiting) < unresolvedMax {
			n.waiting = append(n.waiting, p)
		}
		return 0, false
	case reachable:
		if s.w.now-n.confirmed > reachableTime {
			n.state = stale
		}
	}
	if n.state == stale {
		n.state = delay
		n.timer.set(s.w.now + delayTime)
	}
	return n.mac, true
}

// ask sends a request: broadcast, or in state probe unicast.
func (n *neighbour) ask() {
	n.probes++
	n.timer.set(n.s.w.now + retransTime)
	to := frame.MAC(0)
	if n.state == probe {
		to = n.mac
	}
	n.s.request(n.ip, to)
}

// AskAgain probes every known neighbour.
func (s *Stack) AskAgain() {
	known := slices.SortedFunc(maps.Values(s.neighbours), func(a, b *neighbour) int { return a.ip.Compare(b.ip) })
	for _, n := range known {
		if n.state != incomplete {
			n.state, n.probes = probe, 0
			n.ask()
		}
	}
}

func (n *neighbour) expired() {
	switch {
	case n.state == delay && n.s.w.now-n.confirmed <= delayTime:
		n.state = reachable
		return
	case n.state == delay:
		n.state, n.probes = probe, 0
	case n.state != incomplete && n.state != probe:
		return
	}
	if n.probes == probesMax {
		n.s.w.Tell("%s: no answer from %v", n.s.Name, n.ip)
		delete(n.s.neighbours, n.ip)
		return
	}
	n.ask()
}

// confirm marks ip as reachable: its packets show that it receives ours.
func (s *Stack) confirm(ip netip.Addr) {
	if n := s.lookup(ip); n != nil && n.state != incomplete {
		n.confirmed = s.w.now
		if n.state == probe || n.state == stale {
			n.state = reachable
		}
	}
}

// update sets the MAC of ip. Without override it does not replace a known MAC.
func (n *neighbour) update(mac frame.MAC, state reach, override bool) {
	w := n.s.w
	known := n.state != incomplete
	if known && n.mac != mac && !override {
		return
	}
	if known && n.mac == mac && state == stale {
		return
	}
	if known && n.mac != mac {
		w.Tell("%s: %v is at %v now, was at %v", n.s.Name, n.ip, mac, n.mac)
	}
	if !known || n.mac != mac || n.state != state {
		n.updated = w.now
	}
	n.mac, n.state, n.probes = mac, state, 0
	n.timer.stop()
	if state == reachable {
		n.confirmed = w.now
	}
	waiting := n.waiting
	n.waiting = nil
	for _, p := range waiting {
		n.s.send(p, mac)
	}
}
