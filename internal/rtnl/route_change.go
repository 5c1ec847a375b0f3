package rtnl

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// RouteRequest is a route as it can be sent to the kernel, with links replaced: by[old ifindex] is the new one.
func RouteRequest(r Object, by map[int]int) Object {
	r = r.Clone()
	// The kernel refuses the flags that say how a route fares; of the others it takes RTNH_F_ONLINK.
	flags := binary.NativeEndian.Uint32(r.Head[rtFlags:]) & unix.RTNH_F_ONLINK
	binary.NativeEndian.PutUint32(r.Head[rtFlags:], flags)
	if v := r.Get(unix.RTA_OIF); len(v) >= 4 {
		if to, ok := by[int(binary.NativeEndian.Uint32(v))]; ok {
			r.Set32(unix.RTA_OIF, uint32(to))
		}
	}
	if v := r.Get(unix.RTA_MULTIPATH); v != nil {
		r.Set(unix.RTA_MULTIPATH, rehop(r.Family(), v, by))
	}
	if v := r.Get(unix.RTA_CACHEINFO); len(v) >= 12 && r.Family() == unix.AF_INET6 {
		// struct rta_cacheinfo: clntref, lastuse, expires, …
		if expires := int32(binary.NativeEndian.Uint32(v[8:])); expires > 0 {
			r.Set32(rtaExpires, uint32(max(expires/UserHZ, 1)))
		}
	}
	r.Drop(unix.RTA_CACHEINFO)
	if r.Get(RTANexthopID) != nil {
		// A route by nexthop object shows what the object has, and may not repeat it.
		r.Drop(unix.RTA_OIF, unix.RTA_GATEWAY, unix.RTA_VIA, unix.RTA_MULTIPATH)
	}
	return r
}

// rehop replaces the links of next hops. Two members of one multipath route become the same hop
// twice, which IPv6 refuses.
func rehop(family byte, b []byte, by map[int]int) []byte {
	var out []byte
	var seen [][]byte
	for _, n := range NextHops(b) {
		n = slices.Clone(n)
		n[2] &= unix.RTNH_F_ONLINK
		if to, ok := by[NextHopLink(n)]; ok {
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

// MoveRoute puts a route in force as next, unless the kernel has made that with an address, and takes old away, so that
// there is one at every moment. all are the routes as they were when the move began.
func (c *Conn) MoveRoute(all []Object, old, next Object) error {
	alone, last := true, true
	for i, r := range all {
		if RouteKeyOf(r) != RouteKeyOf(old) || SameRoute(r, old) || SameRoute(r, next) {
			continue
		}
		alone = false
		last = last && !HasRoute(all[:i], old)
	}
	if HasRoute(all, next) {
		// The kernel has put it at the end.
		if alone || last || old.Family() == unix.AF_INET6 {
			return c.DeleteRoute(RouteRequest(old, nil))
		}
		if err := c.DeleteRoute(next); err != nil {
			return err
		}
	} else if alone {
		// In one step: nothing else has this key, so it is replaced in place.
		return c.Change("move "+RouteText(old), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, next)
	}
	// Routes of one key are asked in their order. The new one goes to the end, or to the front, as the old one was.
	flags := unix.NLM_F_CREATE
	if last {
		flags |= unix.NLM_F_APPEND
	}
	if err := c.Change("add "+RouteText(next), unix.RTM_NEWROUTE, flags, next); err != nil {
		return err
	}
	return c.DeleteRoute(RouteRequest(old, nil))
}

func (c *Conn) AddRoute(r Object) error {
	return c.Change("add "+RouteText(r), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, r)
}

func (c *Conn) DeleteRoute(r Object) error {
	return c.Change("remove "+RouteText(r), unix.RTM_DELROUTE, 0, r)
}

// NewDefaultRoute makes a default route by a gateway.
func NewDefaultRoute(gateway netip.Addr, index int) Object {
	r := Object{Head: make([]byte, HeaderLen)}
	r.Head[0] = unix.AF_INET
	if gateway.Is6() {
		r.Head[0] = unix.AF_INET6
	}
	r.Head[rtTable], r.Head[rtProto], r.Head[rtType] = unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RTN_UNICAST
	r.Set(unix.RTA_GATEWAY, gateway.AsSlice())
	r.Set32(unix.RTA_OIF, uint32(index))
	return r
}

// SortByDependence sorts routes so that one that makes a gateway reachable comes before those by the gateway.
func SortByDependence(list []Object) {
	rank := func(r Object) int {
		switch {
		case r.Get(unix.RTA_GATEWAY) == nil && r.Get(unix.RTA_MULTIPATH) == nil && r.Get(unix.RTA_VIA) == nil:
			return 0
		case r.Head[rtDstLen] != 0:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(list, func(a, b Object) int { return cmp.Compare(rank(a), rank(b)) })
}
