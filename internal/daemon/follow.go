// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"nicteam/internal/host"
	"nicteam/team"
)

// Bounds of how often the host is read, however often others change it.
const (
	followGap   = 10 * time.Millisecond // between two readings
	followShare = 20                    // after a reading, no address or route is read for so many times its duration …
	followMax   = time.Second           // … but for no longer than this
	followEvery = 10 * time.Second      // without an event: no kernel reports changes of proxy neighbours
)

// errLost ends the team's process after somebody deleted its adapter or moved it to another network namespace.
var errLost = errors.New("the adapter is gone")

// followHost makes the team follow what others change on the host, until ctx ends. Events wake it; it reads the state
// then.
//
//	adapter   deleted                 the host is put back, the process ends
//	          down, up                the team is down; what the kernel removed is restored
//	          name, MTU               followed (follow_links.go); followAdapterMAC follows its MAC
//	          addresses that leave    dropped from the journal and the mode
//	          addresses with a        watched (leases.go)
//	          lifetime
//	uppers    addresses that leave    dropped likewise: VLANs on the adapter, its bridge
//	members   gone, back, replaced    rejoin.go
//	          name, MAC, MTU          reported to the control loop (follow_links.go)
//	          addresses, routes,
//	          rules, neighbours       moved or copied to the adapter, as at the start (late_addresses.go)
func (s *session) followHost(ctx context.Context) {
	// Link changes do not wait: frames of a NIC that has returned must not reach the host beside the team.
	const links = host.AdapterLink | host.MemberLink | host.OtherLink | host.UpperLink
	urgent, other := s.follower.Subscribe(links),
		s.follower.Subscribe(host.AnyChange&^(links|host.AdapterGroups|host.OtherConfig|host.UpperRoutes))
	changed, looked, rest := host.AnyChange, time.Time{}, time.Time{}
	for {
		began := time.Now()
		if changed&host.MemberConfig != 0 {
			looked = began
		}
		if err := s.reconcile(ctx, changed); err != nil && ctx.Err() == nil {
			s.log.Warn("host not followed", "err", err)
		}
		if now := time.Now(); changed&^links != 0 {
			rest = now.Add(min(followShare*now.Sub(began), followMax))
		}
		select {
		case <-time.After(followGap):
		case <-ctx.Done():
			return
		}
		now := time.Now()
		wait, rested := s.untilNextLook(now), other.C()
		if left := rest.Sub(now); left > 0 {
			wait, rested = min(wait, left), nil
		}
		timer := time.NewTimer(wait)
		changed = 0
		select {
		case <-urgent.C():
			changed = urgent.Changes()
		case <-rested:
			changed = other.Changes()
		case <-timer.C:
			if at := s.leases.nextStage; !at.IsZero() && !time.Now().Before(at) || time.Since(looked) >= followEvery {
				changed = host.AdapterConfig | host.MemberConfig
			}
		case <-ctx.Done(): // the channels are never closed
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// untilNextLook is the time until the host is read without an event: an address is about to expire, or an address on a
// member may move.
func (s *session) untilNextLook(now time.Time) time.Duration {
	wait := followEvery
	for _, at := range []time.Time{s.leases.nextStage, s.moves.retryTime, s.moves.moveAt} {
		if !at.IsZero() {
			wait = min(wait, max(at.Sub(now), 0))
		}
	}
	return wait
}

// reconcile adapts the team to what has changed on the host.
func (s *session) reconcile(ctx context.Context, changed host.Change) error {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	if s.hasEnded(ctx) {
		return nil
	}
	var errs []error
	if changed&(host.MemberConfig|host.MemberLink) != 0 {
		s.moves.noteArrival(time.Now())
	}
	if s.moves.isDue(time.Now()) {
		errs = append(errs, s.adoptLateAddresses(ctx))
	}
	if changed&(host.MemberConfig|host.Rules) != 0 && s.team.Config().Address.FromMembers() {
		errs = append(errs, s.host.SyncRules(s.adapter.Index(), s.presentMembers()))
	}
	if changed&(host.UpperLink|host.UpperConfig|host.AdapterLink) != 0 {
		errs = append(errs, s.followUppers(ctx))
	}
	if changed&(host.AdapterLink|host.AdapterConfig) != 0 {
		gone, err := s.followAdapter(ctx)
		if gone {
			return nil
		}
		errs = append(errs, err)
		s.adapterReader.refresh()
	}
	if changed&(host.UpperLink|host.UpperConfig|host.AdapterLink|host.AdapterConfig) != 0 {
		errs = append(errs, s.reportHeld(ctx))
	}
	if changed&(host.MemberLink|host.AdapterLink) != 0 {
		errs = append(errs, s.syncLinks(ctx))
	}
	if changed&(host.MemberLink|host.OtherLink) != 0 {
		s.rejoinNICs(ctx)
	}
	return errors.Join(errs...)
}

// hasEnded reports whether the team ended while the caller waited for changeMu.
func (s *session) hasEnded(ctx context.Context) bool {
	return s.isOver() || ctx.Err() != nil
}

// updateFollower tells the follower which interfaces are members and unlocks all other NICs. Call it after each change
// of members.
func (s *session) updateFollower() {
	var indexes []int
	for _, m := range s.team.Members() {
		if m.State != "absent" {
			indexes = append(indexes, m.Index)
		}
	}
	s.follower.Members(indexes)
	s.nics.KeepOnly(append(indexes, s.adapter.Index())...)
	s.managers.Changed()
}

// followAdapter reads the adapter and handles what has changed. gone: the team is ending.
func (s *session) followAdapter(ctx context.Context) (gone bool, err error) {
	a, err := s.follower.Sync()
	if errors.Is(err, host.ErrNoNIC) {
		s.adapterLost("the adapter was deleted, or moved to another network namespace")
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if a.Up != s.adapterUp {
		s.adapterUp = a.Up
		err = s.team.AdapterUp(ctx, a.Up)
	}
	if a.Name != s.adapterName {
		err = errors.Join(err, s.adapterRenamed(a.Name))
	}
	if a.MTU != s.mtu {
		err = errors.Join(err, s.followMTU(ctx, a.LinkState))
	}
	if len(a.Back)+len(a.Lost) > 0 {
		s.log.Info("adapter is up again", "restored", strings.Join(a.Back, ", "))
		for _, what := range a.Lost {
			s.team.Record("drift", "", "lost while the adapter was down: "+what)
		}
		_ = s.team.Announce(ctx)
	}
	return false, errors.Join(err, s.forgetAddresses(ctx, a.Left), s.followLeases(ctx, a))
}

// forgetAddresses makes the mode forget addresses that the adapter no longer has.
func (s *session) forgetAddresses(ctx context.Context, list []netip.Prefix) error {
	if len(list) == 0 {
		return nil
	}
	var left []team.LeftAddress
	for _, p := range list {
		if !s.movedToBridge(p.Addr()) {
			left = append(left, team.LeftAddress{IP: p.Addr()})
		}
		s.team.Record("address-left", "", p.String())
	}
	return s.team.AddressesLeft(ctx, left)
}

// movedToBridge reports whether the bridge that the adapter is a port of has the address now.
func (s *session) movedToBridge(ip netip.Addr) bool {
	for b := range s.uppers {
		if b.Address.Addr() == ip && b.VLAN == 0 {
			return true
		}
	}
	return false
}

// reportHeld reports which addresses the host has behind the adapter. An adapter that is down has lost those of IPv6,
// and gets them back.
func (s *session) reportHeld(ctx context.Context) error {
	if !s.adapterUp {
		return nil
	}
	held, err := s.host.HeldAddresses(s.adapter.Index())
	if err != nil || s.held != nil && reflect.DeepEqual(held, *s.held) {
		return err
	}
	if err = s.team.AddressesHeld(ctx, held); err == nil {
		s.held = &held
	}
	return err
}

// followUppers makes the mode forget addresses that interfaces on top of the adapter no longer have.
func (s *session) followUppers(ctx context.Context) error {
	have, gone, err := s.follower.UpperAddresses()
	if err != nil {
		return err
	}
	for b := range s.uppers {
		if !have[b] && !slices.Contains(gone, b) {
			gone = append(gone, b) // its interface is gone
		}
	}
	s.uppers = have
	var left []team.LeftAddress
	for _, b := range gone {
		left = append(left, team.LeftAddress{IP: b.Address.Addr(), VLAN: b.VLAN})
		s.team.Record("address-left", "", fmt.Sprintf("%s of %s", b.Address, b.NIC))
	}
	if len(left) == 0 {
		return nil
	}
	return s.team.AddressesLeft(ctx, left)
}

// adapterRenamed follows a rename of the adapter. The team keeps its name.
func (s *session) adapterRenamed(name string) error {
	s.team.Record("drift", "", fmt.Sprintf("the adapter was renamed from %s to %s", s.adapterName, name))
	s.adapterName = name
	return s.host.RecordAdapterName(s.adapter.Index())
}

// adapterLost ends the team: serve puts the host back.
func (s *session) adapterLost(why string) {
	_ = s.follower.JournalLast()
	select {
	case s.failed <- fmt.Errorf("%w: %s; the host was put back", errLost, why):
	default: // the control loop has ended already
	}
}
