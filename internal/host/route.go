package host

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
	rtaNexthop   = 30  // RTA_NH_ID
	rtaPref      = 20  // RTA_PREF
	rtaxHopLimit = 10  // RTAX_HOPLIMIT
	userHZ       = 100 // the clock in which rta_cacheinfo counts
	nextHopLen   = 8   // struct rtnexthop
)

// allRoutes lists the routes of both families and all tables but for those that the kernel keeps by
// itself as addresses, links and router advertisements come and go.
func (c *conn) allRoutes() ([]object, error) {
	list, err := c.routesOfFamily(unix.AF_INET)
	if err != nil {
		return nil, err
	}
	six, err := c.routesOfFamily(unix.AF_INET6)
	if err != nil {
		return nil, err
	}
	made, _, err := c.splitAdvertised(six)
	return append(list, made...), err
}

// routesOfFamily lists the routes of all tables that the kernel does not keep by itself for addresses and links.
func (c *conn) routesOfFamily(family byte) ([]object, error) {
	all, err := c.dump(unix.RTM_GETROUTE, family, otherHead)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(r object) bool { return r.family() != family || kernelKeeps(r) }), nil
}

func kernelKeeps(r object) bool {
	if binary.NativeEndian.Uint32(r.head[rtFlags:])&unix.RTM_F_CLONED != 0 {
		return true
	}
	if r.head[rtProto] != unix.RTPROT_KERNEL {
		return false
	}
	if table(r) == unix.RT_TABLE_LOCAL {
		return true
	}
	dst, _ := netip.AddrFromSlice(r.get(unix.RTA_DST))
	// NetworkManager has a fe80::/64 of its own, which says "kernel" too, with another metric.
	return r.family() == unix.AF_INET6 && (dst.IsLinkLocalUnicast() && r.get32(unix.RTA_PRIORITY) == ipv6AddressMetric || dst.IsMulticast())
}

// destination is the prefix that a route leads to.
func destination(r object) netip.Prefix {
	a, ok := netip.AddrFromSlice(r.get(unix.RTA_DST))
	switch {
	case ok:
	case r.family() == unix.AF_INET:
		a = netip.IPv4Unspecified()
	default:
		a = netip.IPv6Unspecified()
	}
	return netip.PrefixFrom(a, int(r.head[rtDstLen]))
}

func table(r object) uint32 {
	if v := r.get(unix.RTA_TABLE); v != nil {
		return r.get32(unix.RTA_TABLE)
	}
	return uint32(r.head[rtTable])
}

func routeProtocol(r object) byte { return r.head[rtProto] }

func routeType(r object) byte { return r.head[rtType] }

// routeBits is the prefix length of the destination.
func routeBits(r object) int { return int(r.head[rtDstLen]) }

// routes lists those that name the link.
func routesOf(all []object, index int) []object {
	var list []object
	for _, r := range all {
		if slices.Contains(routeLinks(r), index) {
			list = append(list, r)
		}
	}
	return list
}

// routeLinks are the ifindexes that a route names.
func routeLinks(r object) []int {
	var list []int
	if v := r.get(unix.RTA_OIF); len(v) >= 4 {
		list = append(list, int(binary.NativeEndian.Uint32(v)))
	}
	for _, n := range nextHops(r.get(unix.RTA_MULTIPATH)) {
		list = append(list, nextHopLink(n))
	}
	return list
}

// nextHops splits an RTA_MULTIPATH into its struct rtnexthops with their attributes.
func nextHops(b []byte) [][]byte {
	var list [][]byte
	for len(b) >= nextHopLen {
		n := int(binary.NativeEndian.Uint16(b))
		if n < nextHopLen || n > len(b) {
			break
		}
		list = append(list, b[:n])
		b = b[min(align(n), len(b)):]
	}
	return list
}

func nextHopLink(n []byte) int { return int(int32(binary.NativeEndian.Uint32(n[4:]))) }

// gateways are the next hops' addresses that are reached by the link.
func gateways(r object, index int) []netip.Addr {
	var list []netip.Addr
	add := func(b []byte) {
		if a, ok := netip.AddrFromSlice(b); ok {
			list = append(list, a)
		}
	}
	if v := r.get(unix.RTA_OIF); len(v) >= 4 && int(binary.NativeEndian.Uint32(v)) == index {
		add(r.get(unix.RTA_GATEWAY))
	}
	for _, n := range nextHops(r.get(unix.RTA_MULTIPATH)) {
		if nextHopLink(n) != index {
			continue
		}
		if attrs, err := parseAttributes(n[nextHopLen:]); err == nil {
			add(object{attrs: attrs}.get(unix.RTA_GATEWAY))
		}
	}
	return list
}

// routeKey is what the kernel tells routes apart by, but for their next hops.
type routeKey struct {
	family, dstLen, srcLen, tos byte
	table, metric               uint32
	dst, src                    string
}

func keyOf(r object) routeKey {
	return routeKey{
		r.family(), r.head[rtDstLen], r.head[rtSrcLen], r.head[rtTOS],
		table(r), r.get32(unix.RTA_PRIORITY), string(r.get(unix.RTA_DST)), string(r.get(unix.RTA_SRC)),
	}
}

