package host

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// teachRoutes has the kernels of NICs learn what the adapter's knows from routers at this moment: each NIC what it had itself,
// the heir all. It comes when the host sees the NICs' frames again, for a link takes an advertisement only then; the adapter
// has its addresses until after that.
func (b *back) teachRoutes() error {
	all, err := b.h.advertisedRoutes()
	if err != nil {
		return err
	}
	var known []object // by the adapter
	var says linkSays
	alive := b.adapter != nil && b.adapter.AdminUp
	if alive {
		known, says = routesOf(all, b.adapter.Index), b.adapter.says()
	}
	heir := b.routersHeir()
	for _, r := range b.members {
		if !r.learns() {
			continue
		}
		l := learning{routes: agedRoutes(r.m.Advertised, (bootTime()-r.m.At)/1e9), form: r.form, says: r.m.Says}
		if r.m.adopted && alive {
			l.routes, l.says = slices.Clone(known), says
			if r != heir {
				l.routes = slices.DeleteFunc(l.routes, func(o object) bool { return !hasAdvertised(r.m.Advertised, o) })
			}
		}
		if l, err = b.h.unlearned(r.nic, l); err == nil {
			err = b.h.teach(r.nic, l)
		}
		if err := b.soften(err); err != nil {
			return err
		}
		if err := b.soften(b.h.addInOrder(r.wanted, r.nic.Index, r.nic.Name)); err != nil {
			return err
		}
	}
	for _, o := range known {
		err := b.h.deleteRoute(routed(o, nil))
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err := b.soften(err); err != nil {
			return err
		}
	}
	return nil
}

// routersHeir is the NIC that gets what the adapter learned from routers by itself: the first that had learned from one.
func (b *back) routersHeir() *returning {
	for _, r := range b.members {
		if r.m.adopted && r.m.Up && len(r.m.Advertised) > 0 {
			return r
		}
	}
	return b.heir(unix.AF_INET6)
}
