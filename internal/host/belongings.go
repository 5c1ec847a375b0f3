package host

import (
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// belongings are what a link has besides its own settings.
type belongings struct {
	Addresses  []rtnl.Object `json:"addresses,omitempty"`
	Routes     []rtnl.Object `json:"routes,omitempty"`
	Rules      []rtnl.Object `json:"rules,omitempty"`
	Neighbours []rtnl.Object `json:"neighbours,omitempty"`
	Proxies    []rtnl.Object `json:"proxies,omitempty"`
}

func (b *belongings) empty() bool {
	return len(b.Addresses)+len(b.Routes)+len(b.Rules)+len(b.Neighbours)+len(b.Proxies) == 0
}

// wellFormed reports whether every object has the header of its kind.
func (b *belongings) wellFormed() bool {
	long := func(n int) func(rtnl.Object) bool { return func(o rtnl.Object) bool { return len(o.Head) != n } }
	return !slices.ContainsFunc(b.Addresses, long(rtnl.AddressHeaderLen)) &&
		!slices.ContainsFunc(slices.Concat(b.Routes, b.Rules, b.Neighbours, b.Proxies), long(rtnl.HeaderLen))
}

// take changes what a link had at a time (CLOCK_BOOTTIME) by one event about it. Routes are those that were set by hand,
// neighbours permanent ones.
func (b *belongings) take(m rtnl.Message, index int, at int64) {
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
		b.Addresses = rtnl.Replace(b.Addresses, rtnl.LifetimesAt(o, rtnl.BootTime(), at), id)
	case unix.RTM_DELADDR:
		b.Addresses = rtnl.Except(b.Addresses, one, id)
	case unix.RTM_NEWROUTE:
		if m.Flags&unix.NLM_F_REPLACE != 0 {
			if i := slices.IndexFunc(b.Routes, func(r rtnl.Object) bool { return rtnl.RouteKeyOf(r) == rtnl.RouteKeyOf(o) }); i >= 0 {
				b.Routes = slices.Delete(slices.Clone(b.Routes), i, i+1)
			}
		}
		if rtnl.IsStatic(o) && slices.Contains(rtnl.RouteLinks(o), index) {
			b.Routes = rtnl.Replace(b.Routes, o, id)
		}
	case unix.RTM_DELROUTE:
		b.Routes = rtnl.Except(b.Routes, one, id)
	case unix.RTM_NEWNEIGH:
		if rtnl.IsPermanent(o) {
			b.Neighbours = rtnl.Replace(b.Neighbours, o, id)
		}
	case unix.RTM_DELNEIGH:
		b.Neighbours = rtnl.Except(b.Neighbours, one, id)
	}
}

// belongings reads what a link has: addresses, the routes that were set by hand, permanent neighbours,
// proxies.
func (h *Host) belongings(index int) (b belongings, err error) {
	routes, err := h.rt.LinkRoutes(index)
	if err != nil {
		return b, err
	}
	// After the routes: of an address that comes meanwhile the connected route is not there yet.
	if b.Addresses, err = h.rt.Addresses(index); err != nil {
		return b, err
	}
	if b.Routes, err = h.rt.StaticRoutes(routes, b.Addresses); err != nil {
		return b, err
	}
	if b.Neighbours, err = h.rt.Neighbours(index, nil); err != nil {
		return b, err
	}
	b.Proxies, err = h.rt.Proxies(index)
	return b, err
}
