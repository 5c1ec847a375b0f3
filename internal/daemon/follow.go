package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nicteam/internal/host"
	"nicteam/internal/settings"
	"nicteam/team"
)

const (
	// followGap is the least time between two looks at the host, however often others change it …
	followGap = 10 * time.Millisecond
	// … and a look may take this part of the time at most, …
	followShare = 20
	// … but nobody waits longer than this for the next one.
	followMax = time.Second
	// followEvery is how often the host is looked at though nothing was told: no kernel tells of proxy neighbours.
	followEvery = 10 * time.Second
)

// errLost ends the team's process when somebody took its adapter away.
var errLost = errors.New("the adapter is gone")

// followHost keeps the team in step with what others do to its host, until ctx ends. It is woken by events and reads the state
// as it is then.
//
//	adapter    gone                    the host is given back, the process ends
//	           down, up                the team is down; what the kernel took away is put back
//	           name, MTU               followed; its MAC is followed by followAdapterMAC
//	           addresses that leave    forgotten by journal and mode
//	           addresses with a time   watched (leases.go)
//	behind it  addresses that leave    the same: VLANs, a bridge
//	members    gone, back, another     rejoin.go
//	           name, MAC, MTU          the control loop is told
//	           addresses, routes,
//	           rules, neighbours       moved to the adapter or copied, as when the team began (late.go)
func (s *session) followHost(ctx context.Context) {
	// Links are looked at at once: what comes by a NIC that has returned must not reach the host beside the team.
	const links = host.AdapterLink | host.MemberLink | host.OtherLink | host.BehindLink
	urgent, other := s.follower.News(links), s.follower.News(host.AnyChange&^(links|host.AdapterGroups|host.OtherHas))
	changed, looked, rest := host.AnyChange, time.Time{}, time.Time{}
	for {
		began := time.Now()
		if changed&host.MemberHas != 0 {
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
			changed = urgent.Take()
		case <-rested:
			changed = other.Take()
		case <-timer.C:
			if at := s.leases.nextStage; !at.IsZero() && !time.Now().Before(at) || time.Since(looked) >= followEvery {
				changed = host.AdapterHas | host.MemberHas
			}
		case <-ctx.Done(): // the channels are never closed
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// untilNextLook is when to look though nothing has happened: an address is about to run out, or something that was held back
// may move.
func (s *session) untilNextLook(now time.Time) time.Duration {
	wait := followEvery
	for _, at := range []time.Time{s.leases.nextStage, s.moves.retryTime, s.moves.moveAt} {
		if !at.IsZero() {
			wait = min(wait, max(at.Sub(now), 0))
		}
	}
	return wait
}

// reconcile brings team and host in line after changes.
func (s *session) reconcile(ctx context.Context, changed host.Change) error {
	const some = host.AdapterLink | host.AdapterHas
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	if s.hasEnded(ctx) {
		return nil
	}
	var errs []error
	if changed&(host.MemberHas|host.MemberLink) != 0 {
		s.moves.noteArrival(time.Now())
	}
	if s.moves.isDue(time.Now()) {
		errs = append(errs, s.adoptLateAddresses(ctx))
	}
	if changed&(host.MemberHas|host.Rules) != 0 && s.team.Config().Address == settings.AddressAuto {
		errs = append(errs, s.host.AdoptRules(s.adapter.Index(), s.presentMembers()))
	}
	if changed&(host.BehindLink|host.BehindHas|host.AdapterLink) != 0 {
		errs = append(errs, s.followUppers(ctx))
	}
	if changed&some != 0 {
		gone, err := s.followAdapter(ctx)
		if gone {
			return nil
		}
		errs = append(errs, err)
	}
	if changed&(host.MemberLink|host.AdapterLink) != 0 {
		errs = append(errs, s.syncLinks(ctx))
	}
	if changed&(host.MemberLink|host.OtherLink) != 0 {
		s.rejoinNICs(ctx)
	}
	return errors.Join(errs...)
}

// hasEnded reports whether the team was ended while somebody waited for changing.
func (s *session) hasEnded(ctx context.Context) bool {
	select {
	case <-s.deleted:
		return true
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

// updateFollower tells the follower which links are members, and leaves other NICs to other teams. Whoever changes members calls
// it at the end.
func (s *session) updateFollower() {
	var indexes []int
	for _, m := range s.team.Members() {
		if m.State != "absent" {
			indexes = append(indexes, m.Index)
		}
	}
	s.follower.Members(indexes)
	s.nics.KeepOnly(append(indexes, s.adapter.Index())...)
}

// followAdapter looks at the adapter.
func (s *session) followAdapter(ctx context.Context) (gone bool, err error) {
	a, err := s.follower.Look()
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
		err = errors.Join(err, s.adapterRenamed(ctx, a.Name))
	}
	if a.MTU != s.mtu {
		err = errors.Join(err, s.followMTU(ctx, a.LinkFacts))
	}
	if len(a.Back)+len(a.Lost) > 0 {
		s.log.Info("adapter is up again", "put back", strings.Join(a.Back, ", "))
		for _, what := range a.Lost {
			s.team.Record("drift", "", "the adapter lost by going down: "+what)
		}
		_ = s.team.Announce(ctx)
	}
	return false, errors.Join(err, s.forgetAddresses(ctx, a.Left), s.followLeases(ctx, a))
}

// forgetAddresses has everybody forget addresses that the adapter no longer has.
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

// movedToBridge reports whether an address went to the bridge that the adapter is a port of.
func (s *session) movedToBridge(ip netip.Addr) bool {
	for b := range s.upperAddresses {
		if b.Address.Addr() == ip && b.VLAN == 0 {
			return true
		}
	}
	return false
}

// followUppers has everybody forget addresses that VLANs on the adapter and the like no longer have.
func (s *session) followUppers(ctx context.Context) error {
	have, gone, err := s.follower.Behind()
	if err != nil {
		return err
	}
	for b := range s.upperAddresses {
		if !have[b] && !slices.Contains(gone, b) {
			gone = append(gone, b) // with its link
		}
	}
	s.upperAddresses = have
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

// adapterRenamed follows the adapter to the name that somebody gave it. The team keeps its own.
func (s *session) adapterRenamed(_ context.Context, name string) error {
	s.team.Record("drift", "", fmt.Sprintf("the adapter is called %s by other hands, it was %s", name, s.adapterName))
	s.adapterName = name
	return s.host.AdapterRenamed(s.adapter.Index())
}

// adapterLost ends the team: serve gives the host back.
func (s *session) adapterLost(why string) {
	_ = s.follower.GiveLast()
	select {
	case s.failed <- fmt.Errorf("%w: %s; the host was given back", errLost, why):
	default: // the control loop has ended already
	}
}
