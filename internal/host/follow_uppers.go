package host

import (
	"net/netip"
	"slices"

	"nicteam/internal/rtnl"
)

// Behind is an address of a link that stands on the adapter, such as a VLAN, or of the bridge that it is a port of, as far as
// that link has the adapter's MAC.
type Behind struct {
	NIC     string
	Address netip.Prefix
	VLAN    uint16 // 0: untagged
}

// Behind reads the addresses behind the adapter, and which have gone since it was last asked. It is told of changes of those
// links from here on.
func (f *Follower) Behind() (have map[Behind]bool, gone []Behind, err error) {
	f.mu.Lock()
	went := f.goneToo
	f.goneToo = nil
	f.mu.Unlock()
	links, err := rtnl.RetryDump(f.h.rt.Handle.LinkList)
	if err != nil {
		return nil, nil, err
	}
	stations := map[int]station{}
	have = map[Behind]bool{}
	for _, b := range behind(links, f.adapter) {
		if b.index == f.adapter || b.mac != 0 {
			continue
		}
		stations[b.index] = b
		list, err := f.h.rt.Addresses(b.index)
		if err != nil {
			return nil, nil, err
		}
		for _, a := range list {
			have[Behind{b.name, rtnl.AddressPrefix(a), b.vlan}] = true
		}
	}
	f.mu.Lock()
	was := f.behind
	f.behind = stations
	f.mu.Unlock()
	for _, a := range went {
		for _, b := range []station{stations[a.Index()], was[a.Index()]} {
			if left := (Behind{b.name, rtnl.AddressPrefix(a), b.vlan}); b.index != 0 && !have[left] && !slices.Contains(gone, left) {
				gone = append(gone, left)
			}
		}
	}
	return have, gone, nil
}