// sameRoute reports whether a and b are one route: two may differ in nothing but their source address, such as the prefix
// routes of two addresses in one subnet.
func sameRoute(a, b object) bool {
	for _, kind := range []uint16{unix.RTA_OIF, unix.RTA_GATEWAY, unix.RTA_PREFSRC, unix.RTA_METRICS} {
		if !bytes.Equal(a.get(kind), b.get(kind)) {
			return false
		}
	}
	return keyOf(a) == keyOf(b) && a.head[rtType] == b.head[rtType] && a.head[rtProto] == b.head[rtProto] &&
		slices.EqualFunc(nextHops(a.get(unix.RTA_MULTIPATH)), nextHops(b.get(unix.RTA_MULTIPATH)), sameHop)
}

// sameHop compares next hops but for their flags, which say how they fare.
func sameHop(a, b []byte) bool {
	return len(a) == len(b) && a[3] == b[3] && bytes.Equal(a[4:], b[4:])
}

func hasRoute(list []object, r object) bool {
	return slices.ContainsFunc(list, func(o object) bool { return sameRoute(o, r) })
}

func routeText(r object) string {
	dst, ok := netip.AddrFromSlice(r.get(unix.RTA_DST))
	switch {
	case !ok:
		return "default route"
	default:
		return "route to " + netip.PrefixFrom(dst, int(r.head[rtDstLen])).String()
	}
}

// Among IPv4 routes of one destination, metric and table the kernel takes the first that works, so their
// order is part of what must be as before.

// rivals are the IPv4 routes of all links that share their key with one of mine, in the kernel's order, where there is
// more than one.
func rivals(all, mine []object) []object {
	count := map[routeKey]int{}
	for _, r := range all {
		count[keyOf(r)]++
	}
	var out []object
	for _, r := range all {
		shares := func(m object) bool { return keyOf(m) == keyOf(r) }
		if r.family() == unix.AF_INET && count[keyOf(r)] > 1 && slices.ContainsFunc(mine, shares) {
			out = append(out, r)
		}
	}
	return out
}

func group(list []object, key routeKey) []object {
	var out []object
	for _, r := range list {
		if keyOf(r) == key {
			out = append(out, routed(r, nil))
		}
	}
	return out
}

// sourceless is a route without the address that it gives packets.
func sourceless(r object) object {
	r = r.clone()
	r.drop(unix.RTA_PREFSRC)
	return r
}

// hasSource reports whether the host has the address that a route gives packets.
func hasSource(addresses []object, r object) bool {
	source := r.get(unix.RTA_PREFSRC)
	return source == nil || slices.ContainsFunc(addresses, func(a object) bool {
		return slices.Equal(addressPrefix(a).Addr().AsSlice(), source)
	})
}

func routeID(r object) string {
	k := keyOf(r)
	b := []byte{k.family, k.dstLen, k.srcLen, k.tos, r.head[rtType], r.head[rtProto]}
	b = binary.NativeEndian.AppendUint32(b, k.table)
	b = binary.NativeEndian.AppendUint32(b, k.metric)
	b = append(append(b, k.dst...), k.src...)
	for _, kind := range []uint16{unix.RTA_OIF, unix.RTA_GATEWAY, unix.RTA_PREFSRC, unix.RTA_METRICS} {
		v := r.get(kind)
		b = append(append(b, byte(len(v))), v...)
	}
	for _, n := range nextHops(r.get(unix.RTA_MULTIPATH)) {
		n = slices.Clone(n)
		n[2] = 0 // the flags say how the hop fares
		b = append(b, n...)
	}
	return string(b)
}

// routesBy lists the routes that name a link. The kernel looks through its tables itself, so that a host with very
// many routes is not asked for all of them; kernels before 4.20 give all.
func (c *conn) routesBy(index int) ([]object, error) {
	var list []object
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		ask := object{head: make([]byte, otherHead)}
		ask.head[0] = family
		ask.set(unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, uint32(index)))
		all, err := dumpLike(c.strict, unix.RTM_GETROUTE, ask, otherHead)
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			if r.family() == family && !kernelKeeps(r) && slices.Contains(routeLinks(r), index) {
				list = append(list, r)
			}
		}
	}
	return list, nil
}

// handSet reports whether a route is one that somebody set by hand or a DHCP client did: none of the kernel's, of routers'
// advertisements, of routing daemons or of keepalived, who keep theirs themselves. See set for network managers'.
func handSet(r object) bool {
	switch r.head[rtProto] {
	case unix.RTPROT_UNSPEC, unix.RTPROT_BOOT, unix.RTPROT_STATIC, unix.RTPROT_DHCP:
		return !kernelKeeps(r)
	}
	return false
}

// set are those of a link's routes that somebody set: by hand, or as network managers do, who give an address no connected
// route and mind advertisements themselves, and call their routes for that the kernel's and an advertisement's.
func (c *conn) set(routes, addresses []object) ([]object, error) {
	named, _, err := c.splitAdvertised(slices.DeleteFunc(slices.Clone(routes), func(r object) bool { return r.head[rtProto] != unix.RTPROT_RA }))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(routes, func(r object) bool {
		switch r.head[rtProto] {
		case unix.RTPROT_KERNEL:
			return r.head[rtType] != unix.RTN_UNICAST || slices.ContainsFunc(addresses, func(a object) bool { return connectedBy(r, a) })
		case unix.RTPROT_RA:
			return !hasRoute(named, r)
		}
		return !handSet(r)
	}), nil
}
