package host

import (
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"nicteam/internal/frame"
	"nicteam/internal/rtnl"
)

// station is a link whose frames go through the adapter.
type station struct {
	index int
	name  string
	mac   frame.MAC // zero: the adapter's, which may leave a member as another
	vlan  uint16
}

// behind lists the adapter and the links that stand on it, however high. A VLAN on a VLAN is left out: an
// announcement carries one tag.
func behind(links []netlink.Link, adapter int) []station {
	var out []station
	var own frame.MAC
	seen := map[int]bool{}
	var visit func(index int, vlan uint16)
	visit = func(index int, vlan uint16) {
		i := slices.IndexFunc(links, func(l netlink.Link) bool { return l.Attrs().Index == index })
		if i < 0 || seen[index] {
			return
		}
		seen[index] = true
		a := links[i].Attrs()
		mac := frame.MACFrom(a.HardwareAddr)
		if index == adapter {
			own = mac
		}
		if mac == own {
			mac = 0
		}
		out = append(out, station{index, a.Name, mac, vlan})
		if a.MasterIndex != 0 {
			visit(a.MasterIndex, vlan)
		}
		for _, l := range links {
			if l.Attrs().ParentIndex != index || !standsOn(l) {
				continue
			}
			tag := vlan
			if v, ok := l.(*netlink.Vlan); ok {
				if vlan != 0 || v.VlanProtocol == netlink.VLAN_PROTOCOL_8021AD {
					continue
				}
				tag = uint16(v.VlanId)
			}
			visit(l.Attrs().Index, tag)
		}
	}
	visit(adapter, 0)
	return out
}

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
