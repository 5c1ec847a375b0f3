package host

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// The kernel makes the connected route of an address, the route to its subnet, when the address comes and each time the link
// comes up, unless the address has IFA_F_NOPREFIXROUTE. So an address keeps that flag as it had it, and gets it where its NIC
// has no such route for another reason.

// ipv6AddressMetric is IP6_RT_PRIO_ADDRCONF, the metric of IPv6's connected routes.
const ipv6AddressMetric = 256

// subnetOf is where an address's connected route leads: the peer's where it has one.
func subnetOf(a object) netip.Prefix {
	b := a.get(unix.IFA_ADDRESS)
	if b == nil {
		b = a.get(unix.IFA_LOCAL)
	}
	ip, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(ip, int(a.head[1])).Masked()
}

// connects reports whether an address has the kernel make a connected route.
func connects(a object) bool {
	flags := addressFlags(a)
	if flags&unix.IFA_F_NOPREFIXROUTE != 0 {
		return false
	}
	if a.family() == unix.AF_INET6 {
		return true
	}
	subnet := subnetOf(a)
	return flags&unix.IFA_F_SECONDARY == 0 && (subnet.Bits() < 32 || subnet.Addr() != addressPrefix(a).Addr())
}

// connectedBy reports whether a route is the connected route of an address of its link.
func connectedBy(r, a object) bool {
	if r.family() != a.family() || r.head[rtProto] != unix.RTPROT_KERNEL || r.get(unix.RTA_GATEWAY) != nil || destination(r) != subnetOf(a) {
		return false
	}
	links := routeLinks(r)
	metric := a.get32(ifaMetric)
	if a.family() == unix.AF_INET6 {
		if metric == 0 {
			metric = ipv6AddressMetric
		}
	} else if source, _ := netip.AddrFromSlice(r.get(unix.RTA_PREFSRC)); source != addressPrefix(a).Addr() {
		return false
	}
	return len(links) == 1 && links[0] == a.index() && r.get32(unix.RTA_PRIORITY) == metric
}

// connectedRoute is the route that the kernel makes of an address of a link.
func connectedRoute(a object, index int) object {
	r := object{head: make([]byte, otherHead)}
	subnet, metric := subnetOf(a), a.get32(ifaMetric)
	r.head[0], r.head[rtDstLen] = a.family(), byte(subnet.Bits())
	r.head[rtTable], r.head[rtProto], r.head[rtType] = unix.RT_TABLE_MAIN, unix.RTPROT_KERNEL, unix.RTN_UNICAST
	r.set(unix.RTA_DST, subnet.Addr().AsSlice())
	if a.family() == unix.AF_INET {
		r.head[rtScope] = unix.RT_SCOPE_LINK
		r.set(unix.RTA_PREFSRC, addressPrefix(a).Addr().AsSlice())
	} else if metric == 0 {
		metric = ipv6AddressMetric
	}
	if metric != 0 {
		r.set32(unix.RTA_PRIORITY, metric)
	}
	r.set32(unix.RTA_OIF, uint32(index))
	return r
}
