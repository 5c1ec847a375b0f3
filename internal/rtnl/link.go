// SPDX-License-Identifier: MIT

package rtnl

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const LinkHeaderLen = 16 // struct ifinfomsg

// LinkAt reads the link of that ifindex, with all that a dump has of it. ENODEV: there is none. Without its counters
// (skipStats) the kernel would leave out the IPv6 token too.
func (c *Conn) LinkAt(index int) (Object, error) {
	if index <= 0 {
		return Object{}, unix.ENODEV
	}
	ask := Object{Head: make([]byte, LinkHeaderLen)}
	ask.SetIndex(index)
	return c.readLink(ask)
}

// LinkNamed reads the link of that name or altname as a dump has it. ENODEV: there is none.
func (c *Conn) LinkNamed(name string) (Object, error) {
	if name == "" || len(name) >= unix.IFNAMSIZ {
		return Object{}, unix.ENODEV
	}
	ask := Object{Head: make([]byte, LinkHeaderLen)}
	ask.Set(unix.IFLA_IFNAME, CString(name))
	return c.readLink(ask)
}

func (c *Conn) readLink(ask Object) (Object, error) {
	c.Requests.Add(1)
	bodies, err := request(c.socket, unix.RTM_GETLINK, 0, ask).Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return Object{}, err
	}
	if len(bodies) != 1 {
		return Object{}, ErrMalformed
	}
	c.Objects.Add(1)
	return ParseObject(bodies[0], LinkHeaderLen)
}

// LinkObject reads a link with the attributes that package netlink leaves out.
func (c *Conn) LinkObject(index int) (Object, error) {
	ask := Object{Head: make([]byte, LinkHeaderLen)}
	ask.SetIndex(index)
	ask.Set32(unix.IFLA_EXT_MASK, skipStats)
	return c.readLink(ask)
}

// SetIPv6Token sets the interface identifier of a link. The kernel refuses it on a link that ignores router
// advertisements.
func (c *Conn) SetIPv6Token(index int, token netip.Addr) error {
	return c.setInet6("set IPv6 token "+token.String(), index, Attribute{IFLAInet6Token, token.AsSlice()})
}

// SetAddrGenMode sets how the kernel forms a link's link-local address.
func (c *Conn) SetAddrGenMode(nic string, index int, mode uint8) error {
	return c.setInet6(fmt.Sprintf("set addrgenmode of %s to %d", nic, mode), index,
		Attribute{unix.IFLA_INET6_ADDR_GEN_MODE, []byte{mode}})
}

func (c *Conn) setInet6(what string, index int, a Attribute) error {
	o := Object{Head: make([]byte, LinkHeaderLen)}
	o.SetIndex(index)
	family := AppendAttributes(nil, []Attribute{{unix.AF_INET6, AppendAttributes(nil, []Attribute{a})}})
	o.Set(unix.IFLA_AF_SPEC, family)
	return c.Change(what, unix.RTM_SETLINK, 0, o)
}

func (c *Conn) SetMTU(l netlink.Link, mtu int) error {
	if mtu == 0 || l.Attrs().MTU == mtu {
		return nil
	}
	what := fmt.Sprintf("set MTU of %s to %d", l.Attrs().Name, mtu)
	if err := c.FaultPoint(what); err != nil {
		return err
	}
	if err := c.Handle.LinkSetMTU(l, mtu); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (c *Conn) SetUp(l netlink.Link, up bool) error {
	if l.Attrs().RawFlags&unix.IFF_UP != 0 == up {
		return nil
	}
	set, what := c.Handle.LinkSetUp, "bring up "+l.Attrs().Name
	if !up {
		set, what = c.Handle.LinkSetDown, "bring down "+l.Attrs().Name
	}
	if err := c.FaultPoint(what); err != nil {
		return err
	}
	if err := set(l); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Attributes of IFLA_AF_SPEC, AF_INET6 (linux/if_link.h).
const (
	IFLAInet6Flags = 1 // IFLA_INET6_FLAGS
	IFLAInet6Token = 7 // IFLA_INET6_TOKEN
	IFLAInet6RAMTU = 9 // IFLA_INET6_RA_MTU

	IFRAManaged   = 0x40 // IF_RA_MANAGED
	IFRAOtherConf = 0x80 // IF_RA_OTHERCONF
)

const skipStats = 1 << 3 // RTEXT_FILTER_SKIP_STATS
