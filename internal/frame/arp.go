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
	rarpRequest = 3
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
	mac.Put(b, at+8)
	copy(b[at+14:], a[:])
	copy(b[at+24:], a[:])
	return b
}

// RARP returns a broadcast by which switches learn where mac is. It asks for mac's own
// address (RFC 903), which nobody answers: hosts do not listen to RARP.
func RARP(mac MAC) []byte {
	b, at := newFrame(Broadcast, mac, 0, TypeRARP, arpLen)
	putARP(b[at:], rarpRequest)
	mac.Put(b, at+8)
	mac.Put(b, at+18)
	return b
}

// putARP writes the fixed part for Ethernet and IPv4.
func putARP(b []byte, op uint16) {
	binary.BigEndian.PutUint16(b, 1)
	binary.BigEndian.PutUint16(b[2:], TypeIPv4)
	b[4], b[5] = 6, 4
	binary.BigEndian.PutUint16(b[6:], op)
}
