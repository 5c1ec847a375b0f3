// SPDX-License-Identifier: MIT

package host

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// From linux/mptcp_pm.h.
const (
	mptcpFamily       = "mptcp_pm"
	mptcpVersion      = 1
	mptcpGetAddr      = 3 // MPTCP_PM_CMD_GET_ADDR
	mptcpAttrAddr     = 1 // MPTCP_PM_ATTR_ADDR
	mptcpAddr4        = 3
	mptcpAddr6        = 4
	mptcpIndex        = 7
	genetlinkHeadSize = 4
)

// mptcpEndpoint is an address from which Multipath TCP opens subflows.
type mptcpEndpoint struct {
	addr  netip.Addr
	index int // link that it is bound to, 0 for none
}

// mptcpEndpoints warns of endpoints bound to members.
func (c *preflight) mptcpEndpoints() {
	family, err := c.h.rt.Handle.GenlFamilyGet(mptcpFamily)
	if err != nil {
		return // a kernel without MPTCP
	}
	bodies, err := rtnl.RetryDump(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_DUMP)
		req.AddData(&nl.Genlmsg{Command: mptcpGetAddr, Version: mptcpVersion})
		return req.Execute(unix.NETLINK_GENERIC, 0)
	})
	if err != nil {
		return
	}
	for _, n := range c.nics {
		var on []string
		for _, b := range bodies {
			if e, ok := parseMPTCP(b); ok &&
				(e.index == n.Index || slices.ContainsFunc(n.Addresses,
					func(p netip.Prefix) bool { return p.Addr() == e.addr }) && e.index != 0) {
				on = append(on, e.addr.String())
			}
		}
		if len(on) > 0 {
			c.warnf(
				"MPTCP endpoints are bound to %s and open no subflows while it is a member: %s; move them: ip mptcp "+
					"endpoint delete, and add with dev %s", n.Name, joinNames(on), c.adapter)
		}
	}
}

func parseMPTCP(b []byte) (e mptcpEndpoint, ok bool) {
	if len(b) < genetlinkHeadSize {
		return e, false
	}
	a := rtnl.ParseNested(b[genetlinkHeadSize:]).Nest(mptcpAttrAddr)
	for _, kind := range []uint16{mptcpAddr4, mptcpAddr6} {
		if v := a.Get(kind); v != nil {
			e.addr, ok = netip.AddrFromSlice(v)
		}
	}
	if v := a.Get(mptcpIndex); len(v) >= 4 {
		e.index = int(binary.NativeEndian.Uint32(v))
	}
	return e, ok
}
