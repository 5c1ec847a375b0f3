// SPDX-License-Identifier: MIT

package host

import (
	"cmp"
	"slices"

	"nicteam/internal/frame"
	"nicteam/internal/rtnl"
	"nicteam/team"
)

// HeldAddresses reads the addresses of the adapter and of all links on it, also of those with a MAC of their own, and
// the MACs of all links of the host, both in order.
func (h *Host) HeldAddresses(adapter int) (held team.AddressesHeld, err error) {
	links, err := rtnl.RetryDump(h.rt.Handle.LinkList)
	if err != nil {
		return held, err
	}
	for _, l := range links {
		if mac := frame.MACFrom(l.Attrs().HardwareAddr); mac != 0 {
			held.MACs = append(held.MACs, mac)
		}
	}
	for _, b := range uppersOf(links, adapter) {
		list, err := h.rt.Addresses(b.index)
		if err != nil {
			return held, err
		}
		for _, a := range list {
			held.List = append(held.List, team.HeldAddress{IP: rtnl.AddressPrefix(a).Addr(), VLAN: b.vlan})
		}
	}
	slices.SortFunc(held.List, func(a, b team.HeldAddress) int {
		return cmp.Or(a.IP.Compare(b.IP), cmp.Compare(a.VLAN, b.VLAN))
	})
	slices.Sort(held.MACs)
	held.List, held.MACs = slices.Compact(held.List), slices.Compact(held.MACs)
	return held, nil
}
