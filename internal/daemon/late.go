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
	// movesMax is how often in movesWindow one thing moves from a member to the adapter: more often than that there are two who
	// want it in different places.
	movesMax    = 5
	movesWindow = time.Minute
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

// moves decides when what came to members moves, and bounds how often.
type moves struct {
	first     time.Time            // when something came that has not been moved yet …
	due       time.Time            // … and when it is to be
	ipv6Since map[string]time.Time // since when NICs have IPv6

	history    map[string][]time.Time // of moves, by NIC and address
	companions map[string]time.Time   // by NIC: until then its routes are an address's
	lease      map[string]lastMove
	held       []host.Late // held back at the last look
	next       time.Time   // when to look again for the sake of these
}

// lastMove is an address with a time, as it last moved.
type lastMove struct {
	at    time.Time
	valid time.Duration
}

// noticed has what came to a member at now be moved once it is quiet.
func (m *moves) noticed(now time.Time) {
	if m.first.IsZero() {
		m.first = now
	}
	m.due = now.Add(lateQuiet)
	if last := m.first.Add(lateMax); last.Before(m.due) {
		m.due = last
	}
}

// ready reports whether it is time to move what came.
func (m *moves) ready(now time.Time) bool {
	for _, at := range []time.Time{m.due, m.next} {
		if !at.IsZero() && !now.Before(at) {
			m.first, m.due = time.Time{}, time.Time{}
			return true
		}
	}
	return false
}

// lookAt has the members be looked at again at a time.
func (m *moves) lookAt(at time.Time) {
	if m.next.IsZero() || at.Before(m.next) {
		m.next = at
	}
}

// allow reports whether something may move now, and counts it. A DHCP client that renews an address when a good part of
// its time is over wants nothing else than what it was given.
func (m *moves) allow(now time.Time, l host.Late) bool {
	if m.history == nil {
		m.history, m.companions, m.lease, m.ipv6Since = map[string][]time.Time{}, map[string]time.Time{}, map[string]lastMove{}, map[string]time.Time{}
	}
	if l.Address == host.IPv6 {
		// Whoever turned it on has an address for it.
		since, known := m.ipv6Since[l.NIC]
		if !known {
			since = now
			m.ipv6Since[l.NIC] = now
		}
		if now.Sub(since) < lateMax {
			m.lookAt(since.Add(lateMax))
			return false
		}
		delete(m.ipv6Since, l.NIC)
	}
	if !l.Address.IsValid() && now.Before(m.companions[l.NIC]) {
		return true
	}
	key := l.NIC + " " + l.Address.String()
	if l.Left > 0 {
		was, known := m.lease[key]
		m.lease[key] = lastMove{now, l.Left}
		if known && now.Sub(was.at) >= was.valid/4 {
			m.companions[l.NIC] = now.Add(companionTime)
			return true
		}
	}
	past := slices.DeleteFunc(m.history[key], func(t time.Time) bool { return now.Sub(t) >= movesWindow })
	if len(past) >= movesMax {
		m.history[key] = past
		m.held = append(m.held, l)
		m.lookAt(past[0].Add(movesWindow))
		return false
	}
	m.history[key] = append(past, now)
	if l.Address.IsValid() {
		m.companions[l.NIC] = now.Add(companionTime)
	}
	return true
}

// forget drops what no longer decides anything: addresses come and go for as long as a team runs.
func (m *moves) forget(now time.Time) {
	maps.DeleteFunc(m.history, func(_ string, at []time.Time) bool { return now.Sub(at[len(at)-1]) >= movesWindow })
	maps.DeleteFunc(m.lease, func(_ string, l lastMove) bool { return now.Sub(l.at) >= l.valid })
	maps.DeleteFunc(m.companions, func(_ string, until time.Time) bool { return !now.Before(until) })
	maps.DeleteFunc(m.ipv6Since, func(_ string, since time.Time) bool { return now.Sub(since) >= movesWindow })
}

// adoptLate moves to the adapter what came to members, where the team is to have what its members have.
func (s *session) adoptLate(ctx context.Context) error {
	members := s.presentMembers()
	if s.team.Config().Address != settings.AddressAuto {
		return s.reportLeftAlone(members)
	}
	s.moves.held, s.moves.next = nil, time.Time{}
	s.moves.forget(time.Now())
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
	s.warnHeld(ctx)
	return err
}

// heldKey is the warning that somebody insists on having on a member what the team moves away.
const heldKey = "late held"

func (s *session) warnHeld(ctx context.Context) {
	text := ""
	if len(s.moves.held) > 0 {
		l := s.moves.held[0]
		what := "a route"
		switch {
		case l.Address == host.IPv6:
			what = "IPv6"
		case l.Address.IsValid():
			what = l.Address.String()
		}
		text = fmt.Sprintf("%s came to %s more than %d times a minute and is left there for now: somebody else configures %s, have it configure %s instead",
			what, l.NIC, movesMax, l.NIC, s.name)
	}
	if text == s.heldText {
		return
	}
	s.heldText = text
	if text != "" {
		s.team.Record("drift", s.moves.held[0].NIC, text)
	}
	_ = s.team.Warn(ctx, heldKey, text)
}

// reportLeftAlone tells once of each thing that came to a member of a team whose addresses are its own: it is left alone.
func (s *session) reportLeftAlone(members []string) error {
	list, err := s.host.LateOn(members)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, l := range list {
		if !l.Address.IsValid() {
			continue
		}
		text := fmt.Sprintf("%s came to %s and stays there, where it is of no use: %s has the addresses that it was given only", l.Address, l.NIC, s.name)
		if seen[text] = true; !s.seen[text] {
			s.team.Record("drift", l.NIC, text)
		}
	}
	s.seen = seen
	return nil
}
