// SPDX-License-Identifier: MIT

package rtnl

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// DefaultGateways lists the gateways of a link's default routes in all tables, the preferred ones first, whoever set
// them. Routes that are not default ones may be very many: they are skipped as they come.
func (c *Conn) DefaultGateways(index int) ([]netip.Addr, error) {
	routes, err := RetryDump(func() (list []Object, err error) {
		for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
			ask := Object{Head: make([]byte, HeaderLen)}
			ask.Head[0] = family
			ask.Set(unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, uint32(index)))
			e := request(c.strict, unix.RTM_GETROUTE, unix.NLM_F_DUMP, ask).ExecuteIter(unix.NETLINK_ROUTE,
				unix.RTM_NEWROUTE, func(b []byte) bool {
					if len(b) < HeaderLen || b[0] != family || b[rtDstLen] != 0 || b[rtType] != unix.RTN_UNICAST {
						return true
					}
					var r Object
					if r, err = ParseObject(b, HeaderLen); err == nil {
						list = append(list, r)
					}
					return err == nil
				})
			if err == nil {
				err = e
			}
			if err != nil {
				return nil, err
			}
		}
		return list, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list default routes: %w", err)
	}
	slices.SortStableFunc(routes, func(a, b Object) int {
		return cmp.Or(cmp.Compare(notMain(a), notMain(b)),
			cmp.Compare(a.Get32(unix.RTA_PRIORITY), b.Get32(unix.RTA_PRIORITY)))
	})
	var list []netip.Addr
	for _, r := range routes {
		for _, g := range Gateways(r, index) {
			if !slices.Contains(list, g) {
				list = append(list, g)
			}
		}
	}
	return list, nil
}

func notMain(r Object) int {
	if RouteTable(r) == unix.RT_TABLE_MAIN {
		return 0
	}
	return 1
}
