// SPDX-License-Identifier: MIT

package managers

import (
	"context"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// A guard keeps the addresses and routes of links while a manager begins to serve them. Managers first remove all that
// they did not add themselves, and add it again when a DHCP server has answered: some milliseconds on a good day,
// forever if the server is away. Lifetimes go on, so what the manager does not want ends in its time.
type guard struct {
	rt    *rtnl.Conn
	log   *slog.Logger
	links []guardedLink
	at    int64 // CLOCK_BOOTTIME of the snapshot in ns
	woken <-chan struct{}
	stop  context.CancelFunc
	lost  time.Time // when something was missing last
}

type guardedLink struct {
	nic       NIC
	addresses []rtnl.Object
	routes    []rtnl.Object
}

// Bounds of how long a guard stays.
const (
	guardMax   = 8 * time.Second        // altogether, if the manager does not begin
	guardStart = time.Second            // after it has begun, if nothing is lost
	guardQuiet = 500 * time.Millisecond // after the last loss: a manager removes everything at once
	guardTick  = 50 * time.Millisecond
)

// guarded makes a change after which a manager begins to serve links; begun reports that it does.
func (t *Team) guarded(ctx context.Context, links []NIC, change func(context.Context) error,
	begun func([]NIC) bool) error {
	g, err := guardLinks(ctx, links, t.o.Log)
	if err != nil {
		t.o.Log.Warn("addresses not guarded", "team", t.o.Team, "err", err)
		return change(ctx)
	}
	defer g.close()
	if err := change(ctx); err != nil {
		return err
	}
	g.keep(ctx, func() bool { return begun(links) })
	return nil
}

// guardLinks begins to guard what links have.
func guardLinks(ctx context.Context, nics []NIC, log *slog.Logger) (*guard, error) {
	rt, err := rtnl.Open(log, func(string) error { return nil })
	if err != nil {
		return nil, err
	}
	g := &guard{rt: rt, log: log, at: rtnl.BootTime()}
	ctx, g.stop = context.WithCancel(ctx)
	groups := []uint{unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE,
		unix.RTNLGRP_IPV6_ROUTE}
	g.woken = rtnl.WatchEvents(ctx, groups, func(ctx context.Context, f *os.File, signal func()) {
		rtnl.ReadEvents(ctx, f, func([]byte) { signal() })
	})
	for _, nic := range nics {
		l := guardedLink{nic: nic}
		if l.addresses, err = rt.Addresses(nic.Index); err == nil {
			l.routes, err = rt.LinkRoutes(nic.Index)
		}
		if err != nil || len(l.addresses) == 0 {
			continue // it has gone, or has nothing to lose
		}
		rtnl.SortByDependence(l.routes)
		g.links = append(g.links, l)
	}
	return g, nil
}

// keep adds what is missing until the manager has removed what it does not know.
func (g *guard) keep(ctx context.Context, begun func() bool) {
	tick := time.NewTicker(guardTick)
	defer tick.Stop()
	end := time.Now().Add(guardMax)
	for waits := true; len(g.links) > 0 && time.Now().Before(end); {
		for _, l := range g.links {
			g.restore(l)
		}
		if !g.lost.IsZero() {
			end = g.lost.Add(guardQuiet)
		} else if waits && begun() {
			end, waits = time.Now().Add(guardStart), false
		}
		select {
		case <-g.woken:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// restore adds what a link lacks.
func (g *guard) restore(l guardedLink) {
	have, err := g.rt.Addresses(l.nic.Index)
	if err != nil {
		return
	}
	seconds := (rtnl.BootTime() - g.at) / int64(time.Second)
	for _, a := range l.addresses {
		later, lives := rtnl.Aged(a, seconds)
		if !lives || rtnl.HasAddress(have, a) {
			continue
		}
		err := g.rt.AddAddress(rtnl.AddressRequest(later, l.nic.Index, unix.IFA_F_NODAD), l.nic.Name)
		if err != nil { // such as: IPv6 is disabled for a moment
			g.log.Debug("not kept", "nic", l.nic.Name, "address", rtnl.AddressPrefix(a).String(), "err", err)
			continue
		}
		g.log.Info("kept", "nic", l.nic.Name, "address", rtnl.AddressPrefix(a).String())
		g.lost = time.Now()
	}
	routes, err := g.rt.LinkRoutes(l.nic.Index)
	if err != nil {
		return
	}
	there := rtnl.IndexRoutes(routes)
	for _, r := range l.routes {
		if len(there.SameKey(r)) > 0 {
			continue // there, or replaced by the manager's own
		}
		if err := g.rt.AddRoute(rtnl.RouteRequest(r, nil)); err != nil {
			g.log.Debug("not kept", "nic", l.nic.Name, "route", rtnl.RouteText(r), "err", err) // its source is gone
			continue
		}
		g.lost = time.Now()
	}
}

func (g *guard) close() {
	g.stop()
	g.rt.Close()
}
