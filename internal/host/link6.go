package host

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
)

// inet6 are the attributes of a link's IPv6.
func (n NIC) inet6() rtnl.Object {
	return n.raw.Nest(unix.IFLA_AF_SPEC).Nest(unix.AF_INET6)
}

// says reads what the routers said.
func (n NIC) says() journal.RouterInfo {
	o := n.inet6()
	flags := o.Get32(rtnl.IFLAInet6Flags)
	return journal.RouterInfo{Managed: flags&rtnl.IFRAManaged != 0, Other: flags&rtnl.IFRAOtherConf != 0, MTU: o.Get32(rtnl.IFLAInet6RAMTU)}
}

// token is the interface identifier of the addresses that the kernel makes for the link, if one was set.
func (n NIC) token() (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(n.inet6().Get(rtnl.IFLAInet6Token))
	return a, ok && a.Is6() && !a.IsUnspecified()
}

// hasIPv6 reports whether the kernel runs IPv6 on a link.
func (n NIC) hasIPv6() bool { return n.raw.Nest(unix.IFLA_AF_SPEC).Get(unix.AF_INET6) != nil }
