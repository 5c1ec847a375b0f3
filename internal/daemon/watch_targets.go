// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	"nicteam/internal/host"
	"nicteam/internal/settings"
	"nicteam/monitor"
)

// Bounds of how often the targets of link watches are read, however often routes change.
const (
	targetsGap   = 50 * time.Millisecond // after an event: who sets a route often sets several
	targetsShare = 100                   // after a reading, none for so many times its duration: tables may be large
	targetsEvery = 10 * time.Second      // without an event: no event tells of routes of routing daemons …
	hostsEvery   = 5 * time.Second       // … or of neighbours, which matter where there is no gateway
)

// watchTargets are whom link watches can ask.
type watchTargets struct {
	told    monitor.Targets
	wake    chan struct{} // settings have changed
	settled chan struct{} // closed: the routes are the adapter's
	once    sync.Once     // for settled
}

func newWatchTargets() *watchTargets {
	return &watchTargets{wake: make(chan struct{}, 1), settled: make(chan struct{})}
}

// settle says that the adapter has its routes.
func (w *watchTargets) settle() { w.once.Do(func() { close(w.settled) }) }

// wakeUp has the targets read again.
func (w *watchTargets) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// askedOnes reports whether link watches ask gateways, and hosts.
func askedOnes(c *settings.Config) (gateways, hosts bool) {
	hosts = slices.Contains(c.LinkWatch, monitor.KindAuto) && !c.Mode.HasPartner()
	return hosts || slices.Contains(c.LinkWatch, monitor.KindGateway), hosts
}

// readWatchTargets reads the targets on these links.
func (s *session) readWatchTargets(c *settings.Config, links ...int) (monitor.Targets, error) {
	gateways, hosts := askedOnes(c)
	o := host.TargetOptions{Hosts: hosts, Was: s.watchTargets.told}
	for _, w := range c.Watches() {
		if w.IP.IsValid() {
			o.Asked = append(o.Asked, w.IP)
		}
	}
	if !gateways && len(o.Asked) == 0 {
		return monitor.Targets{}, nil
	}
	return s.host.WatchTargets(o, links...)
}

// firstWatchTargets are the targets before the members' routes move to the adapter: a member can ask as soon as it
// joins.
func (u *startup) firstWatchTargets() monitor.Targets {
	c := u.config
	links := []int{u.adapter.Index()}
	for _, name := range c.MemberNames() {
		if n, err := u.host.NIC(name); err == nil {
			links = append(links, n.Index)
		}
	}
	t, err := u.readWatchTargets(&c, links...)
	if err != nil {
		u.log.Warn("targets of link watches not read", "team", c.Team, "err", err)
	}
	if gateways, _ := askedOnes(&c); gateways && !c.Address.FromMembers() && !u.resume {
		t.Gateways = nil
		if c.Gateway.IsValid() {
			t.Gateways = []monitor.Target{{IP: c.Gateway}}
		}
	}
	u.watchTargets.told = t
	return t
}

// followWatchTargets tells the control loop whom link watches can ask, whenever that changes, until ctx ends.
func (s *session) followWatchTargets(ctx context.Context) {
	select {
	case <-s.watchTargets.settled:
	case <-ctx.Done():
		return
	}
	news := s.follower.Subscribe(host.AdapterLink | host.AdapterConfig | host.UpperLink | host.UpperConfig |
		host.UpperRoutes)
	for {
		c := s.team.Config()
		began := time.Now()
		t, err := s.readWatchTargets(&c, s.adapter.Index())
		switch {
		case err != nil:
			s.log.Debug("targets of link watches not read", "err", err)
		case !reflect.DeepEqual(t, s.watchTargets.told) && s.team.SetWatchTargets(ctx, t) == nil:
			s.watchTargets.told = t
		}
		ended := time.Now()
		rest := targetsShare * ended.Sub(began)
		every := targetsEvery
		if _, hosts := askedOnes(&c); hosts && len(t.Gateways) == 0 {
			every = hostsEvery
		}
		timer := time.NewTimer(max(every, rest))
		select {
		case <-news.C():
		case <-s.watchTargets.wake:
		case <-timer.C:
		case <-ctx.Done(): // the channels are never closed
			timer.Stop()
			return
		}
		timer.Stop()
		select {
		case <-time.After(max(targetsGap, time.Until(ended.Add(min(rest, targetsEvery))))):
		case <-ctx.Done():
			return
		}
	}
}
