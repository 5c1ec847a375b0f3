// SPDX-License-Identifier: MIT

package journal

import (
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/rtnl"
)

// Member is a NIC before the takeover.
type Member struct {
	Identity
	At int64 `json:"at"` // CLOCK_BOOTTIME in ns: the lifetimes of addresses count from here

	Up          bool              `json:"up"`
	MTU         int               `json:"mtu"`
	Promiscuity int               `json:"promiscuity"`
	Segment     SegmentSizes      `json:"segment"`
	Features    map[string]bool   `json:"features"`        // ethtool features that can be changed
	Sysctls     map[string]string `json:"sysctls"`         // "ipv6/disable_ipv6": "0", "ipv4/neigh/proxy_delay": "80"
	Token       string            `json:"token,omitempty"` // of IPv6, "" for none

	Addresses  []rtnl.Object `json:"addresses"`            // in the kernel's order
	Routes     []rtnl.Object `json:"routes"`               // of all tables, without the kernel's own
	Advertised []rtnl.Object `json:"advertised,omitempty"` // learned from router advertisements
	RouterInfo RouterInfo    `json:"says,omitzero"`        // from router advertisements
	// IPv4 routes of any link that share a key with one of Routes, in order
	Order      []rtnl.Object `json:"order"`
	Rules      []rtnl.Object `json:"rules"`
	Neighbours []rtnl.Object `json:"neighbours"`        // permanent ones and gateways
	Proxies    []rtnl.Object `json:"proxies,omitempty"` // ARP and ND proxy entries
}

// WellFormed reports whether every object has a header of the right length.
func (m *Member) WellFormed() bool {
	for _, a := range m.Addresses {
		if len(a.Head) != rtnl.AddressHeaderLen {
			return false
		}
	}
	for _, list := range [][]rtnl.Object{m.Routes, m.Advertised, m.Order, m.Rules, m.Neighbours, m.Proxies} {
		for _, o := range list {
			if len(o.Head) != rtnl.HeaderLen {
				return false
			}
		}
	}
	return true
}

// SegmentSizes are the largest super-frames that the stack builds for a NIC (GSO) and from its frames (GRO).
type SegmentSizes struct {
	GSO  uint32 `json:"gso"`
	GRO  uint32 `json:"gro"`
	GSO4 uint32 `json:"gso_ipv4"`
	GRO4 uint32 `json:"gro_ipv4"`
}

// RouterInfo is what router advertisements say of the link itself.
type RouterInfo struct {
	Managed bool   `json:"managed,omitempty"` // M flag: addresses by DHCPv6
	Other   bool   `json:"other,omitempty"`   // O flag: other information by DHCPv6
	MTU     uint32 `json:"mtu,omitempty"`     // 0: none advertised
}

// Identity is how a NIC is recognised.
type Identity struct {
	Name         string    `json:"name"`
	Index        int       `json:"index"`
	MAC          frame.MAC `json:"mac"`
	PermanentMAC frame.MAC `json:"permanent_mac"`
	Driver       string    `json:"driver"`
	Bus          string    `json:"bus"`
}

// Same reports whether o is the same NIC. Hardware is recognised by permanent MAC, bus and driver, and may return with
// another ifindex or name; a virtual NIC by its driver and two of MAC, ifindex and name.
func (i Identity) Same(o Identity) bool {
	if i.Driver != o.Driver || i.Bus != o.Bus || i.PermanentMAC != o.PermanentMAC {
		return false
	}
	if i.PermanentMAC != 0 {
		return true
	}
	mac, index, name := i.MAC == o.MAC, i.Index == o.Index, i.Name == o.Name
	return mac && index || mac && name || index && name
}

// Inherit keeps what a NIC that returns had before it left: its config on the adapter, and its link if it was released
// down.
func (m *Member) Inherit(known *MemberState) {
	known = known.WithIndex(m.Index)
	if known.ConfigOnAdapter {
		m.At = known.At
		m.Addresses = rtnl.Union(known.Addresses, m.Addresses, rtnl.SameAddress)
		m.Routes = rtnl.UnionRoutes(known.Routes, m.Routes)
		m.Advertised = rtnl.Union(known.Advertised, m.Advertised, rtnl.SameAdvertised)
		m.Order = rtnl.UnionRoutes(known.Order, m.Order)
		m.Rules = rtnl.Union(known.Rules, m.Rules, rtnl.Object.Equal)
		m.Neighbours = rtnl.Union(known.Neighbours, m.Neighbours, rtnl.SameNeighbour)
		m.Proxies = rtnl.Union(known.Proxies, m.Proxies, rtnl.SameNeighbour)
	}
	if known.LeftDown {
		m.inheritDown(known)
	}
}

// WithIndex returns a copy whose routes name another ifindex, for a NIC that returned with a new one.
func (m *MemberState) WithIndex(index int) *MemberState {
	next := *m
	for _, list := range []*[]rtnl.Object{&next.Routes, &next.Order} {
		*list = slices.Clone(*list)
		for i, r := range *list {
			(*list)[i] = rtnl.RouteRequest(r, map[int]int{m.Index: index})
		}
	}
	next.Advertised = nil
	for _, r := range m.Advertised {
		r = r.Clone() // keeps its lifetime
		r.Set32(unix.RTA_OIF, uint32(index))
		next.Advertised = append(next.Advertised, r)
	}
	next.Index = index
	return &next
}

