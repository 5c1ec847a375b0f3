package host

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Attributes of IFLA_AF_SPEC, AF_INET6 (linux/if_link.h).
const (
	inet6Flags = 1 // IFLA_INET6_FLAGS
	inet6Token = 7 // IFLA_INET6_TOKEN
	inet6RAMTU = 9 // IFLA_INET6_RA_MTU

	ifRAManaged   = 0x40 // IF_RA_MANAGED
	ifRAOtherConf = 0x80 // IF_RA_OTHERCONF
)

// linkSays is what a link's routers say of the link itself.
type linkSays struct {
	Managed bool   `json:"managed,omitempty"` // addresses are to be had by DHCPv6
	Other   bool   `json:"other,omitempty"`   // other things are
	MTU     uint32 `json:"mtu,omitempty"`     // 0: not said
}

// inet6 are the attributes of a link's IPv6.
func (n NIC) inet6() object {
	return n.raw.nest(unix.IFLA_AF_SPEC).nest(unix.AF_INET6)
}

// says reads what the routers said.
func (n NIC) says() linkSays {
	o := n.inet6()
	flags := o.get32(inet6Flags)
	return linkSays{Managed: flags&ifRAManaged != 0, Other: flags&ifRAOtherConf != 0, MTU: o.get32(inet6RAMTU)}
}

// token is the interface identifier of the addresses that the kernel makes for the link, if one was set.
func (n NIC) token() (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(n.inet6().get(inet6Token))
	return a, ok && a.Is6() && !a.IsUnspecified()
}

// hasIPv6 reports whether the kernel runs IPv6 on a link.
func (n NIC) hasIPv6() bool { return n.raw.nest(unix.IFLA_AF_SPEC).get(unix.AF_INET6) != nil }

// setToken sets it. The kernel takes none for a link that ignores advertisements.
func (h *Host) setToken(index int, token netip.Addr) error {
	return h.setInet6("set IPv6 token "+token.String(), index, attribute{inet6Token, token.AsSlice()})
}

// setAddrGenMode says how the kernel forms a link's addresses.
func (h *Host) setAddrGenMode(n NIC, mode uint8) error {
	return h.setInet6(fmt.Sprintf("set addrgenmode of %s to %d", n.Name, mode), n.Index, attribute{unix.IFLA_INET6_ADDR_GEN_MODE, []byte{mode}})
}

func (h *Host) setInet6(what string, index int, a attribute) error {
	o := object{head: make([]byte, linkHead)}
	binary.NativeEndian.PutUint32(o.head[4:], uint32(index))
	family := appendAttributes(nil, []attribute{{unix.AF_INET6, appendAttributes(nil, []attribute{a})}})
	o.set(unix.IFLA_AF_SPEC, family)
	return h.change(what, unix.RTM_SETLINK, 0, o)
}
