// SPDX-License-Identifier: MIT

package host

import (
	"net/netip"
	"slices"

	"nicteam/internal/rtnl"
)

// UpperAddress is an address of an upper link of the adapter with the adapter's MAC: a VLAN, or the bridge that it is a
// port of.
type UpperAddress struct {
	NIC     string
	Address netip.Prefix
	VLAN    uint16 // 0: untagged
}

// UpperAddresses reads the addresses of upper links, and which have gone since the last call. From the first call on
// their events are followed.
func (f *Follower) UpperAddresses() (have map[UpperAddress]bool, gone []UpperAddress, err error) {
	f.mu.Lock()
	went := f.removedElsewhere
	f.removedElsewhere = nil
	f.mu.Unlock()
	links, err := rtnl.RetryDump(f.h.rt.Handle.LinkList)
	if err != nil {
		return nil, nil, err
	}
	stations := map[int]upperLink{}
	have = map[UpperAddress]bool{}
	for _, b := range uppersOf(links, f.adapter) {
		if b.index == f.adapter {
			continue
		}
		stations[b.index] = b
		if b.mac != 0 {
			continue
		}
		list, err := f.h.rt.Addresses(b.index)
		if err != nil {
			return nil, nil, err
		}
		for _, a := range list {
			have[UpperAddress{b.name, rtnl.AddressPrefix(a), b.vlan}] = true
		}
	}
	f.mu.Lock()
	was := f.uppers
	f.uppers = stations
	f.mu.Unlock()
	for _, a := range went {
		for _, b := range []upperLink{stations[a.Index()], was[a.Index()]} {
			if left := (UpperAddress{b.name, rtnl.AddressPrefix(a), b.vlan}); b.index != 0 && b.mac == 0 &&
				!have[left] && !slices.Contains(gone, left) {
				gone = append(gone, left)
			}
		}
	}
	return have, gone, nil
}
