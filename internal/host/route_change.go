package host

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

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

// moveRoute puts a route in force as next, unless the kernel has made that with an address, and takes old away, so that
// there is one at every moment. all are the routes as they were when the move began.
func (c *conn) moveRoute(all []object, old, next object) error {
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
			return c.deleteRoute(routed(old, nil))
		}
		if err := c.deleteRoute(next); err != nil {
			return err
		}
	} else if alone {
		// In one step: nothing else has this key, so it is replaced in place.
		return c.change("move "+routeText(old), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, next)
	}
	// Routes of one key are asked in their order. The new one goes to the end, or to the front, as the old one was.
	flags := unix.NLM_F_CREATE
	if last {
		flags |= unix.NLM_F_APPEND
	}
	if err := c.change("add "+routeText(next), unix.RTM_NEWROUTE, flags, next); err != nil {
		return err
	}
	return c.deleteRoute(routed(old, nil))
}

func (c *conn) addRoute(r object) error {
	return c.change("add "+routeText(r), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, r)
}

func (c *conn) deleteRoute(r object) error {
	return c.change("remove "+routeText(r), unix.RTM_DELROUTE, 0, r)
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
