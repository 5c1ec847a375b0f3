// SPDX-License-Identifier: MIT

package steer

import (
	"net/netip"
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
)

// Transmit returns a frame of the adapter with its member, and the notifications that are due. In ARP and ND the
// MAC of the member that sends it replaces the adapter's. b is changed in place.
func (s *Balancer) Transmit(now time.Time, b []byte) []spread.Send {
	if len(b) < frame.EtherLen || s.active() < 0 {
		return nil
	}
	var n frame.Neighbour
	known := frame.ParseNeighbour(b, &n)
	adapter, member := s.pl.Adapter, s.active()
	switch src := frame.MACAt(b, 6); {
	case src != adapter:
		// From behind the adapter: it has its own MAC, and its pin.
		if pin := s.pl.Pin(src); pin >= 0 {
			member = pin
		}
	case !known || adapter == 0:
	case n.Dst.Multicast():
		s.sentToGroup(now, &n)
	default:
		member = s.memberFor(now, &n)
	}
	switch {
	case adapter == 0:
	case known:
		n.Readdress(b, adapter, s.pl.MACs[member])
	case frame.MACAt(b, 6) == adapter:
		s.pl.MACs[member].Put(b, 6)
	}
	switch {
	case !known:
	case n.Op == frame.NeighbourAdvertisement && n.Target == adapter:
		s.setRouter(n.VLAN, n.Router)
	case n.Op == frame.RouterAdvertisement && n.Src == adapter:
		s.setRouter(n.VLAN, true) // its last neighbour advertisement may be from before it was one
	}
	return append([]spread.Send{{Member: member, Frame: b}}, s.runSchedule(now)...)
}

// sentToGroup notes what a frame to a group tells its receivers: they learn the active member's MAC.
func (s *Balancer) sentToGroup(now time.Time, n *frame.Neighbour) {
	ours := n.From
	switch n.Op {
	case frame.ARPRequest:
		if ours.IsUnspecified() || n.Sender != s.pl.Adapter {
			return // a probe: nobody learns from it
		}
		if ours != n.To && n.Plain {
			s.requests.add(now, request{addressKey{n.VLAN, ours}, n.To})
		}
	case frame.NeighbourSolicitation:
		// Only the target receives its group: it is repaired when its answer shows who it is.
		if !ours.IsUnspecified() && n.Sender == s.pl.Adapter && n.Plain {
			s.requests.add(now, request{addressKey{n.VLAN, ours}, n.About})
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
		s.repairSoon(now, s.table.addresses[addressKey{n.VLAN, ours}])
	}
}

// memberFor returns the member that sends a frame to one host. A frame that gives the host a MAC makes a binding.
func (s *Balancer) memberFor(now time.Time, n *frame.Neighbour) int {
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
		return s.active()
	}
	k := addressKey{n.VLAN, ours}
	b := s.table.find(k, peer, n.Dst)
	isNew := b == nil
	if gives && peer != ours && isHost(peer) && isHost(ours) && s.isForeign(n.Dst) {
		b = s.learn(now, k, peer, n.Dst)
	}
	if b == nil {
		return s.active()
	}
	if s.on && isNew && n.Op >= frame.RouterSolicitation && n.Sender == 0 && n.Target == 0 {
		// Linux answers a unicast solicitation without the option: the peer keeps the MAC that it has.
		s.notifyTwice(now.Add(repairDelay), b)
	}
	return b.member
}

// Receive reads a copy of an ARP or ND frame that was received for this host alone: an answer to a request of ours to a
// group makes a binding.
func (s *Balancer) Receive(now time.Time, frm []byte) {
	var n frame.Neighbour
	if s.active() < 0 || !frame.ParseNeighbour(frm, &n) || !n.Plain {
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
	if mac != n.Src || peer == ours || !isHost(peer) || !isHost(ours) || !s.isForeign(mac) {
		return
	}
	k := addressKey{n.VLAN, ours}
	sent, ok := s.requests.take(now, request{k, peer})
	if !ok {
		return
	}
	b := s.learn(now, k, peer, mac)
	if b == nil || b.member == s.active() {
		return
	}
	// The request gave it the active member's MAC.
	at := sent.Add(repairDelay)
	if at.Before(now) {
		at = now
	}
	s.notifyTwice(at, b)
}

// learn returns the binding of a peer, a new one if need be, nil if there is no room for it.
func (s *Balancer) learn(now time.Time, k addressKey, peer netip.Addr, mac frame.MAC) *binding {
	if b := s.table.find(k, peer, mac); b != nil {
		s.table.rename(b, peer, mac)
		s.table.touch(b, now)
		return b
	}
	if s.hasLeft(now, k) {
		return nil
	}
	s.expire(now)
	full, first := s.table.len() >= maxBindings, leastRecent(&s.table.idle)
	if full && first == nil || !s.learnLimit.Take(now, limitRate) {
		return nil
	}
	if full {
		s.forget(first)
	}
	b := s.table.create(k, now)
	s.table.rename(b, peer, mac)
	b.warmup = warmupSamples
	if s.on {
		s.assign(now, b, s.load.leastUsed(s.open()))
	} else {
		s.assign(now, b, s.active())
	}
	return b
}

// expire forgets peers that were not seen for bindingAge.
func (s *Balancer) expire(now time.Time) {
	for b := leastRecent(&s.table.idle); b != nil && now.Sub(b.seen) >= bindingAge; b = leastRecent(&s.table.idle) {
		s.forget(b)
	}
	for b := leastRecent(&s.table.busy); b != nil && now.Sub(b.seen) >= bindingAge; b = leastRecent(&s.table.busy) {
		s.forget(b)
	}
}

// forget removes a binding and what is scheduled for it.
func (s *Balancer) forget(b *binding) {
	s.load.removeBinding(b)
	s.schedule.cancel(&b.task)
	if s.table.remove(b) {
		s.schedule.cancel(&b.address.task)
	}
}

func (s *Balancer) setRouter(vlan uint16, router bool) {
	if s.routers == nil {
		s.routers = map[uint16]bool{}
	}
	s.routers[vlan] = router
}

// isHost reports whether an address is one host's.
func isHost(a netip.Addr) bool { return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() }

// isForeign reports whether a MAC can be a peer's: one host's, and none of this team's.
func (s *Balancer) isForeign(m frame.MAC) bool {
	if m == 0 || m.Multicast() {
		return false
	}
	_, own := slices.BinarySearch(s.pl.TeamMACs, m)
	return !own
}
