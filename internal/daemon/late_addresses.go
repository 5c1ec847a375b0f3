// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"nicteam/internal/host"
)

// Limits of moves from members to the adapter.
const (
	maxMoves   = 5 // of one address or route in moveWindow; more often, two programs want it in different places
	moveWindow = time.Minute

	// companionTime: a route that comes to a NIC so soon after an address belongs to it, as a DHCP client sets them.
	companionTime = 2 * time.Second

	// A move waits until nothing has come to members for lateQuiet, since whoever configures a NIC adds an address and
	// then the routes that need it; but no longer than lateMax.
	lateQuiet = 100 * time.Millisecond
	lateMax   = time.Second
)

// moveLimiter decides when addresses and routes that came to members move to the adapter, and how often.
type moveLimiter struct {
	firstArrival time.Time            // of what has not moved yet; zero: nothing
	moveAt       time.Time            // when it moves
	ipv6Since    map[string]time.Time // by NIC: IPv6 was enabled

	history        map[string][]time.Time // by NIC and address: its moves
	companionUntil map[string]time.Time   // by NIC: until then a route belongs to an address
	lastLease      map[string]leaseMove   // by NIC and address
	watched        bool                   // a DHCP client begins anew when its address is removed
	sharedUntil    map[string]time.Time   // by NIC and leased address: it stays on the NIC too
	damped         []host.Arrival         // not moved by the last adoptLateAddresses
	retryTime      time.Time              // when to try these again
}

// leaseMove is the last move of an address with a lifetime.
type leaseMove struct {
	at    time.Time
	valid time.Duration
}

// noteArrival schedules a move of what came to a member.
func (m *moveLimiter) noteArrival(now time.Time) {
	if m.firstArrival.IsZero() {
		m.firstArrival = now
	}
	m.moveAt = now.Add(lateQuiet)
	if last := m.firstArrival.Add(lateMax); last.Before(m.moveAt) {
		m.moveAt = last
	}
}

// isDue reports whether it is time to move, and resets the schedule.
func (m *moveLimiter) isDue(now time.Time) bool {
	for _, at := range []time.Time{m.moveAt, m.retryTime} {
		if !at.IsZero() && !now.Before(at) {
			m.firstArrival, m.moveAt = time.Time{}, time.Time{}
			return true
		}
	}
	return false
}

// retryAt schedules another try.
func (m *moveLimiter) retryAt(at time.Time) {
	if m.retryTime.IsZero() || at.Before(m.retryTime) {
		m.retryTime = at
	}
}

// shareAfter is how often a leased address may move in moveWindow, renewals not counted, before its NIC keeps it: the
// DHCP client there notices that it goes, and acquires it again.
const shareAfter = 2

// decide says what becomes of an arrival.
func (m *moveLimiter) decide(now time.Time, l host.Arrival) host.Move {
	if l.Left > 0 && l.Address.Addr().Is4() && m.isShared(now, l) {
		return host.Share
	}
	if m.allow(now, l) {
		return host.Shift
	}
	return host.Stay
}

// isShared reports whether a leased address stays on its NIC.
func (m *moveLimiter) isShared(now time.Time, l host.Arrival) bool {
	key := l.NIC + " " + l.Address.String()
	recent := 0
	for _, at := range m.history[key] {
		if now.Sub(at) < moveWindow {
			recent++
		}
	}
	if !m.watched && recent < shareAfter && !now.Before(m.sharedUntil[key]) {
		return false
	}
	if m.sharedUntil == nil {
		m.sharedUntil = map[string]time.Time{}
	}
	m.sharedUntil[key] = now.Add(max(l.Left, moveWindow))
	return true
}

