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

// Where the hardware addresses are in an ARP packet.
const (
	arpSender = 8
	arpTarget = 18
)

// GratuitousARP returns the ARP announcement (RFC 5227 clause 3) of ip at mac: a broadcast
// request in which sender and target address are the same, which Linux peers take in without
// having asked. vlan 0 is untagged. It returns nil unless ip is an IPv4 address.
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

// UnicastARP returns what tells peer alone that ip is at mac: a gratuitous ARP reply, that is, one whose sender and
// target are the same in both their addresses. Linux takes an answer that it did not ask for over a younger
// entry only in this form (arp_is_garp in net/ipv4/arp.c). vlan 0 is untagged. It returns nil unless ip is an
// IPv4 address.
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

// RARP returns a broadcast by which switches learn where mac is in a VLAN, as a Station has it. It asks for mac's own
// address (RFC 903), which nobody answers: hosts do not listen to RARP.
func RARP(mac MAC, vlan uint16) []byte {
	b, at := newFrame(Broadcast, mac, vlan, TypeRARP, arpLen)
	putARP(b[at:], rarpRequest)
	mac.Put(b, at+arpSender)
	mac.Put(b, at+arpTarget)
	return b
}

// putARP writes the fixed part for Ethernet and IPv4.
func putARP(b []byte, op uint16) {
	binary.BigEndian.PutUint16(b, 1)
	binary.BigEndian.PutUint16(b[2:], TypeIPv4)
	b[4], b[5] = 6, 4
	binary.BigEndian.PutUint16(b[6:], op)
}
