package host

import (
	"bytes"
	"cmp"
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
	rtaExpires = 23  // RTA_EXPIRES
	rtaNexthop = 30  // RTA_NH_ID
	userHZ     = 100 // the clock in which rta_cacheinfo counts
	nextHopLen = 8   // struct rtnexthop
)

// allRoutes lists the routes of both families and all tables but for those that the kernel keeps by
// itself as addresses, links and router advertisements come and go.
func (h *Host) allRoutes() ([]object, error) {
	list, err := h.routesOfFamily(unix.AF_INET)
	if err != nil {
		return nil, err
	}
	six, err := h.routesOfFamily(unix.AF_INET6)
	if err != nil {
		return nil, err
	}
	made, _, err := h.splitAdvertised(six)
	return append(list, made...), err
}

// routesOfFamily lists the routes of all tables that the kernel does not keep by itself for addresses and links.
func (h *Host) routesOfFamily(family byte) ([]object, error) {
	all, err := h.rt.dump(unix.RTM_GETROUTE, family, otherHead)
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

// routed is a route as it can be sent to the kernel, with links replaced: by[old ifindex] is the new one.
func routed(r object, by map[int]int) object {
	r = r.clone()
	// The kernel refuses the flags that say how a route fares; of the others it takes RTNH_F_ONLINK.
	flags := binary.NativeEndian.Uint32(r.head[rtFlags:]) & unix.RTNH_F_ONLINK
	binary.NativeEndian.PutUint32(r.head[rtFlags:], flags)
	if v := r.get(unix.RTA_OIF); len(v) >= 4 {
		if to, ok := by[int(binary.NativeEndian.Uint32(v))]; ok {
			r.set32(unix.RTA_OIF, uint32(to))
		}
	}
	if v := r.get(unix.RTA_MULTIPATH); v != nil {
		r.set(unix.RTA_MULTIPATH, rehop(r.family(), v, by))
	}
	if v := r.get(unix.RTA_CACHEINFO); len(v) >= 12 && r.family() == unix.AF_INET6 {
		// struct rta_cacheinfo: clntref, lastuse, expires, …
		if expires := int32(binary.NativeEndian.Uint32(v[8:])); expires > 0 {
			r.set32(rtaExpires, uint32(max(expires/userHZ, 1)))
		}
	}
	r.drop(unix.RTA_CACHEINFO)
	if r.get(rtaNexthop) != nil {
		// A route by nexthop object shows what the object has, and may not repeat it.
		r.drop(unix.RTA_OIF, unix.RTA_GATEWAY, unix.RTA_VIA, unix.RTA_MULTIPATH)
	}
	return r
}

// rehop replaces the links of next hops. Two members of one multipath route become the same hop
// twice, which IPv6 refuses.
func rehop(family byte, b []byte, by map[int]int) []byte {
	var out []byte
	var seen [][]byte
	for _, n := range nextHops(b) {
		n = slices.Clone(n)
		n[2] &= unix.RTNH_F_ONLINK
		if to, ok := by[nextHopLink(n)]; ok {
			binary.NativeEndian.PutUint32(n[4:], uint32(to))
		}
		same := func(o []byte) bool { return bytes.Equal(o[4:], n[4:]) }
		if family == unix.AF_INET6 && slices.ContainsFunc(seen, same) {
			continue
		}
		seen = append(seen, n)
		out = append(out, n...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	return out
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

// byDependence sorts routes so that one that makes a gateway reachable comes before those by the gateway.
func byDependence(list []object) {
	rank := func(r object) int {
		switch {
		case r.get(unix.RTA_GATEWAY) == nil && r.get(unix.RTA_MULTIPATH) == nil && r.get(unix.RTA_VIA) == nil:
			return 0
		case r.head[rtDstLen] != 0:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(list, func(a, b object) int { return cmp.Compare(rank(a), rank(b)) })
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

// moveRoute puts a route in force as next, unless the kernel has made that with an address, and takes old away, so that
// there is one at every moment. all are the routes as they were when the move began.
func (h *Host) moveRoute(all []object, old, next object) error {
	alone, last := true, true
	for i, r := range all {
		if keyOf(r) != keyOf(old) || sameRoute(r, old) || sameRoute(r, next) {
			continue
		}
		alone = false
		last = last && !hasRoute(all[:i], old)
	}
	if hasRoute(all, next) {
		// The kernel has put it at the end.
		if alone || last || old.family() == unix.AF_INET6 {
			return h.deleteRoute(routed(old, nil))
		}
		if err := h.deleteRoute(next); err != nil {
			return err
		}
	} else if alone {
		// In one step: nothing else has this key, so it is replaced in place.
		return h.change("move "+routeText(old), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, next)
	}
	// Routes of one key are asked in their order. The new one goes to the end, or to the front, as the old one was.
	flags := unix.NLM_F_CREATE
	if last {
		flags |= unix.NLM_F_APPEND
	}
	if err := h.change("add "+routeText(next), unix.RTM_NEWROUTE, flags, next); err != nil {
		return err
	}
	return h.deleteRoute(routed(old, nil))
}

func (h *Host) addRoute(r object) error {
	return h.change("add "+routeText(r), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, r)
}

func (h *Host) deleteRoute(r object) error {
	return h.change("remove "+routeText(r), unix.RTM_DELROUTE, 0, r)
}

// newRoute makes a default route by a gateway.
func newRoute(gateway netip.Addr, index int) object {
	r := object{head: make([]byte, otherHead)}
	r.head[0] = unix.AF_INET
	if gateway.Is6() {
		r.head[0] = unix.AF_INET6
	}
	r.head[rtTable], r.head[rtProto], r.head[rtType] = unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RTN_UNICAST
	r.set(unix.RTA_GATEWAY, gateway.AsSlice())
	r.set32(unix.RTA_OIF, uint32(index))
	return r
}
