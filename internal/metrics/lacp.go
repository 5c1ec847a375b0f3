// SPDX-License-Identifier: MIT

package metrics

import (
	"slices"

	"nicteam/internal/api"
)

var (
	lacpStateDesc = desc("lacp_port_state",
		"Whether a bit of the state octet is set, of the member's port (actor) or of its partner.",
		"member", "role", "bit")
	lacpPDUsDesc    = desc("lacp_pdus_total", "LACPDUs.", "member", "direction")
	lacpMarkersDesc = desc("lacp_markers_total", "Marker PDUs, information and responses.", "member", "direction")
	lacpBadDesc     = desc("lacp_bad_total", "LACPDUs and Marker PDUs received that were malformed or too frequent.",
		"member")
)

// lacp sends the metrics of a member's LACP port, if it has one.
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
