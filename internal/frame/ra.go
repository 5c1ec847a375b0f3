// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
	"net/netip"
)

// RouterAdvert is the content of a router advertisement (RFC 4861 clause 4.2, RFC 4191).
type RouterAdvert struct {
	From       netip.Addr // the router's link-local address
	MAC        MAC        // 0: no option
	Lifetime   uint16     // seconds as a default router
	Preference uint8      // RouterMedium, RouterHigh, RouterLow
	HopLimit   uint8      // 0: unspecified
	Managed    bool
	Other      bool
	MTU        uint32 // 0: no option
	Prefixes   []AdvertisedPrefix
	Routes     []AdvertisedRoute
}

// Preferences of a router or a route.
const (
	RouterMedium = 0
	RouterHigh   = 1
	RouterLow    = 3
)

// AdvertisedPrefix is a prefix that is on-link, or from which nodes form addresses.
type AdvertisedPrefix struct {
	Prefix             netip.Prefix
	OnLink, Autonomous bool
	Valid, Preferred   uint32 // seconds; all ones: for ever
}

// AdvertisedRoute is a prefix that the router reaches.
type AdvertisedRoute struct {
	Prefix     netip.Prefix
	Preference uint8
	Lifetime   uint32 // seconds; all ones: for ever
}

const (
	icmp6RouterAdvertisement = 134
	raLen                    = 16

	optPrefix    = 3
	optMTU       = 5
	optRouteInfo = 24

	optPrefixLen    = 32
	optRouteInfoMax = 24
	optOnLink       = 0x80
	optAutonomous   = 0x40
)

// Frame returns the advertisement as a frame to all nodes. It returns nil unless From is an IPv6 address.
func (a *RouterAdvert) Frame() []byte {
	if !a.From.Is6() || a.From.Is4In6() {
		return nil
	}
	m := make([]byte, raLen)
	m[0] = icmp6RouterAdvertisement
	m[4] = a.HopLimit
	m[5] = a.Preference & 3 << 3
	if a.Managed {
		m[5] |= 0x80
	}
	if a.Other {
		m[5] |= 0x40
	}
	binary.BigEndian.PutUint16(m[6:], a.Lifetime)
	if a.MAC != 0 {
		m = append(m, optSource, optMACUnits, 0, 0, 0, 0, 0, 0)
		a.MAC.Put(m, len(m)-6)
	}
	if a.MTU != 0 {
		m = append(m, optMTU, 1, 0, 0)
		m = binary.BigEndian.AppendUint32(m, a.MTU)
	}
	for _, p := range a.Prefixes {
		flags := byte(0)
		if p.OnLink {
			flags |= optOnLink
		}
		if p.Autonomous {
			flags |= optAutonomous
		}
		m = append(m, optPrefix, optPrefixLen/8, byte(p.Prefix.Bits()), flags)
		m = binary.BigEndian.AppendUint32(m, p.Valid)
		m = binary.BigEndian.AppendUint32(m, p.Preferred)
		m = append(m, 0, 0, 0, 0)
		m = append(m, p.Prefix.Addr().AsSlice()...)
	}
	for _, r := range a.Routes {
		m = append(m, optRouteInfo, 3, byte(r.Prefix.Bits()), r.Preference&3<<3)
		m = binary.BigEndian.AppendUint32(m, r.Lifetime)
		m = append(m, r.Prefix.Addr().AsSlice()...)
	}
	b, at := newFrame(groupMAC(allNodes), a.MAC, 0, TypeIPv6, 40+len(m))
	putIPv6(b[at:], a.From, allNodes, ProtoICMPv6, 255, len(m))
	copy(b[at+40:], m)
	return finishND(b, b[at+40:])
}

// ParseRouterAdvert reads the IPv6 packet of a router advertisement. ok is false if it is none, or if RFC 4861 clause
// 6.1.2 has it dropped. Options of a length that their kind cannot have are skipped.
func ParseRouterAdvert(p []byte) (a RouterAdvert, ok bool) {
	const head = 40
	if len(p) < head || p[0]>>4 != 6 || p[6] != ProtoICMPv6 || p[7] != 255 {
		return a, false
	}
	from, length := netip.AddrFrom16([16]byte(p[8:24])), int(binary.BigEndian.Uint16(p[4:]))
	if !from.IsLinkLocalUnicast() || length < raLen || length > len(p)-head {
		return a, false
	}
	b := p[head : head+length]
	if b[0] != icmp6RouterAdvertisement || b[1] != 0 || Fold(Sum(PseudoSum(p, 0, ProtoICMPv6, length), b)) != 0xffff {
		return a, false
	}
	a = RouterAdvert{From: from, HopLimit: b[4], Preference: b[5] >> 3 & 3, Managed: b[5]&0x80 != 0,
		Other: b[5]&0x40 != 0, Lifetime: binary.BigEndian.Uint16(b[6:])}
	for o := b[raLen:]; len(o) > 0; {
		if len(o) < 8 || o[1] == 0 || int(o[1])*8 > len(o) {
			return RouterAdvert{}, false
		}
		var option []byte
		option, o = o[:int(o[1])*8], o[int(o[1])*8:]
		a.readOption(option)
	}
	return a, true
}

// readOption reads an option of a whole number of 8 octets.
func (a *RouterAdvert) readOption(o []byte) {
	switch {
	case o[0] == optSource && len(o) == optMACUnits*8:
		a.MAC = MACAt(o, 2)
	case o[0] == optMTU && len(o) == 8:
		a.MTU = binary.BigEndian.Uint32(o[4:])
	case o[0] == optPrefix && len(o) == optPrefixLen && o[2] <= 128:
		a.Prefixes = append(a.Prefixes, AdvertisedPrefix{
			Prefix: netip.PrefixFrom(netip.AddrFrom16([16]byte(o[16:32])), int(o[2])).Masked(),
			OnLink: o[3]&optOnLink != 0, Autonomous: o[3]&optAutonomous != 0,
			Valid: binary.BigEndian.Uint32(o[4:]), Preferred: binary.BigEndian.Uint32(o[8:])})
	case o[0] == optRouteInfo && len(o) <= optRouteInfoMax && o[2] <= 128 && int(o[2]) <= (len(o)-8)*8:
		var dst [16]byte
		copy(dst[:], o[8:])
		a.Routes = append(a.Routes, AdvertisedRoute{Prefix: netip.PrefixFrom(netip.AddrFrom16(dst), int(o[2])).Masked(),
			Preference: o[3] >> 3 & 3, Lifetime: binary.BigEndian.Uint32(o[4:])})
	}
}
