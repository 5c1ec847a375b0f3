// SPDX-License-Identifier: MIT

package dhcp

import (
	"encoding/binary"
	"net/netip"

	"nicteam/internal/frame"
)

const (
	serverPort = 67
	clientPort = 68
	ipLen      = 20
	udpLen     = 8
	typeIPv4   = 0x0800
	arpLen     = 28
	protoUDP   = 17
)

// udpPacket returns a BOOTP request as an IPv4 packet.
func udpPacket(msg []byte, from, to netip.Addr) []byte {
	b := make([]byte, ipLen, ipLen+udpLen+len(msg))
	b[0] = 0x45
	binary.BigEndian.PutUint16(b[2:], uint16(ipLen+udpLen+len(msg)))
	b[8], b[9] = 64, protoUDP
	src, dst := from.As4(), to.As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	binary.BigEndian.PutUint16(b[10:], frame.Checksum(b))
	return append(b, udpDatagram(msg, from, to)...)
}

// udpDatagram returns a BOOTP request as a UDP datagram.
func udpDatagram(msg []byte, from, to netip.Addr) []byte {
	b := make([]byte, udpLen, udpLen+len(msg))
	binary.BigEndian.PutUint16(b, clientPort)
	binary.BigEndian.PutUint16(b[2:], serverPort)
	binary.BigEndian.PutUint16(b[4:], uint16(udpLen+len(msg)))
	b = append(b, msg...)
	src, dst := from.As4(), to.As4()
	sum := frame.Sum(frame.Sum(frame.Sum(protoUDP+uint64(len(b)), src[:]), dst[:]), b)
	if sum := ^frame.Fold(sum); sum != 0 {
		binary.BigEndian.PutUint16(b[6:], sum)
	} else {
		binary.BigEndian.PutUint16(b[6:], 0xffff)
	}
	return b
}

// bootpReply returns the message in an IPv4 packet to the client's port, false for another packet. The checksum of UDP
// is not verified: a packet from this host has none yet, and what it would protect is compared anyway.
func bootpReply(b []byte) ([]byte, bool) {
	if len(b) < ipLen || b[0]>>4 != 4 {
		return nil, false
	}
	head, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if head < ipLen || total > len(b) || total < head+udpLen || b[9] != protoUDP ||
		binary.BigEndian.Uint16(b[6:])&0x3fff != 0 { // a fragment
		return nil, false
	}
	u := b[head:total]
	length := int(binary.BigEndian.Uint16(u[4:]))
	if binary.BigEndian.Uint16(u[2:]) != clientPort || length < udpLen || length > len(u) {
		return nil, false
	}
	return u[udpLen:length], true
}

// arpProbe asks who has an address, without telling neighbours one of this host (RFC 5227, section 2.1.1).
func arpProbe(mac frame.MAC, ip netip.Addr) []byte {
	b := make([]byte, arpLen)
	binary.BigEndian.PutUint16(b, 1)
	binary.BigEndian.PutUint16(b[2:], typeIPv4)
	b[4], b[5] = 6, 4
	binary.BigEndian.PutUint16(b[6:], 1)
	mac.Put(b, 8)
	a := ip.As4()
	copy(b[24:], a[:])
	return b
}

// arpConflict reports whether an ARP packet says that another station has the address, or probes for it too.
func arpConflict(b []byte, own func(frame.MAC) bool, ip netip.Addr) bool {
	if len(b) < arpLen || binary.BigEndian.Uint16(b) != 1 || binary.BigEndian.Uint16(b[2:]) != typeIPv4 ||
		b[4] != 6 || b[5] != 4 || own(frame.MACAt(b, 8)) {
		return false
	}
	sender, target := netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	return sender == ip || sender.IsUnspecified() && target == ip && binary.BigEndian.Uint16(b[6:]) == 1
}
