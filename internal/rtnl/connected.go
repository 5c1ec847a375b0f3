// SPDX-License-Identifier: MIT

package rtnl

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// The kernel makes the connected route of an address, the route to its subnet, when the address is added and each time
// the link comes up, unless the address has IFA_F_NOPREFIXROUTE. So an address keeps that flag, and gets it if its NIC
// has no such route for another reason.

// ipv6AddressMetric is IP6_RT_PRIO_ADDRCONF, the metric of IPv6's connected routes.
const ipv6AddressMetric = 256

// SubnetOf returns the destination of an address's connected route: the peer's subnet if it has a peer.
func SubnetOf(a Object) netip.Prefix {
	b := a.Get(unix.IFA_ADDRESS)
	if b == nil {
		b = a.Get(unix.IFA_LOCAL)
	}
	ip, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(ip, int(a.Head[1])).Masked()
}

// HasConnectedRoute reports whether the kernel makes a connected route for the address.
func HasConnectedRoute(a Object) bool {
	flags := AddressFlags(a)
	if flags&unix.IFA_F_NOPREFIXROUTE != 0 {
		return false
	}
	if a.Family() == unix.AF_INET6 {
		return true
	}
	subnet := SubnetOf(a)
	return flags&unix.IFA_F_SECONDARY == 0 && (subnet.Bits() < 32 || subnet.Addr() != AddressPrefix(a).Addr())
}

// IsConnectedRoute reports whether r is the connected route of an address of its link.
func IsConnectedRoute(r, a Object) bool {
	if r.Family() != a.Family() || r.Head[rtProto] != unix.RTPROT_KERNEL || r.Get(unix.RTA_GATEWAY) != nil ||
		Destination(r) != SubnetOf(a) {
		return false
	}
	links := RouteLinks(r)
	metric := a.Get32(IFAMetric)
	if a.Family() == unix.AF_INET6 {
		if metric == 0 {
			metric = ipv6AddressMetric
		}
	} else if source, _ := netip.AddrFromSlice(r.Get(unix.RTA_PREFSRC)); source != AddressPrefix(a).Addr() {
		return false
	}
	return len(links) == 1 && links[0] == a.Index() && r.Get32(unix.RTA_PRIORITY) == metric
}

// ConnectedRoute returns the route that the kernel makes for an address of a link.
func ConnectedRoute(a Object, index int) Object {
	r := Object{Head: make([]byte, HeaderLen)}
	subnet, metric := SubnetOf(a), a.Get32(IFAMetric)
	r.Head[0], r.Head[rtDstLen] = a.Family(), byte(subnet.Bits())
	r.Head[rtTable], r.Head[rtProto], r.Head[rtType] = unix.RT_TABLE_MAIN, unix.RTPROT_KERNEL, unix.RTN_UNICAST
	r.Set(unix.RTA_DST, subnet.Addr().AsSlice())
	if a.Family() == unix.AF_INET {
		r.Head[rtScope] = unix.RT_SCOPE_LINK
		r.Set(unix.RTA_PREFSRC, AddressPrefix(a).Addr().AsSlice())
	} else if metric == 0 {
		metric = ipv6AddressMetric
	}
	if metric != 0 {
		r.Set32(unix.RTA_PRIORITY, metric)
	}
	r.Set32(unix.RTA_OIF, uint32(index))
	return r
}
