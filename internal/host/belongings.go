package host

import "nicteam/internal/host/journal"

// belongings reads what a link has: addresses, the routes that were set by hand, permanent neighbours,
// proxies.
func (h *Host) belongings(index int) (b journal.Config, err error) {
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
