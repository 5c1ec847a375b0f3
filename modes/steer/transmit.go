package steer

import (
	"net/netip"
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
)

// Transmit takes in an ARP or ND frame of the adapter, which is ours to change, and returns it as it is to leave:
// with the MAC of the member by which it leaves in place of the adapter's.
func (s *Balancer) Transmit(now time.Time, b []byte) []spread.Send {
	if len(b) < frame.EtherLen || s.active < 0 {
		return nil
	}
	t := s.clock(now)
	var n frame.Neighbour
	known := frame.ParseNeighbour(b, &n)
	member := s.active
	switch src := frame.MACAt(b, 6); {
	case src != s.pl.Adapter:
		// From behind the adapter: it has its own MAC, and its pin.
		if pin := s.pl.Pin(src); pin >= 0 {
			member = pin
		}
	case !known || s.pl.Adapter == 0:
	case n.Dst.Multicast():
		s.toAll(t, &n)
	default:
		member = s.toOne(t, &n)
	}
	switch {
	case s.pl.Adapter == 0:
	case known:
		n.Readdress(b, s.pl.Adapter, s.pl.MACs[member])
	case frame.MACAt(b, 6) == s.pl.Adapter:
		s.pl.MACs[member].Put(b, 6)
	}
	switch {
	case !known:
	case n.Op == frame.NeighbourAdvertisement && n.Target == s.pl.Adapter:
		s.routes(n.VLAN, n.Router)
	case n.Op == frame.RouterAdvertisement && n.Src == s.pl.Adapter:
		s.routes(n.VLAN, true) // though its last neighbour advertisement may be from before it was one
	}
	return append([]spread.Send{{Member: member, Frame: b}}, s.run(t)...)
}

// toAll takes in a frame that leaves for all hosts, or for a group of them. It gives whoever takes it in the active
// member's MAC.
func (s *Balancer) toAll(t time.Duration, n *frame.Neighbour) {
	ours := n.From
	switch n.Op {
	case frame.ARPRequest:
		if ours.IsUnspecified() || n.Sender != s.pl.Adapter {
			return // a probe, which nobody takes in
		}
		if ours != n.To && n.Plain {
			s.asked.add(t, question{n.VLAN, n.To, ours})
		}
	case frame.NeighbourSolicitation:
		// Only the target listens to its group: it is repaired when its answer tells who it is.
		if !ours.IsUnspecified() && n.Sender == s.pl.Adapter && n.Plain {
			s.asked.add(t, question{n.VLAN, n.About, ours})
		}
		return
	case frame.ARPReply, frame.RouterSolicitation, frame.RouterAdvertisement:
		if n.Sender != s.pl.Adapter {
			return
		}
	case frame.NeighbourAdvertisement:
		if ours = n.About; n.Target != s.pl.Adapter {
			return
		}
	default:
		return
	}
	if n.Plain {
		s.broadcast(t, s.pairs.findGroup(groupKey{n.VLAN, ours}))
	}
}

// toOne takes in a frame that leaves for one host, and returns by which member. If it gives that host a MAC the two
// are a pair.
func (s *Balancer) toOne(t time.Duration, n *frame.Neighbour) int {
	peer, ours, gives := n.To, n.From, n.Sender == s.pl.Adapter
	switch n.Op {
	case frame.ARPRequest, frame.ARPReply, frame.RouterAdvertisement:
	case frame.NeighbourSolicitation:
		peer = n.About
		gives = gives || n.Sender == 0
	case frame.NeighbourAdvertisement:
		ours = n.About
		gives = n.Target == s.pl.Adapter || n.Target == 0
	default:
		gives = false
	}
	if !n.Plain {
		return s.active
	}
	g := groupKey{n.VLAN, ours}
	i := s.pairs.find(g, peer, n.Dst)
	isNew := i < 0
	if gives && peer != ours && one(peer) && one(ours) && s.isForeign(n.Dst) {
		i = s.learn(t, g, peer, n.Dst)
	}
	if i < 0 {
		return s.active
	}
	if s.on && isNew && n.Op >= frame.RouterSolicitation && n.Sender == 0 && n.Target == 0 {
		// Linux answers a unicast solicitation without the option: the host keeps whatever MAC it has.
		s.repair(t+repairDelay, i)
	}
	return s.pairs.at(i).member
}

