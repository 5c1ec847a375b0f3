// SPDX-License-Identifier: MIT

package host

import (
	"cmp"
	"slices"

	"nicteam/internal/rtnl"
	"nicteam/team"
)

// HeldAddresses reads the addresses of the adapter and of all links on it, also of those with a MAC of their own, in
// order.
func (h *Host) HeldAddresses(adapter int) ([]team.HeldAddress, error) {
	links, err := rtnl.RetryDump(h.rt.Handle.LinkList)
	if err != nil {
		return nil, err
	}
	held := []team.HeldAddress{}
	for _, b := range uppersOf(links, adapter) {
		list, err := h.rt.Addresses(b.index)
		if err != nil {
			return nil, err
		}
		for _, a := range list {
			held = append(held, team.HeldAddress{IP: rtnl.AddressPrefix(a).Addr(), VLAN: b.vlan})
		}
	}
	slices.SortFunc(held, func(a, b team.HeldAddress) int {
		return cmp.Or(a.IP.Compare(b.IP), cmp.Compare(a.VLAN, b.VLAN))
	})
	return slices.Compact(held), nil
}
