// SPDX-License-Identifier: MIT

package rtnl

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags.
const (
	rtDstLen = 1
	rtSrcLen = 2
	rtTOS    = 3
	rtTable  = 4
	rtProto  = 5
	rtScope  = 6
	rtType   = 7
	rtFlags  = 8
)

const (
	rtaExpires   = 23  // RTA_EXPIRES
	RTANexthopID = 30  // RTA_NH_ID
	rtaPref      = 20  // RTA_PREF
	rtaxHopLimit = 10  // RTAX_HOPLIMIT
	UserHZ       = 100 // USER_HZ: the unit of rta_cacheinfo
	nextHopLen   = 8   // struct rtnexthop
)

// Routes lists the routes of both families and all tables, without those that the kernel adds and removes itself with
// addresses, links and router advertisements.
func (c *Conn) Routes() ([]Object, error) {
	made, _, err := c.AllRoutes()
	return made, err
}

// AllRoutes is Routes, with AdvertisedRoutes of the same moment.
func (c *Conn) AllRoutes() (made, advertised []Object, err error) {
	list, err := c.routesOfFamily(unix.AF_INET)
	if err != nil {
		return nil, nil, err
	}
	six, err := c.routesOfFamily(unix.AF_INET6)
	if err != nil {
		return nil, nil, err
	}
	made, advertised, err = c.splitAdvertised(six)
	return append(list, made...), advertised, err
}

// LinkRoutesApart is LinkRoutes, with the routes that the kernel learned from advertisements apart.
func (c *Conn) LinkRoutesApart(index int) (made, advertised []Object, err error) {
	all, err := c.LinkRoutes(index)
	if err != nil {
		return nil, nil, err
	}
	return c.splitAdvertised(all)
}

// routesOfFamily lists the routes of all tables, without those that the kernel manages for addresses and links.
func (c *Conn) routesOfFamily(family byte) ([]Object, error) {
	all, err := c.Dump(unix.RTM_GETROUTE, family, HeaderLen)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(r Object) bool { return r.Family() != family || kernelManages(r) }), nil
}

func kernelManages(r Object) bool {
	if binary.NativeEndian.Uint32(r.Head[rtFlags:])&unix.RTM_F_CLONED != 0 {
		return true
	}
	if r.Head[rtProto] != unix.RTPROT_KERNEL {
		return false
	}
	if RouteTable(r) == unix.RT_TABLE_LOCAL {
		return true
	}
	dst, _ := netip.AddrFromSlice(r.Get(unix.RTA_DST))
	// NetworkManager adds a fe80::/64 with protocol kernel and another metric.
	return r.Family() == unix.AF_INET6 &&
		(dst.IsLinkLocalUnicast() && r.Get32(unix.RTA_PRIORITY) == ipv6AddressMetric || dst.IsMulticast())
}

// Destination returns the prefix of a route.
func Destination(r Object) netip.Prefix {
	a, ok := netip.AddrFromSlice(r.Get(unix.RTA_DST))
	switch {
	case ok:
	case r.Family() == unix.AF_INET:
		a = netip.IPv4Unspecified()
	default:
		a = netip.IPv6Unspecified()
	}
	return netip.PrefixFrom(a, int(r.Head[rtDstLen]))
}

func RouteTable(r Object) uint32 {
	if v := r.Get(unix.RTA_TABLE); v != nil {
		return r.Get32(unix.RTA_TABLE)
	}
	return uint32(r.Head[rtTable])
}

func RouteProtocol(r Object) byte { return r.Head[rtProto] }

func RouteType(r Object) byte { return r.Head[rtType] }

// RouteBits returns the destination's prefix length.
func RouteBits(r Object) int { return int(r.Head[rtDstLen]) }

// RoutesVia returns the routes that name the link.
func RoutesVia(all []Object, index int) []Object {
	var list []Object
	for _, r := range all {
		if slices.Contains(RouteLinks(r), index) {
			list = append(list, r)
		}
	}
	return list
}

