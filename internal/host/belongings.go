package host

import (
	"slices"

	"golang.org/x/sys/unix"
)

// belongings are what a link has besides its own settings.
type belongings struct {
	Addresses  []object `json:"addresses,omitempty"`
	Routes     []object `json:"routes,omitempty"`
	Rules      []object `json:"rules,omitempty"`
	Neighbours []object `json:"neighbours,omitempty"`
	Proxies    []object `json:"proxies,omitempty"`
}

func (b *belongings) empty() bool {
	return len(b.Addresses)+len(b.Routes)+len(b.Rules)+len(b.Neighbours)+len(b.Proxies) == 0
}

// wellFormed reports whether every object has the header of its kind.
func (b *belongings) wellFormed() bool {
	long := func(n int) func(object) bool { return func(o object) bool { return len(o.head) != n } }
	return !slices.ContainsFunc(b.Addresses, long(addressHead)) &&
		!slices.ContainsFunc(slices.Concat(b.Routes, b.Rules, b.Neighbours, b.Proxies), long(otherHead))
}

// take changes what a link had at a time (CLOCK_BOOTTIME) by one event about it. Routes are those that were set by hand,
// neighbours permanent ones.
func (b *belongings) take(m message, index int, at int64) {
	head, id := otherHead, routeID
	switch m.kind {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		head, id = addressHead, addressID
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		id = neighbourID
	}
	o, err := parseObject(m.body, head)
	if err != nil {
		return
	}
	one := []object{o}
	switch m.kind {
	case unix.RTM_NEWADDR:
		b.Addresses = with(b.Addresses, asOf(o, bootTime(), at), id)
	case unix.RTM_DELADDR:
		b.Addresses = except(b.Addresses, one, id)
	case unix.RTM_NEWROUTE:
		if m.flags&unix.NLM_F_REPLACE != 0 {
			if i := slices.IndexFunc(b.Routes, func(r object) bool { return keyOf(r) == keyOf(o) }); i >= 0 {
				b.Routes = slices.Delete(slices.Clone(b.Routes), i, i+1)
			}
		}
		if handSet(o) && slices.Contains(routeLinks(o), index) {
			b.Routes = with(b.Routes, o, id)
		}
	case unix.RTM_DELROUTE:
		b.Routes = except(b.Routes, one, id)
	case unix.RTM_NEWNEIGH:
		if permanent(o) {
			b.Neighbours = with(b.Neighbours, o, id)
		}
	case unix.RTM_DELNEIGH:
		b.Neighbours = except(b.Neighbours, one, id)
	}
}

// belongings reads what a link has: addresses, the routes that were set by hand, permanent neighbours,
// proxies.
func (h *Host) belongings(index int) (b belongings, err error) {
	routes, err := h.rt.routesBy(index)
	if err != nil {
		return b, err
	}
	// After the routes: of an address that comes meanwhile the connected route is not there yet.
	if b.Addresses, err = h.rt.addresses(index); err != nil {
		return b, err
	}
	if b.Routes, err = h.rt.set(routes, b.Addresses); err != nil {
		return b, err
	}
	if b.Neighbours, err = h.rt.neighboursOf(index, nil); err != nil {
		return b, err
	}
	b.Proxies, err = h.rt.proxiesOf(index)
	return b, err
}
