// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"net/netip"
	"time"

	"nicteam/internal/frame"
)

// Stack is a host's IP stack with one address of each family: a peer's with one NIC, or the one on a team's
// adapter, or of a guest behind one.
type Stack struct {
	Name string
	MAC  frame.MAC
	IP4  netip.Addr
	IP6  netip.Addr

	Asked  int    // ARP requests and solicitations sent
	Double int    // frames received twice
	Resent uint64 // TCP segments sent again
	Mute   bool   // receives and sends nothing, as a host that restarts

	w          *World
	number     int
	out        func(*Packet) // where its frames go
	team       *Team         // the team of its adapter; nil: the host has a NIC
	neighbours map[netip.Addr]*neighbour
	tentative  bool // duplicate address detection of IP6 is running
	clash      bool // another host has IP6
	seen       map[uint64]bool
	seenOld    map[uint64]bool
}

func (w *World) stack(name string, mac frame.MAC) *Stack {
	n := len(w.stacks) + 1
	s := &Stack{Name: name, MAC: mac, w: w, number: n, neighbours: map[netip.Addr]*neighbour{}, seen: map[uint64]bool{},
		IP4: netip.AddrFrom4([4]byte{10, 9, 0, byte(n)}), IP6: netip.MustParseAddr(fmt.Sprintf("fd09::%x", n))}
	w.stacks = append(w.stacks, s)
	return s
}

// Peer adds a host with one NIC on a new port of a switch.
func (w *World) Peer(name string, sw *Switch, l Line) *Stack {
	n := w.NIC(name)
	sw.Plug(n.End, l)
	return w.PeerOn(n)
}

// PeerOn adds a host on a NIC.
func (w *World) PeerOn(n *NIC) *Stack {
	s := w.stack(n.Name, n.MAC)
	s.out = func(p *Packet) { n.send(p) }
	n.up, n.groups.all = s.in, true
	return s
}

// emit sends a new frame of the host.
func (s *Stack) emit(p *Packet) {
	if s.Mute {
		return
	}
	s.w.packets++
	p.id, p.from, p.sent = s.w.packets, s, s.w.now
	s.out(p)
}

// send sends a frame to a neighbour.
func (s *Stack) send(p *Packet, to frame.MAC) {
	p.address(to, s.MAC)
	s.emit(p)
}

// Address is the host's address of a family.
func (s *Stack) Address(v6 bool) netip.Addr {
	if v6 {
		return s.IP6
	}
	return s.IP4
}

// request sends an ARP request or solicitation for ip; to 0: to all.
func (s *Stack) request(ip netip.Addr, to frame.MAC) {
	s.Asked++
	if ip.Is4() {
		dst := to
		if dst == 0 {
			dst = frame.Broadcast
		}
		s.emit(newPacket(arp{dst: dst, src: s.MAC, op: opRequest, sha: s.MAC, spa: s.IP4, tpa: ip}.bytes()))
		return
	}
	group := solicitedNode(ip)
	n := nd{dst: to, src: s.MAC, from: s.IP6, to: ip, kind: typeNS, target: ip, linkLayer: s.MAC}
	if to == 0 {
		n.dst, n.to = groupMAC(group), group
	}
	s.emit(newPacket(n.bytes()))
}

// ProbeAddress runs duplicate address detection for IP6 (RFC 4862). Its own probe, reflected, counts as a duplicate,
// which is stricter than a host that marks its probes (RFC 7527).
func (s *Stack) ProbeAddress() {
	s.tentative, s.clash = true, false
	group := solicitedNode(s.IP6)
	s.emit(newPacket(nd{dst: groupMAC(group), src: s.MAC, from: netip.IPv6Unspecified(), to: group, kind: typeNS,
		target: s.IP6}.bytes()))
	s.w.After(time.Second, func() {
		s.tentative = false
		if s.clash {
			s.w.breach("%s: somebody else seems to have %v", s.Name, s.IP6)
		}
	})
}

// in receives a frame.
func (s *Stack) in(p *Packet) {
	if s.Mute || p.h.Dst != s.MAC && !p.h.Dst.Multicast() {
		return
	}
	if p.flow != nil {
		if p.flow.to == s && !p.back || p.flow.from == s && p.back {
			p.flow.arrived(p)
		}
		return
	}
	// A switch that floods brings answers to link watches by each member that accepts them; they do no harm.
	if p.id != 0 && s.double(p.id) && !answersAsk(p) {
		s.Double++
		if s.team != nil && p.from.team != s.team && !s.team.twice(p) {
			s.w.breach("%s has been given a frame twice: %s", s.Name, describe(p))
		}
	}
	if a, ok := parseARP(p); ok {
		s.inARP(a)
	} else if n, ok := parseND(p); ok {
		s.inND(n)
	}
}

// double reports whether a frame has arrived before, among the recent ones.
func (s *Stack) double(id uint64) bool {
	if s.seen[id] || s.seenOld[id] {
		return true
	}
	if s.seen[id] = true; len(s.seen) >= 1<<12 {
		s.seenOld, s.seen = s.seen, map[uint64]bool{}
	}
	return false
}

func (s *Stack) inARP(a arp) {
	if a.op != opRequest && a.op != opReply || a.sha == s.MAC {
		return
	}
	if a.op == opRequest && a.tpa == s.IP4 {
		if !a.spa.IsUnspecified() {
			s.entry(a.spa).update(a.sha, stale, true)
		}
		s.emit(newPacket(arp{dst: a.sha, src: s.MAC, op: opReply, sha: s.MAC, tha: a.sha, spa: s.IP4,
			tpa: a.spa}.bytes()))
		return
	}
	n := s.lookup(a.spa)
	if n == nil {
		return
	}
	gratuitous := a.spa == a.tpa && (a.op == opRequest || a.tha == a.sha)
	state := stale
	if a.op == opReply && !a.dst.Multicast() && !gratuitous {
		state = reachable
	}
	if n.state == incomplete && a.op == opRequest && !gratuitous {
		// The kernel accepts that too.
		state = stale
	}
	n.update(a.sha, state, gratuitous || s.w.now-n.updated >= lockTime)
}

func (s *Stack) inND(n nd) {
	if n.wrongSum || n.wrongOptions {
		s.w.breach("%s has been sent a broken neighbour message: %+v", s.Name, n)
		return
	}
	if n.target == s.IP6 && s.tentative && (n.kind == typeNA || n.from.IsUnspecified()) {
		s.clash = true
	}
	switch {
	case n.kind == typeNS && n.target == s.IP6:
		a := nd{dst: n.src, src: s.MAC, from: s.IP6, to: n.from, kind: typeNA, flags: flagSolicited | flagOverride,
			target: s.IP6, linkLayer: s.MAC}
		if n.from.IsUnspecified() {
			a.dst, a.to, a.flags = groupMAC(allNodes), allNodes, flagOverride
		} else {
			if n.linkLayer != 0 {
				s.entry(n.from).update(n.linkLayer, stale, true)
				a.dst = n.linkLayer
			} else if to := s.NeighbourMAC(n.from); to != 0 {
				a.dst = to
			}
		}
		s.emit(newPacket(a.bytes()))
	case n.kind == typeNA:
		e := s.lookup(n.target)
		if e == nil {
			return
		}
		mac := n.linkLayer
		if mac == 0 {
			if mac = e.mac; mac == 0 {
				return
			}
		}
		state := stale
		if n.flags&flagSolicited != 0 {
			state = reachable
		}
		e.update(mac, state, n.flags&flagOverride != 0)
	}
}