// RouteLinks returns the ifindexes that a route names.
func RouteLinks(r Object) []int {
	var list []int
	if v := r.Get(unix.RTA_OIF); len(v) >= 4 {
		list = append(list, int(binary.NativeEndian.Uint32(v)))
	}
	for _, n := range NextHops(r.Get(unix.RTA_MULTIPATH)) {
		list = append(list, NextHopLink(n))
	}
	return list
}

// NextHops splits RTA_MULTIPATH into struct rtnexthops with their attributes.
func NextHops(b []byte) [][]byte {
	var list [][]byte
	for len(b) >= nextHopLen {
		n := int(binary.NativeEndian.Uint16(b))
		if n < nextHopLen || n > len(b) {
			break
		}
		list = append(list, b[:n])
		b = b[min(Align(n), len(b)):]
	}
	return list
}

func NextHopLink(n []byte) int { return int(int32(binary.NativeEndian.Uint32(n[4:]))) }

// Gateways returns the gateways that a route reaches over the link. One of IPv4 may be an IPv6 address.
func Gateways(r Object, index int) []netip.Addr {
	var list []netip.Addr
	add := func(hop Object) {
		b := hop.Get(unix.RTA_GATEWAY)
		if via := hop.Get(unix.RTA_VIA); len(via) >= 2 { // struct rtvia: family, then an address
			b = via[2:]
		}
		if a, ok := netip.AddrFromSlice(b); ok {
			list = append(list, a)
		}
	}
	if v := r.Get(unix.RTA_OIF); len(v) >= 4 && int(binary.NativeEndian.Uint32(v)) == index {
		add(r)
	}
	for _, n := range NextHops(r.Get(unix.RTA_MULTIPATH)) {
		if NextHopLink(n) != index {
			continue
		}
		if attrs, err := parseAttributes(n[nextHopLen:]); err == nil {
			add(Object{Attrs: attrs})
		}
	}
	return list
}

// RouteKey is what the kernel tells routes apart by, except next hops.
type RouteKey struct {
	family, dstLen, srcLen, tos byte
	table, metric               uint32
	dst, src                    string
}

func RouteKeyOf(r Object) RouteKey {
	return RouteKey{
		r.Family(), r.Head[rtDstLen], r.Head[rtSrcLen], r.Head[rtTOS],
		RouteTable(r), r.Get32(unix.RTA_PRIORITY), string(r.Get(unix.RTA_DST)), string(r.Get(unix.RTA_SRC)),
	}
}

// SameRoute reports whether a and b are one route. Two routes may differ in the source address alone, such as the
// connected routes of two addresses in one subnet.
func SameRoute(a, b Object) bool {
	for _, kind := range []uint16{unix.RTA_OIF, unix.RTA_GATEWAY, unix.RTA_PREFSRC, unix.RTA_METRICS} {
		if !bytes.Equal(a.Get(kind), b.Get(kind)) {
			return false
		}
	}
	return RouteKeyOf(a) == RouteKeyOf(b) && a.Head[rtType] == b.Head[rtType] && a.Head[rtProto] == b.Head[rtProto] &&
		slices.EqualFunc(NextHops(a.Get(unix.RTA_MULTIPATH)), NextHops(b.Get(unix.RTA_MULTIPATH)), sameHop)
}

// sameHop compares next hops without their flags, which are state.
func sameHop(a, b []byte) bool {
	return len(a) == len(b) && a[3] == b[3] && bytes.Equal(a[4:], b[4:])
}

func HasRoute(list []Object, r Object) bool {
	return slices.ContainsFunc(list, func(o Object) bool { return SameRoute(o, r) })
}

func RouteText(r Object) string {
	dst, ok := netip.AddrFromSlice(r.Get(unix.RTA_DST))
	switch {
	case !ok:
		return "default route"
	default:
		return "route to " + netip.PrefixFrom(dst, int(r.Head[rtDstLen])).String()
	}
}

