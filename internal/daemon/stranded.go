package daemon

import (
	"net/netip"
	"slices"

	"nicteam/internal/host"
	"nicteam/team"
)

// stranded is why a team that somebody makes now is not to stay: its NICs have a link and were the host's network, and nobody
// at the other end agrees to take their frames. Who makes it may be on the other side of that network. nil where it
// may stay: without a link there was nothing to lose, and without LACP nobody has to agree.
func (s *session) stranded(members []host.NIC) *team.Problem {
	st := s.team.Status()
	linked := slices.ContainsFunc(st.Members, func(m team.MemberStatus) bool { return m.Link })
	reached := slices.ContainsFunc(members, func(n host.NIC) bool { return slices.ContainsFunc(n.Addresses, beyondLink) })
	if st.LACP == nil || !linked || !reached {
		return nil
	}
	return &team.Problem{Kind: team.Reverted, What: "create " + st.Team,
		Why: "its NICs' addresses would be out of reach: " + st.Reason, Fix: strandedFix(st)}
}

// strandedFix is what helps: a fallback does where nobody answers, and else only the other end can.
func strandedFix(st *team.Status) string {
	heard := func(m team.MemberStatus) bool { return m.LACP != nil && m.LACP.Receive == "CURRENT" }
	if slices.ContainsFunc(st.Members, heard) {
		return "have the switch use these ports, all in one LACP group and not more than it takes; its own status says what it waits for"
	}
	if st.Settings.LACPFallback {
		return "put the switch's ports into a LACP group first"
	}
	return "put the switch's ports into a LACP group first, or let a NIC work alone meanwhile: --lacp-fallback on"
}

func beyondLink(p netip.Prefix) bool { return !p.Addr().IsLinkLocalUnicast() }
