package host

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// teachRoutes has the kernels of NICs learn what the adapter's knows from routers at this moment. It comes when the host sees
// the NICs' frames again, for a link takes an advertisement only then; the adapter has its addresses until after that.
func (b *back) teachRoutes() error {
	all, err := b.h.rt.AdvertisedRoutes()
	if err != nil {
		return err
	}
	var known []rtnl.Object // by the adapter
	lessons := map[*returning]*learning{}
	for _, r := range b.members {
		lessons[r] = &learning{form: r.form, says: r.m.RouterInfo}
	}
	if b.adapter != nil && b.adapter.AdminUp {
		known = rtnl.RoutesVia(all, b.adapter.Index)
		for _, o := range known {
			for _, r := range b.learners(o) {
				lessons[r].routes, lessons[r].says = append(lessons[r].routes, o), b.adapter.says()
			}
		}
	}
	for _, m := range b.j.State.Members {
		if m.Adopted && b.adapter != nil && b.adapter.AdminUp {
			continue // what the adapter has forgotten is no more
		}
		for _, o := range rtnl.AgedRoutes(m.Advertised, (rtnl.BootTime()-m.At)/1e9) {
			for _, r := range b.learners(o) {
				if (m.Adopted || m == r.m) && !rtnl.HasAdvertised(lessons[r].routes, o) {
					lessons[r].routes = append(lessons[r].routes, o)
				}
			}
		}
	}
	for _, r := range b.members {
		if !r.learns() {
			continue
		}
		left, err := b.h.unlearned(r.nic, *lessons[r])
		if err == nil {
			err = b.h.teach(r.nic, left)
		}
		if err := b.soften(err); err != nil {
			return err
		}
		if err := b.soften(b.h.rt.AddAddressesInOrder(r.wanted, r.nic.Index, r.nic.Name)); err != nil {
			return err
		}
	}
	for _, o := range known {
		err := b.h.rt.DeleteRoute(rtnl.RouteRequest(o, nil))
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err := b.soften(err); err != nil {
			return err
		}
	}
	return nil
}

// learners are the NICs that learn a route: those that had learned it, or what stands in for one that has no link; the inheritor
// where none had.
func (b *back) learners(o rtnl.Object) []*returning {
	var list []*returning
	for _, m := range b.j.State.Members {
		if !rtnl.HasAdvertised(m.Advertised, o) {
			continue
		}
		to := b.of(m)
		if m.Adopted {
			if other := b.replaced(m, unix.AF_INET6); other != nil {
				to = other
			}
		}
		if to != nil && !slices.Contains(list, to) {
			list = append(list, to)
		}
	}
	if inheritor := b.inheritor(unix.AF_INET6); len(list) == 0 && inheritor != nil && inheritor.m.Adopted {
		list = append(list, inheritor)
	}
	return list
}
