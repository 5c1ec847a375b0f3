package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"nicteam/internal/host"
)

// The part of an address's time that is over when people are told. Who renews does so after half of it, and is given the
// time to be answered.
const (
	overdueAt = 9. / 16
	urgentAt  = 0.8
)

// expiryTolerance is how exactly the kernel keeps an address's time.
const expiryTolerance = 3 * time.Second

// leases are the adapter's addresses whose time is limited.
type leases struct {
	known     map[netip.Prefix]lease
	expired   map[netip.Prefix]bool // and nobody has given them again
	noClient  bool                  // no program that could renew them ran when the team began
	started   bool
	nextStage time.Time // when one comes to another stage
}

type lease struct {
	expires, unrenewed time.Time // orphan: as it was when the team began, with nobody to renew it
	stage              leaseStage
}

type leaseStage int

const (
	leaseFresh   leaseStage = iota
	leaseOverdue            // half of its time is over
	leaseUrgent             // most of it
)

// stageOf says how far an address's time is over, and when it comes to the next stage.
func stageOf(now time.Time, l host.Lease) (leaseStage, time.Time) {
	at := func(part float64) time.Time {
		return now.Add(l.Left - time.Duration((1-part)*float64(l.Total)))
	}
	switch late, urgent := at(overdueAt), at(urgentAt); {
	case now.Before(late):
		return leaseFresh, late
	case now.Before(urgent):
		return leaseOverdue, urgent
	}
	return leaseUrgent, now.Add(l.Left + time.Second)
}

// followLeases warns of addresses that nobody renews, before their time is over.
func (s *session) followLeases(ctx context.Context, a host.Adapter) error {
	now := time.Now()
	was := s.leases.known
	s.leases.known, s.leases.nextStage = map[netip.Prefix]lease{}, time.Time{}
	if s.leases.expired == nil {
		s.leases.expired = map[netip.Prefix]bool{}
	}
	for _, l := range a.Leases {
		next := lease{expires: now.Add(l.Left)}
		old, known := was[l.Address]
		if !s.leases.started && s.leases.noClient {
			next.unrenewed = next.expires
		} else if known && !old.unrenewed.IsZero() && next.expires.Sub(old.unrenewed).Abs() < expiryTolerance {
			next.unrenewed = old.unrenewed
		}
		stage, at := stageOf(now, l)
		next.stage = stage
		if s.leases.nextStage.IsZero() || at.Before(s.leases.nextStage) {
			s.leases.nextStage = at
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
		if d := old.expires.Sub(now); d < expiryTolerance {
			text := fmt.Sprintf("%s ran out on %s: nobody renewed it", p, s.adapterName)
			s.team.Record("lease-warning", "", text)
			_ = s.team.Warn(ctx, leaseKey(p), text)
			s.leases.expired[p] = true
		}
	}
	for p := range s.leases.expired {
		if _, back := s.leases.known[p]; back || hasPrefix(a.Addresses, p) {
			delete(s.leases.expired, p)
			if !back {
				_ = s.team.Warn(ctx, leaseKey(p), "")
			}
		}
	}
	for p := range was { // made permanent
		if _, still := s.leases.known[p]; !still && hasPrefix(a.Addresses, p) {
			_ = s.team.Warn(ctx, leaseKey(p), "")
		}
	}
	return nil
}

func hasPrefix(list []netip.Prefix, p netip.Prefix) bool {
	for _, q := range list {
		if q == p {
			return true
		}
	}
	return false
}

func leaseKey(p netip.Prefix) string { return "lease " + p.String() }

// warnLease says of one address how it stands, where that has changed.
func (s *session) warnLease(ctx context.Context, l host.Lease, now, was lease, known bool) {
	ends := now.expires.Format(time.TimeOnly)
	text := ""
	switch {
	case now.stage == leaseUrgent:
		text = fmt.Sprintf("%s on %s runs out at %s: its lease of %v was not renewed", l.Address, s.adapterName, ends, l.Total.Round(time.Second))
	case now.stage == leaseOverdue:
		text = fmt.Sprintf("%s on %s runs out at %s unless its lease of %v is renewed, which is due", l.Address, s.adapterName, ends, l.Total.Round(time.Second))
	case !now.unrenewed.IsZero():
		text = fmt.Sprintf("%s on %s runs out at %s: it is leased, and no DHCP client ran here that would renew it", l.Address, s.adapterName, ends)
	}
	if known && now.stage == was.stage && now.unrenewed.IsZero() == was.unrenewed.IsZero() && !s.leases.expired[l.Address] {
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
