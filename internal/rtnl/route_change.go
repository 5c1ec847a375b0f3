// SPDX-License-Identifier: MIT

package rtnl

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// RouteRequest returns the message that adds or removes a route. by maps ifindexes to new ones.
func RouteRequest(r Object, by map[int]int) Object {
	r = r.Clone()
	// The kernel refuses flags that are state; RTNH_F_ONLINK is the only one it takes.
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
		// The kernel shows what a nexthop object has, and refuses a request that repeats it.
		r.Drop(unix.RTA_OIF, unix.RTA_GATEWAY, unix.RTA_VIA, unix.RTA_MULTIPATH)
	}
	return r
}

// rehop replaces the links of next hops. Two members of a multipath route become the same hop, which IPv6 refuses.
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

// MoveRoute replaces old by next without a gap. all are the routes as they were when the move began; next may be among
// them if the kernel made it with an address.
func (c *Conn) MoveRoute(all RouteIndex, old, next Object) error {
	alone, last := true, true
	rivals := all.SameKey(old)
	for i, r := range rivals {
		if SameRoute(r, old) || SameRoute(r, next) {
			continue
		}
		alone = false
		last = last && !HasRoute(rivals[:i], old)
	}
	if all.Has(next) {
		// The kernel has appended it.
		if alone || last || old.Family() == unix.AF_INET6 {
			return c.DeleteRoute(RouteRequest(old, nil))
		}
		if err := c.DeleteRoute(next); err != nil {
			return err
		}
	} else if alone {
		// No other route has this key: replaced in place.
		return c.Change("move "+RouteText(old), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, next)
	}
	// The kernel tries routes of one key in order. The new one is appended or prepended, as the old one stood.
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

// NewDefaultRoute makes a default route over a gateway.
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

// NewRouterRoute makes a default route by an advertising router, for so many seconds. Its metric is that of the
// kernel's own.
func NewRouterRoute(router netip.Addr, index int, seconds uint32) Object {
	r := NewDefaultRoute(router, index)
	r.Head[rtProto] = unix.RTPROT_RA
	r.Set32(unix.RTA_PRIORITY, ipv6RouterMetric)
	return WithRouteLifetime(r, seconds)
}

// ipv6RouterMetric is IP6_RT_PRIO_USER, the metric of default routes that the kernel learned.
const ipv6RouterMetric = 1024

// WithRouteLifetime returns the message that adds an IPv6 route that ends after so many seconds.
func WithRouteLifetime(r Object, seconds uint32) Object {
	r = RouteRequest(r, nil)
	r.Set32(rtaExpires, seconds)
	return r
}

// SortByDependence puts a route that makes a gateway reachable before the routes over that gateway.
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
