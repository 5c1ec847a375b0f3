// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
	"net/netip"
)

// arpLen is the length of an ARP packet for Ethernet and IPv4.
const arpLen = 28

// Operations of ARP and RARP.
const (
	arpRequest  = 1
	arpReply    = 2
	rarpRequest = 3
)

// Offsets of the hardware addresses in an ARP packet.
const (
	arpSender = 8
	arpTarget = 18
)

// GratuitousARP returns the ARP announcement (RFC 5227 clause 3) of ip at mac: a broadcast request with equal sender
// and target addresses, which updates the caches of Linux peers unsolicited. vlan 0 is untagged. It returns nil unless
// ip is an IPv4 address.
func GratuitousARP(mac MAC, ip netip.Addr, vlan uint16) []byte {
	ip = ip.Unmap()
	if !ip.Is4() {
		return nil
	}
	b, at := newFrame(Broadcast, mac, vlan, TypeARP, arpLen)
	putARP(b[at:], arpRequest)
	a := ip.As4()
	mac.Put(b, at+arpSender)
	copy(b[at+14:], a[:])
	copy(b[at+24:], a[:])
	return b
}

// UnicastARP returns a gratuitous ARP reply that announces ip at mac to peer alone: its sender and target are equal in
// both addresses. Only in this form does an unsolicited reply replace a recent entry of Linux (arp_is_garp in
// net/ipv4/arp.c). vlan 0 is untagged. It returns nil unless ip is an IPv4 address.
func UnicastARP(mac MAC, ip netip.Addr, peer MAC, vlan uint16) []byte {
	ip = ip.Unmap()
	if !ip.Is4() {
		return nil
	}
	b, at := newFrame(peer, mac, vlan, TypeARP, arpLen)
	putARP(b[at:], arpReply)
	a := ip.As4()
	mac.Put(b, at+arpSender)
	copy(b[at+14:], a[:])
	mac.Put(b, at+arpTarget)
	copy(b[at+24:], a[:])
	return b
}

// RARP returns a broadcast from which switches learn the port of mac in a VLAN, which is that of a Station. It is a
// request for mac's own address (RFC 903), which no host answers.
func RARP(mac MAC, vlan uint16) []byte {
	b, at := newFrame(Broadcast, mac, vlan, TypeRARP, arpLen)
	putARP(b[at:], rarpRequest)
	mac.Put(b, at+arpSender)
	mac.Put(b, at+arpTarget)
	return b
}

// putARP writes the header fields for Ethernet and IPv4.
func putARP(b []byte, op uint16) {
	binary.BigEndian.PutUint16(b, 1)
	binary.BigEndian.PutUint16(b[2:], TypeIPv4)
	b[4], b[5] = 6, 4
	binary.BigEndian.PutUint16(b[6:], op)
}
