// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// restoreRAState makes the NICs' kernels learn what the adapter's kernel knows from routers. It runs once the host
// receives the NICs' frames, because a link accepts advertisements only then. The adapter keeps its addresses until
// later.
func (b *giveBack) restoreRAState() error {
	all, err := b.h.rt.AdvertisedRoutes()
	if err != nil {
		return err
	}
	var known []rtnl.Object // by the adapter's kernel
	states := map[*member]*raState{}
	for _, r := range b.members {
		states[r] = &raState{addresses: r.reform, info: r.was.RouterInfo}
	}
	if b.adapter != nil && b.adapter.AdminUp {
		known = rtnl.RoutesVia(all, b.adapter.Index)
		for _, o := range known {
			for _, r := range b.raTargets(o) {
				states[r].routes, states[r].info = append(states[r].routes, o), b.adapter.routerInfo()
			}
		}
	}
	for _, m := range b.j.State.Members {
		if m.Adopted && b.adapter != nil && b.adapter.AdminUp {
			continue // what the adapter no longer has is void
		}
		for _, o := range rtnl.AgedRoutes(m.Advertised, (rtnl.BootTime()-m.At)/1e9) {
			for _, r := range b.raTargets(o) {
				if (m.Adopted || m == r.was) && !rtnl.HasAdvertised(states[r].routes, o) {
					states[r].routes = append(states[r].routes, o)
				}
			}
		}
	}
	for _, r := range b.members {
		if !r.acceptsRAs() {
			continue
		}
		if want := states[r]; len(want.routes)+len(want.addresses) > 0 {
			left, err := b.h.missingRAState(r.nic, *want)
			if err == nil {
				err = b.h.applyRAState(r.nic, left)
			}
			if err := b.noteUnlessFatal(err); err != nil {
				return err
			}
		}
		if err := b.noteUnlessFatal(b.h.rt.AddAddressesInOrder(r.order6, r.nic.Index, r.nic.Name)); err != nil {
			return err
		}
	}
	for _, o := range known {
		err := b.h.rt.DeleteRoute(rtnl.RouteRequest(o, nil))
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err := b.noteUnlessFatal(err); err != nil {
			return err
		}
	}
	return nil
}

// raTargets returns the NICs that learn a route: those that had learned it, or their stand-ins; the inheritor if none
// had.
func (b *giveBack) raTargets(o rtnl.Object) []*member {
	var list []*member
	for _, m := range b.j.State.Members {
		if !rtnl.HasAdvertised(m.Advertised, o) {
			continue
		}
		to := b.memberOf(m)
		if m.Adopted {
			if other := b.standInFor(m, unix.AF_INET6); other != nil {
				to = other
			}
		}
		if to != nil && !slices.Contains(list, to) {
			list = append(list, to)
		}
	}
	if inheritor := b.inheritor(unix.AF_INET6); len(list) == 0 && inheritor != nil && inheritor.was.Adopted {
		list = append(list, inheritor)
	}
	return list
}
