package daemon

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/host"
)

// unreachable is why a team that somebody makes now is not to stay: its NICs have a link and were the host's network, and nobody
// at the other end agrees to take their frames. Who makes it may be on the other side of that network. nil where it
// may stay: without a link there was nothing to lose, and without LACP nobody has to agree.
func (s *session) unreachable(members []host.NIC) *api.Problem {
	st := s.team.Status()
	linked := slices.ContainsFunc(st.Members, func(m api.Member) bool { return m.Link })
	reached := slices.ContainsFunc(members, func(n host.NIC) bool { return slices.ContainsFunc(n.Addresses, beyondLinkLocal) })
	if st.LACP == nil || !linked || !reached {
		return nil
	}
	return &api.Problem{Kind: api.Reverted, What: "create " + st.Team,
		Why: "its NICs' addresses would be out of reach: " + st.Reason, Fix: unreachableFix(st)}
}

// unreachableFix is what helps: a fallback does where nobody answers, and else only the other end can.
func unreachableFix(st *api.Status) string {
	heard := func(m api.Member) bool { return m.LACP != nil && m.LACP.Receive == "CURRENT" }
	if slices.ContainsFunc(st.Members, heard) {
		return "have the switch use these ports, all in one LACP group and not more than it takes; its own status says what it waits for"
	}
	if st.Settings.LACPFallback {
		return "put the switch's ports into a LACP group first"
	}
	return "put the switch's ports into a LACP group first, or let a NIC work alone meanwhile: --lacp-fallback on"
}

func beyondLinkLocal(p netip.Prefix) bool { return !p.Addr().IsLinkLocalUnicast() }

const (
	// forwardTimeout is how long a team with a link needs at most until it forwards …
	forwardTimeout = time.Second
	// … and lacpTimeout where it must first agree with a partner, or give up to find one.
	lacpTimeout = 8 * time.Second
	// aggregatorGrace is how long after the first port of an aggregator the others may send.
	aggregatorGrace = 300 * time.Millisecond
)

// awaitForwarding waits until a member may send, while there is hope. It returns why none may, "" when one does.
func (s *session) awaitForwarding(ctx context.Context) (why string) {
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
		case !linked && waited > forwardTimeout:
			return "no member has a link yet: the team forwards as soon as one has"
		case linked && waited > forwardTimeout && (st.LACP == nil || waited > lacpTimeout):
			return "the team does not forward yet: " + st.Reason
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return "the team does not forward yet: " + st.Reason
		}
	}
}