// Of IPv4 routes with one key the kernel uses the first that works, so their order must be restored, too.

// RoutesOfSameKey returns the IPv4 routes of all links that share a key with one of mine, in the kernel's order, for
// keys of more than one route.
func RoutesOfSameKey(all, mine []Object) []Object {
	index, own := IndexRoutes(all), IndexRoutes(mine)
	var out []Object
	for _, r := range all {
		if r.Family() == unix.AF_INET && len(index.SameKey(r)) > 1 && len(own.SameKey(r)) > 0 {
			out = append(out, r)
		}
	}
	return out
}

// WithoutSource returns a route without its preferred source address.
func WithoutSource(r Object) Object {
	r = r.Clone()
	r.Drop(unix.RTA_PREFSRC)
	return r
}

// HasSource reports whether the host has the route's preferred source address.
func HasSource(addresses []Object, r Object) bool {
	source := r.Get(unix.RTA_PREFSRC)
	return source == nil || slices.ContainsFunc(addresses, func(a Object) bool {
		return slices.Equal(AddressPrefix(a).Addr().AsSlice(), source)
	})
}

func RouteID(r Object) string {
	k := RouteKeyOf(r)
	b := []byte{k.family, k.dstLen, k.srcLen, k.tos, r.Head[rtType], r.Head[rtProto]}
	b = binary.NativeEndian.AppendUint32(b, k.table)
	b = binary.NativeEndian.AppendUint32(b, k.metric)
	b = append(append(b, k.dst...), k.src...)
	for _, kind := range []uint16{unix.RTA_OIF, unix.RTA_GATEWAY, unix.RTA_PREFSRC, unix.RTA_METRICS} {
		v := r.Get(kind)
		b = append(append(b, byte(len(v))), v...)
	}
	for _, n := range NextHops(r.Get(unix.RTA_MULTIPATH)) {
		n = slices.Clone(n)
		n[2] = 0 // the flags are state
		b = append(b, n...)
	}
	return string(b)
}

// LinkRoutes lists the routes that name a link. The kernel filters the dump, because a host may have very many routes;
// kernels before 4.20 return all.
func (c *Conn) LinkRoutes(index int) ([]Object, error) {
	var list []Object
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		ask := Object{Head: make([]byte, HeaderLen)}
		ask.Head[0] = family
		ask.Set(unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, uint32(index)))
		all, err := c.dumpLike(c.strict, unix.RTM_GETROUTE, ask, HeaderLen)
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			if r.Family() == family && !kernelManages(r) && slices.Contains(RouteLinks(r), index) {
				list = append(list, r)
			}
		}
	}
	return list, nil
}

// IsStatic reports whether a route was set by hand or by a DHCP client. The kernel, router advertisements, routing
// daemons and keepalived maintain theirs themselves. For network managers see StaticRoutes.
func IsStatic(r Object) bool {
	switch r.Head[rtProto] {
	case unix.RTPROT_UNSPEC, unix.RTPROT_BOOT, unix.RTPROT_STATIC, unix.RTPROT_DHCP:
		return !kernelManages(r)
	}
	return false
}

// StaticRoutes returns those of a link's routes that somebody set. Network managers add connected routes and those of
// router advertisements themselves, with the protocols kernel and ra.
func (c *Conn) StaticRoutes(routes, addresses []Object) ([]Object, error) {
	named, _, err := c.splitAdvertised(slices.DeleteFunc(slices.Clone(routes),
		func(r Object) bool { return r.Head[rtProto] != unix.RTPROT_RA }))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(routes, func(r Object) bool {
		switch r.Head[rtProto] {
		case unix.RTPROT_KERNEL:
			return r.Head[rtType] != unix.RTN_UNICAST ||
				slices.ContainsFunc(addresses, func(a Object) bool { return IsConnectedRoute(r, a) })
		case unix.RTPROT_RA:
			return !HasRoute(named, r)
		}
		return !IsStatic(r)
	}), nil
}
