// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"nicteam/internal/host"
)

// The part of a lease after which it has a stage. A client renews after half of it (T1, RFC 2131) and gets time to be
// answered; then the team renews it, and gets time too.
const (
	takeoverAt = 9. / 16
	overdueAt  = 5. / 8
	urgentAt   = 0.8
)

// unrenewedAfter is how long a team whose host has no DHCP client asks servers before it warns.
const unrenewedAfter = 2 * time.Second

// expiryTolerance is how exactly the kernel keeps an address's lifetime.
const expiryTolerance = 3 * time.Second

// leases are the adapter's addresses with a lifetime.
type leases struct {
	known     map[netip.Prefix]lease
	expired   map[netip.Prefix]bool // and not added again
	noClient  bool                  // no DHCP client ran when the team started
	started   bool                  // followLeases has run once
	startedAt time.Time
	nextStage time.Time // when the next one becomes overdue, urgent or expires
}

type lease struct {
	expires time.Time
	stage   leaseStage
	// unrenewed is the expiry when the team started without a client that could renew it; zero after a renewal.
	unrenewed time.Time
	told      bool // people are told of unrenewed
}

type leaseStage int

const (
	leaseFresh   leaseStage = iota
	leaseDue                // the team renews it, if no other client has
	leaseOverdue            // renewal is due
	leaseUrgent             // most of the lifetime is over
)

// stageOf returns the stage of a lease, and when its next stage begins.
func stageOf(now time.Time, l host.Lease) (leaseStage, time.Time) {
	at := func(part float64) time.Time {
		return now.Add(l.Left - time.Duration((1-part)*float64(l.Total)))
	}
	switch due, late, urgent := at(takeoverAt), at(overdueAt), at(urgentAt); {
	case now.Before(due):
		return leaseFresh, due
	case now.Before(late):
		return leaseDue, late
	case now.Before(urgent):
		return leaseOverdue, urgent
	}
	return leaseUrgent, now.Add(l.Left + time.Second)
}

// followLeases warns of addresses that nobody renews, before they expire.
func (s *session) followLeases(ctx context.Context, a host.AdapterState) error {
	now := time.Now()
	if !s.leases.started {
		s.leases.startedAt = now
	}
	a.Leases = s.withoutLetGo(a.Leases)
	s.dhcp.observe(a, s.leases.noClient)
	was := s.leases.known
	s.leases.known, s.leases.nextStage = map[netip.Prefix]lease{}, time.Time{}
	if s.leases.expired == nil {
		s.leases.expired = map[netip.Prefix]bool{}
	}
	for _, l := range a.Leases {
		next := lease{expires: now.Add(l.Left)}
		old, known := was[l.Address]
		if !s.leases.started && s.leases.noClient && !s.dhcp.renews(l.Address.Addr()) {
			next.unrenewed = next.expires
		} else if known && !old.unrenewed.IsZero() && next.expires.Sub(old.unrenewed).Abs() < expiryTolerance {
			next.unrenewed = old.unrenewed
		}
		stage, at := stageOf(now, l)
		next.stage = stage
		if s.leases.nextStage.IsZero() || at.Before(s.leases.nextStage) {
			s.leases.nextStage = at
		}
		if warnAt := s.leases.startedAt.Add(unrenewedAfter); !next.unrenewed.IsZero() {
			if next.told = !now.Before(warnAt); !next.told && warnAt.Before(s.leases.nextStage) {
				s.leases.nextStage = warnAt
			}
		}
		s.leases.known[l.Address] = next
		s.warnLease(ctx, l, next, old, known)
	}
	s.leases.started = true
	for _, p := range a.Left {
		old, known := was[p]
		if !known {
			continue
		}
		_ = s.team.Warn(ctx, leaseKey(p), "")
		if d := old.expires.Sub(now); d < expiryTolerance && !s.dhcp.superseded(p.Addr()) {
			text := fmt.Sprintf("%s expired on %s: not renewed", p, s.adapterName)
			s.team.Record("lease-warning", "", text)
			_ = s.team.Warn(ctx, leaseKey(p), text)
			s.leases.expired[p] = true
		}
	}
	for p := range s.leases.expired {
		if _, back := s.leases.known[p]; back || slices.Contains(a.Addresses, p) {
			delete(s.leases.expired, p)
			if !back {
				_ = s.team.Warn(ctx, leaseKey(p), "")
			}
		}
	}
	for p := range was { // permanent by a change
		if _, still := s.leases.known[p]; !still && slices.Contains(a.Addresses, p) {
			_ = s.team.Warn(ctx, leaseKey(p), "")
		}
	}
	return nil
}

func leaseKey(p netip.Prefix) string { return "lease " + p.String() }

// warnLease warns of one lease if its stage has changed.
func (s *session) warnLease(ctx context.Context, l host.Lease, now, was lease, known bool) {
	ends := now.expires.Format(time.TimeOnly)
	if s.dhcp.superseded(l.Address.Addr()) {
		_ = s.team.Advise(ctx, leaseKey(l.Address), "")
		return
	}
	text, answer := "", s.dhcp.noteOf(l.Address.Addr())
	if answer != "" {
		answer = " (" + answer + ")"
	}
	switch {
	case now.stage == leaseUrgent:
		text = fmt.Sprintf("%s on %s expires at %s: its lease of %v was not renewed%s",
			l.Address, s.adapterName, ends, l.Total.Round(time.Second), answer)
	case now.stage == leaseOverdue:
		text = fmt.Sprintf("%s on %s expires at %s: renewal of its lease of %v is due%s",
			l.Address, s.adapterName, ends, l.Total.Round(time.Second), answer)
	case now.told && l.Address.Addr().Is6():
		text = fmt.Sprintf("%s on %s expires at %s: it is leased, and no DHCP client ran that could renew it",
			l.Address, s.adapterName, ends)
	case now.told:
		text = fmt.Sprintf("%s on %s expires at %s: no DHCP client runs, and nicteam could not renew its lease%s",
			l.Address, s.adapterName, ends, answer)
	}
	same := now.stage == was.stage && now.told == was.told
	if known && same && !s.leases.expired[l.Address] {
		return
	}
	if text != "" {
		s.team.Record("lease-warning", "", text)
	}
	if now.stage == leaseUrgent {
		_ = s.team.Warn(ctx, leaseKey(l.Address), text)
		return
	}
	_ = s.team.Advise(ctx, leaseKey(l.Address), text)
}
