package host

import (
	"encoding/binary"
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
	spec, err := parseAttributes(n.raw.get(unix.IFLA_AF_SPEC))
	if err != nil {
		return object{}
	}
	attrs, err := parseAttributes(object{attrs: spec}.get(unix.AF_INET6))
	if err != nil {
		return object{}
	}
	return object{attrs: attrs}
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

// setToken sets it. The kernel takes none for a link that ignores advertisements.
func (h *Host) setToken(index int, token netip.Addr) error {
	o := object{head: make([]byte, linkHead)}
	binary.NativeEndian.PutUint32(o.head[4:], uint32(index))
	value := appendAttributes(nil, []attribute{{inet6Token, token.AsSlice()}})
	value = appendAttributes(nil, []attribute{{unix.AF_INET6, value}})
	o.set(unix.IFLA_AF_SPEC, value)
	return h.change("set IPv6 token "+token.String(), unix.RTM_SETLINK, 0, o)
}