// inheritDown keeps what the kernel removes from a NIC that is down: IPv6 addresses, routes and neighbours. IPv4
// addresses stay.
func (m *Member) inheritDown(known *MemberState) {
	if !m.Up {
		of6 := slices.DeleteFunc(slices.Clone(known.Addresses),
			func(a rtnl.Object) bool { return a.Family() != unix.AF_INET6 })
		m.Addresses = rtnl.Union(of6, m.Addresses, rtnl.SameAddress)
		m.Routes = rtnl.UnionRoutes(known.Routes, m.Routes)
		m.Advertised = rtnl.Union(known.Advertised, m.Advertised, rtnl.SameAdvertised)
		m.Order = rtnl.UnionRoutes(known.Order, m.Order)
		m.Neighbours = rtnl.Union(known.Neighbours, m.Neighbours, rtnl.SameNeighbour)
		m.Proxies = rtnl.Union(known.Proxies, m.Proxies, rtnl.SameNeighbour)
	}
	m.Up = known.Up
}

// OwnsDefaultRoute reports whether one of the routes is the main table's default route.
func (m *Member) OwnsDefaultRoute() bool {
	for _, r := range slices.Concat(m.Routes, m.Advertised) {
		if rtnl.RouteBits(r) == 0 && rtnl.RouteTable(r) == unix.RT_TABLE_MAIN && rtnl.RouteType(r) == unix.RTN_UNICAST {
			return true
		}
	}
	return false
}

// UsesFamily reports whether the NIC has addresses of a family, apart from the kernel's link-local one.
func (m *Member) UsesFamily(family byte) bool {
	return slices.ContainsFunc(m.Addresses,
		func(a rtnl.Object) bool { return a.Family() == family && !m.IsKernelLinkLocal(a) })
}

// IsKernelLinkLocal is rtnl.IsKernelLinkLocal for the member's MACs.
func (m *Member) IsKernelLinkLocal(a rtnl.Object) bool {
	return rtnl.IsKernelLinkLocal(a, m.MAC, m.PermanentMAC)
}

// Config is a link's layer-3 configuration.
type Config struct {
	Addresses  []rtnl.Object `json:"addresses,omitempty"`
	Routes     []rtnl.Object `json:"routes,omitempty"`
	Rules      []rtnl.Object `json:"rules,omitempty"`
	Neighbours []rtnl.Object `json:"neighbours,omitempty"`
	Proxies    []rtnl.Object `json:"proxies,omitempty"`
}

func (b *Config) Empty() bool {
	return len(b.Addresses)+len(b.Routes)+len(b.Rules)+len(b.Neighbours)+len(b.Proxies) == 0
}

// wellFormed reports whether every object has a header of the right length.
func (b *Config) wellFormed() bool {
	long := func(n int) func(rtnl.Object) bool { return func(o rtnl.Object) bool { return len(o.Head) != n } }
	return !slices.ContainsFunc(b.Addresses, long(rtnl.AddressHeaderLen)) &&
		!slices.ContainsFunc(slices.Concat(b.Routes, b.Rules, b.Neighbours, b.Proxies), long(rtnl.HeaderLen))
}

// AddInherited adds an address that the adapter had at a time (CLOCK_BOOTTIME), and its connected route, in the form of
// m's records.
func (b *Config) AddInherited(m *MemberState, a rtnl.Object, at int64) {
	b.Addresses = append(b.Addresses, rtnl.LifetimesAt(rtnl.AddressRequest(a, m.Index, 0), at, m.At))
	if rtnl.HasConnectedRoute(a) {
		b.Routes = append(b.Routes, rtnl.ConnectedRoute(a, m.Index))
	}
}

// ApplyEvent applies one rtnetlink event to the config of a link. at is the CLOCK_BOOTTIME of its lifetimes. Only
// static routes and permanent neighbours count.
func (b *Config) ApplyEvent(m rtnl.Message, index int, at int64) {
	head, id := rtnl.HeaderLen, rtnl.RouteID
	switch m.Kind {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		head, id = rtnl.AddressHeaderLen, rtnl.AddressID
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		id = rtnl.NeighbourID
	}
	o, err := rtnl.ParseObject(m.Body, head)
	if err != nil {
		return
	}
	one := []rtnl.Object{o}
	switch m.Kind {
	case unix.RTM_NEWADDR:
		b.Addresses = rtnl.Replace(b.Addresses, []rtnl.Object{rtnl.LifetimesAt(o, rtnl.BootTime(), at)}, id)
	case unix.RTM_DELADDR:
		b.Addresses = rtnl.Except(b.Addresses, one, id)
	case unix.RTM_NEWROUTE:
		if m.Flags&unix.NLM_F_REPLACE != 0 {
			if i := slices.IndexFunc(b.Routes,
				func(r rtnl.Object) bool { return rtnl.RouteKeyOf(r) == rtnl.RouteKeyOf(o) }); i >= 0 {
				b.Routes = slices.Delete(slices.Clone(b.Routes), i, i+1)
			}
		}
		if rtnl.IsStatic(o) && slices.Contains(rtnl.RouteLinks(o), index) {
			b.Routes = rtnl.Replace(b.Routes, one, id)
		}
	case unix.RTM_DELROUTE:
		b.Routes = rtnl.Except(b.Routes, one, id)
	case unix.RTM_NEWNEIGH:
		if rtnl.IsPermanent(o) {
			b.Neighbours = rtnl.Replace(b.Neighbours, one, id)
		}
	case unix.RTM_DELNEIGH:
		b.Neighbours = rtnl.Except(b.Neighbours, one, id)
	}
}
