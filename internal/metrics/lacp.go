// SPDX-License-Identifier: MIT

package metrics

import (
	"slices"

	"nicteam/internal/api"
)

var (
	lacpStateDesc = desc("lacp_port_state",
		"Whether a bit of the state octet is set, in what the member's port says of itself (actor) and in "+
			"what was heard of its partner.", "member", "role", "bit")
	lacpPDUsDesc    = desc("lacp_pdus_total", "LACPDUs.", "member", "direction")
	lacpMarkersDesc = desc("lacp_markers_total", "Marker PDUs, questions and answers.", "member", "direction")
	lacpBadDesc     = desc("lacp_bad_total", "LACPDUs and markers received that make no sense or came too often.",
		"member")
)

// lacp tells what 802.3ad has agreed by a member; nothing of one without a port.
func (s sender) lacp(m *api.Member) {
	if m.LACP == nil {
		return
	}
	for _, of := range []struct {
		role string
		set  []string
	}{{"actor", m.LACP.Actor.State}, {"partner", m.LACP.Partner.State}} {
		for _, bit := range api.LACPStateBits {
			s.gauge(lacpStateDesc, boolValue(slices.Contains(of.set, bit)), m.Name, of.role, bit)
		}
	}
	c := &m.LACP.Counters
	s.counter(lacpPDUsDesc, c.PDUsIn, m.Name, directions[rx])
	s.counter(lacpPDUsDesc, c.PDUsOut, m.Name, directions[tx])
	s.counter(lacpMarkersDesc, c.MarkersIn, m.Name, directions[rx])
	s.counter(lacpMarkersDesc, c.MarkersOut, m.Name, directions[tx])
	s.counter(lacpBadDesc, c.Bad, m.Name)
}
