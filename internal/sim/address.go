// SPDX-License-Identifier: MIT

package sim

import (
	"net/netip"

	"nicteam/internal/frame"
	"nicteam/team"
)

// Addresses come and go, as VRRP moves them between hosts: a Stack with another's address is that host after it took
// over.

// nobody4 is an address that a host has instead of one that it gave up: one that nobody asks for.
func (s *Stack) nobody4() netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(s.number)}) }

// addresses are those behind the adapter.
func (t *Team) addresses() (list []team.HeldAddress) {
	for _, ip := range []netip.Addr{t.Stack.IP4, t.Stack.IP6} {
		if ip != t.Stack.nobody4() {
			list = append(list, team.HeldAddress{IP: ip})
		}
	}
	return list
}

// tellHeld tells the loop which addresses the host has.
func (t *Team) tellHeld() { t.handle(team.AddressesHeld{List: t.addresses()}) }

// GiveUp takes the IPv4 address from the team's host, and tells the loop soon.
func (t *Team) GiveUp() netip.Addr {
	ip := t.Stack.IP4
	t.Stack.IP4 = t.Stack.nobody4()
	t.w.After(controlDelay, func() {
		t.handle(team.AddressesLeft{List: []team.LeftAddress{{IP: ip}}})
		t.tellHeld()
	})
	return ip
}

// TakeOver gives the team's host an address that another one gave up, and announces it, as VRRP does.
func (t *Team) TakeOver(ip netip.Addr) {
	t.Stack.TakeOver(ip)
	t.w.After(controlDelay, t.tellHeld)
}

// TakeOver gives the host an IPv4 address that another one has or had, and announces it.
func (s *Stack) TakeOver(ip netip.Addr) {
	s.IP4 = ip
	s.Claim(ip)
}

// Claim announces an address, as its own, to all.
func (s *Stack) Claim(ip netip.Addr) {
	if ip.Is4() {
		s.emit(newPacket(arp{dst: frame.Broadcast, src: s.MAC, op: opRequest, sha: s.MAC, spa: ip, tpa: ip}.bytes()))
		return
	}
	s.emit(newPacket(nd{dst: groupMAC(allNodes), src: s.MAC, from: ip, to: allNodes, kind: typeNA, flags: flagOverride,
		target: ip, linkLayer: s.MAC}.bytes()))
}