// Receive takes in a copy of an ARP or ND frame that came for us alone: an answer to what we asked all makes
// a pair.
func (s *Balancer) Receive(now time.Time, b []byte) {
	var n frame.Neighbour
	if s.active < 0 || !frame.ParseNeighbour(b, &n) || !n.Plain {
		return
	}
	peer, ours, mac := n.From, n.To, n.Sender
	switch {
	case n.Op == frame.ARPReply:
	case n.Op == frame.NeighbourAdvertisement && n.Solicited:
		if peer, mac = n.About, n.Target; mac == 0 {
			mac = n.Src
		}
	default:
		return
	}
	t := s.clock(now)
	if mac != n.Src || peer == ours || !one(peer) || !one(ours) || !s.isForeign(mac) {
		return
	}
	at, ok := s.asked.take(t, question{n.VLAN, peer, ours})
	if !ok {
		return
	}
	i := s.learn(t, groupKey{n.VLAN, ours}, peer, mac)
	if i < 0 {
		return
	}
	if s.pairs.at(i).member != s.active {
		// The question gave it the active member's MAC.
		s.repair(max(t, at+repairDelay), i)
	}
}

// learn returns the pair of a host that was met; a new one if need be, -1 when there is no place for it.
func (s *Balancer) learn(t time.Duration, g groupKey, peer netip.Addr, mac frame.MAC) int32 {
	if i := s.pairs.find(g, peer, mac); i >= 0 {
		s.pairs.meet(i, peer, mac)
		s.pairs.touch(i, t)
		return i
	}
	s.expire(t)
	full := s.pairs.len() >= maxPairs
	if full && s.pairs.idle.tail < 0 || !s.learns.Take(s.base.Add(t), steerRate) {
		return -1
	}
	if full {
		s.forget(s.pairs.idle.tail)
	}
	i := s.pairs.add(g, t)
	s.pairs.meet(i, peer, mac)
	p := s.pairs.at(i)
	p.fresh = freshMeasures
	if s.on {
		s.assign(t, i, s.load.choose(s.members))
	} else {
		s.assign(t, i, s.active)
	}
	return i
}

// expire forgets pairs that were not seen for long.
func (s *Balancer) expire(t time.Duration) {
	if s.pairs.len() == 0 {
		return
	}
	for _, o := range []*order{&s.pairs.idle, &s.pairs.busy} {
		for o.tail >= 0 && t-s.pairs.at(o.tail).seen >= pairAge {
			s.forget(o.tail)
		}
	}
}

// forget takes a pair out of everything.
func (s *Balancer) forget(i int32) {
	p := s.pairs.at(i)
	s.load.leave(p)
	s.agenda.drop(pairItem(i))
	if g := s.pairs.remove(i); g >= 0 {
		s.agenda.drop(groupItem(g))
	}
}

// ForgetAddress forgets an address that this host no longer has: who talked to it is told nothing more, and is no peer by
// what was asked for it.
func (s *Balancer) ForgetAddress(vlan uint16, ours netip.Addr) {
	k := groupKey{vlan, ours}
	s.asked.forget(k)
	for g := s.pairs.findGroup(k); g >= 0; g = s.pairs.findGroup(k) {
		s.forget(s.pairs.groups[g].pairs[0])
	}
}

// routes notes whether this host is a router.
func (s *Balancer) routes(vlan uint16, router bool) {
	if s.router == nil {
		s.router = map[uint16]bool{}
	}
	s.router[vlan] = router
}

// isForeign reports whether a MAC can be a peer's: one host's, and none of ours.
func (s *Balancer) isForeign(m frame.MAC) bool {
	if m == 0 || m.Multicast() {
		return false
	}
	_, own := slices.BinarySearch(s.pl.TeamMACs, m)
	return !own
}
