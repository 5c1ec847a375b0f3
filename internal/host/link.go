package host

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const linkHead = 16 // struct ifinfomsg

// rawLink reads a link with the attributes that package netlink leaves out.
func (c *conn) rawLink(index int) (object, error) {
	ask := object{head: make([]byte, linkHead)}
	ask.setIndex(index)
	ask.set32(unix.IFLA_EXT_MASK, skipStats)
	bodies, err := request(c.socket, unix.RTM_GETLINK, 0, ask).Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return object{}, err
	}
	if len(bodies) != 1 {
		return object{}, errObject
	}
	return parseObject(bodies[0], linkHead)
}

// setToken sets it. The kernel takes none for a link that ignores advertisements.
func (c *conn) setToken(index int, token netip.Addr) error {
	return c.setInet6("set IPv6 token "+token.String(), index, attribute{inet6Token, token.AsSlice()})
}

// setAddrGenMode says how the kernel forms a link's addresses.
func (c *conn) setAddrGenMode(nic string, index int, mode uint8) error {
	return c.setInet6(fmt.Sprintf("set addrgenmode of %s to %d", nic, mode), index, attribute{unix.IFLA_INET6_ADDR_GEN_MODE, []byte{mode}})
}

func (c *conn) setInet6(what string, index int, a attribute) error {
	o := object{head: make([]byte, linkHead)}
	o.setIndex(index)
	family := appendAttributes(nil, []attribute{{unix.AF_INET6, appendAttributes(nil, []attribute{a})}})
	o.set(unix.IFLA_AF_SPEC, family)
	return c.change(what, unix.RTM_SETLINK, 0, o)
}

func (c *conn) setMTU(l netlink.Link, mtu int) error {
	if mtu == 0 || l.Attrs().MTU == mtu {
		return nil
	}
	what := fmt.Sprintf("set MTU of %s to %d", l.Attrs().Name, mtu)
	if err := c.at(what); err != nil {
		return err
	}
	if err := c.nl.LinkSetMTU(l, mtu); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (c *conn) setUp(l netlink.Link, up bool) error {
	if l.Attrs().RawFlags&unix.IFF_UP != 0 == up {
		return nil
	}
	set, what := c.nl.LinkSetUp, "bring up "+l.Attrs().Name
	if !up {
		set, what = c.nl.LinkSetDown, "bring down "+l.Attrs().Name
	}
	if err := c.at(what); err != nil {
		return err
	}
	if err := set(l); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Attributes of IFLA_AF_SPEC, AF_INET6 (linux/if_link.h).
const (
	inet6Flags = 1 // IFLA_INET6_FLAGS
	inet6Token = 7 // IFLA_INET6_TOKEN
	inet6RAMTU = 9 // IFLA_INET6_RA_MTU

	ifRAManaged   = 0x40 // IF_RA_MANAGED
	ifRAOtherConf = 0x80 // IF_RA_OTHERCONF
)

const skipStats = 1 << 3 // RTEXT_FILTER_SKIP_STATS
