// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/host"
)

// withoutPartner returns the error of a new team that would cut the host off though nobody could be asked: its NICs
// have a link and had routable addresses, and no partner accepts their frames. nil: without a link there was nothing to
// lose, and without 802.3ad nobody has to agree.
func (s *session) withoutPartner(members []host.NIC) *api.Problem {
	st := s.team.Status()
	linked := slices.ContainsFunc(st.Members, func(m api.Member) bool { return m.Link })
	routable := slices.ContainsFunc(members, func(n host.NIC) bool {
		return slices.ContainsFunc(n.Addresses, func(p netip.Prefix) bool { return !p.Addr().IsLinkLocalUnicast() })
	})
	if st.LACP == nil || !linked || !routable {
		return nil
	}
	return &api.Problem{Kind: api.Reverted, What: "create " + st.Team,
		Why: "the addresses of its NICs would be unreachable: " + st.Reason, Fix: unreachableFix(st)}
}

// partnerHeard reports whether a member receives LACPDUs.
func partnerHeard(st *api.Status) bool {
	return slices.ContainsFunc(st.Members, func(m api.Member) bool {
		return m.LACP != nil && m.LACP.Receive == "CURRENT"
	})
}

// unreachableFix: a fallback helps if no partner answers, else only the switch can.
func unreachableFix(st *api.Status) string {
	if partnerHeard(st) {
		return "make these ports one LACP group on the switch, not more than it accepts; " +
			"its LACP status says what it waits for"
	}
	if st.Settings.LACPFallback {
		return "put the switch's ports into a LACP group first"
	}
	return "put the switch's ports into a LACP group first, or let one NIC work alone until then: --lacp-fallback on"
}

const (
	forwardTimeout  = time.Second            // until a team has a link and forwards …
	bootLinkTime    = 5 * time.Second        // … at boot, when NICs still negotiate their links …
	lacpTimeout     = 8 * time.Second        // … or, in 802.3ad, has agreed with a partner or given up
	aggregatorGrace = 300 * time.Millisecond // from the first port of an aggregator that distributes to the others
)

// patience is how long awaitForwarding waits.
type patience struct {
	link time.Duration // for a link
	lacp time.Duration // for a partner that has not been heard, in 802.3ad
}

// awaitForwarding waits until a member distributes, or a timeout. It returns why none does, "" if one does.
func (s *session) awaitForwarding(ctx context.Context, p patience) (why string) {
	begun, first := time.Now(), time.Time{}
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for {
		st := s.team.Status()
		if st.State != "down" && st.Adapter.Carrier {
			if first.IsZero() {
				first = time.Now()
			}
			if st.State == "up" || st.LACP == nil || st.LACP.Aggregator == 0 || time.Since(first) > aggregatorGrace {
				return ""
			}
		}
		linked := slices.ContainsFunc(st.Members, func(m api.Member) bool { return m.Link })
		switch waited := time.Since(begun); {
		case !linked && waited > p.link:
			return "no member has a link: the team forwards as soon as one has"
		case linked && waited > max(forwardTimeout, p.link) &&
			(st.LACP == nil || waited > lacpTimeout || waited > p.lacp && !partnerHeard(st)):
			return "the team does not forward yet: " + st.Reason
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return "the team does not forward yet: " + st.Reason
		}
	}
}
