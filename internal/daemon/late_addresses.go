package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"nicteam/internal/host"
	"nicteam/internal/settings"
)

const (
	// maxMoves is how often in moveWindow one thing moves from a member to the adapter: more often than that there are two who
	// want it in different places.
	maxMoves   = 5
	moveWindow = time.Minute
	// companionTime is how long after an address whatever comes to the same NIC belongs to it: a DHCP client sets the route
	// after the address.
	companionTime = 2 * time.Second
)

const (
	// lateQuiet is for how long nothing has come to members before it is moved: who configures a NIC adds an address and then
	// what needs it, such as a route by a gateway …
	lateQuiet = 100 * time.Millisecond
	// … but nothing waits longer than this.
	lateMax = time.Second
)

// moveLimiter decides when what came to members moves, and bounds how often.
type moveLimiter struct {
	firstArrival time.Time            // when something came that has not been moved yet …
	moveAt       time.Time            // … and when it is to be
	ipv6Since    map[string]time.Time // since when NICs have IPv6

	history        map[string][]time.Time // of moves, by NIC and address
	companionUntil map[string]time.Time   // by NIC: until then its routes are an address's
	lastLease      map[string]leaseMove
	damped         []host.Late // held back at the last look
	retryTime      time.Time   // when to look again for the sake of these
}

// leaseMove is an address with a time, as it last moved.
type leaseMove struct {
	at    time.Time
	valid time.Duration
}

// noteArrival has what came to a member at now be moved once it is quiet.
func (m *moveLimiter) noteArrival(now time.Time) {
	if m.firstArrival.IsZero() {
		m.firstArrival = now
	}
	m.moveAt = now.Add(lateQuiet)
	if last := m.firstArrival.Add(lateMax); last.Before(m.moveAt) {
		m.moveAt = last
	}
}

// isDue reports whether it is time to move what came.
func (m *moveLimiter) isDue(now time.Time) bool {
	for _, at := range []time.Time{m.moveAt, m.retryTime} {
		if !at.IsZero() && !now.Before(at) {
			m.firstArrival, m.moveAt = time.Time{}, time.Time{}
			return true
		}
	}
	return false
}

// retryAt has the members be looked at again at a time.
func (m *moveLimiter) retryAt(at time.Time) {
	if m.retryTime.IsZero() || at.Before(m.retryTime) {
		m.retryTime = at
	}
}

// allow reports whether something may move now, and counts it. A DHCP client that renews an address when a good part of
// its time is over wants nothing else than what it was given.
func (m *moveLimiter) allow(now time.Time, l host.Late) bool {
	if m.history == nil {
		m.history, m.companionUntil, m.lastLease, m.ipv6Since = map[string][]time.Time{}, map[string]time.Time{}, map[string]leaseMove{}, map[string]time.Time{}
	}
	if l.Address == host.IPv6 {
		// Whoever turned it on has an address for it.
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

// expire drops what no longer decides anything: addresses come and go for as long as a team runs.
func (m *moveLimiter) expire(now time.Time) {
	maps.DeleteFunc(m.history, func(_ string, at []time.Time) bool { return now.Sub(at[len(at)-1]) >= moveWindow })
	maps.DeleteFunc(m.lastLease, func(_ string, l leaseMove) bool { return now.Sub(l.at) >= l.valid })
	maps.DeleteFunc(m.companionUntil, func(_ string, until time.Time) bool { return !now.Before(until) })
	maps.DeleteFunc(m.ipv6Since, func(_ string, since time.Time) bool { return now.Sub(since) >= moveWindow })
}

// adoptLateAddresses moves to the adapter what came to members, where the team is to have what its members have.
func (s *session) adoptLateAddresses(ctx context.Context) error {
	members := s.presentMembers()
	if s.team.Config().Address != settings.AddressAuto {
		return s.reportIgnoredAddresses(members)
	}
	s.moves.damped, s.moves.retryTime = nil, time.Time{}
	s.moves.expire(time.Now())
	moved, err := s.host.AdoptLate(s.adapter.Index(), members, func(l host.Late) bool { return s.moves.allow(time.Now(), l) })
	announce := false
	for _, l := range moved {
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

// dampedKey is the warning that somebody insists on having on a member what the team moves away.
const dampedKey = "late held"

func (s *session) warnDamped(ctx context.Context) {
	text := ""
	if len(s.moves.damped) > 0 {
		l := s.moves.damped[0]
		what := "a route"
		switch {
		case l.Address == host.IPv6:
			what = "IPv6"
		case l.Address.IsValid():
			what = l.Address.String()
		}
		text = fmt.Sprintf("%s came to %s more than %d times a minute and is left there for now: somebody else configures %s, have it configure %s instead",
			what, l.NIC, maxMoves, l.NIC, s.adapterName)
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

// reportIgnoredAddresses tells once of each thing that came to a member of a team whose addresses are its own: it is left alone.
func (s *session) reportIgnoredAddresses(members []string) error {
	list, err := s.host.LateOn(members)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, l := range list {
		if !l.Address.IsValid() {
			continue
		}
		text := fmt.Sprintf("%s came to %s and stays there, where it is of no use: %s has the addresses that it was given only", l.Address, l.NIC, s.adapterName)
		if seen[text] = true; !s.ignoredAddresses[text] {
			s.team.Record("drift", l.NIC, text)
		}
	}
	s.ignoredAddresses = seen
	return nil
}