// allow reports whether something may move, and counts the move. A renewed lease may always move: a client that renews
// it after a good part of its lifetime does not fight over the device.
func (m *moveLimiter) allow(now time.Time, l host.Arrival) bool {
	if m.history == nil {
		m.history, m.companionUntil = map[string][]time.Time{}, map[string]time.Time{}
		m.lastLease, m.ipv6Since = map[string]leaseMove{}, map[string]time.Time{}
	}
	if l.Address == host.IPv6Enabled {
		// Whoever enabled it adds an address next.
		since, known := m.ipv6Since[l.NIC]
		if !known {
			since = now
			m.ipv6Since[l.NIC] = now
		}
		if now.Sub(since) < lateMax {
			m.retryAt(since.Add(lateMax))
			return false
		}
		delete(m.ipv6Since, l.NIC)
	}
	if !l.Address.IsValid() && now.Before(m.companionUntil[l.NIC]) {
		return true
	}
	key := l.NIC + " " + l.Address.String()
	if l.Left > 0 {
		was, known := m.lastLease[key]
		m.lastLease[key] = leaseMove{now, l.Left}
		if known && now.Sub(was.at) >= was.valid/4 {
			m.companionUntil[l.NIC] = now.Add(companionTime)
			return true
		}
	}
	past := slices.DeleteFunc(m.history[key], func(t time.Time) bool { return now.Sub(t) >= moveWindow })
	if len(past) >= maxMoves {
		m.history[key] = past
		m.damped = append(m.damped, l)
		m.retryAt(past[0].Add(moveWindow))
		return false
	}
	m.history[key] = append(past, now)
	if l.Address.IsValid() {
		m.companionUntil[l.NIC] = now.Add(companionTime)
	}
	return true
}

// expire drops what no longer limits anything: addresses come and go as long as a team runs.
func (m *moveLimiter) expire(now time.Time) {
	maps.DeleteFunc(m.history, func(_ string, at []time.Time) bool { return now.Sub(at[len(at)-1]) >= moveWindow })
	maps.DeleteFunc(m.lastLease, func(_ string, l leaseMove) bool { return now.Sub(l.at) >= l.valid })
	maps.DeleteFunc(m.companionUntil, func(_ string, until time.Time) bool { return !now.Before(until) })
	maps.DeleteFunc(m.sharedUntil, func(_ string, until time.Time) bool { return !now.Before(until) })
	maps.DeleteFunc(m.ipv6Since, func(_ string, since time.Time) bool { return now.Sub(since) >= moveWindow })
}

// adoptLateAddresses moves what came to members to the adapter, if address=auto.
func (s *session) adoptLateAddresses(ctx context.Context) error {
	members := s.presentMembers()
	if !s.team.Config().Address.FromMembers() {
		return s.reportIgnoredAddresses(members)
	}
	s.moves.damped, s.moves.retryTime = nil, time.Time{}
	s.moves.expire(time.Now())
	decide := func(l host.Arrival) host.Move { return s.moves.decide(time.Now(), l) }
	moved, err := s.host.AdoptArrivals(s.adapter.Index(), members, decide)
	announce := false
	for _, l := range moved {
		if l.Left > 0 && l.Address.Addr().Is4() {
			s.dhcp.leased(l.NIC, l.Address.Addr())
		}
		if l.New && l.Address.IsValid() {
			s.team.Record("address-adopted", l.NIC, l.Address.String())
			announce = true
		}
	}
	if announce {
		_ = s.team.Announce(ctx)
	}
	s.warnDamped(ctx)
	return err
}

// dampedKey is the warning that another program keeps configuring on a member what the team moves away.
const dampedKey = "late held"

func (s *session) warnDamped(ctx context.Context) {
	text := ""
	if len(s.moves.damped) > 0 {
		l := s.moves.damped[0]
		what := "a route"
		switch {
		case l.Address == host.IPv6Enabled:
			what = "IPv6"
		case l.Address.IsValid():
			what = l.Address.String()
		}
		text = fmt.Sprintf("%s came to %s more than %d times a minute and stays there for now: "+
			"another program configures %s, let it configure %s instead", what, l.NIC, maxMoves, l.NIC, s.adapterName)
	}
	if text == s.dampedText {
		return
	}
	s.dampedText = text
	if text != "" {
		s.team.Record("drift", s.moves.damped[0].NIC, text)
	}
	_ = s.team.Warn(ctx, dampedKey, text)
}

// reportIgnoredAddresses records an event for each address that came to a member of a team with addresses of its own.
// It stays on the member.
func (s *session) reportIgnoredAddresses(members []string) error {
	list, err := s.host.Arrivals(members)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, l := range list {
		if !l.Address.IsValid() {
			continue
		}
		text := fmt.Sprintf("%s came to %s and stays there, unused: %s has configured addresses only",
			l.Address, l.NIC, s.adapterName)
		if seen[text] = true; !s.ignored[text] {
			s.team.Record("drift", l.NIC, text)
		}
	}
	s.ignored = seen
	return nil
}
