// SPDX-License-Identifier: MIT

package modes

import (
	"maps"

	"nicteam/internal/frame"
	"nicteam/modes/lacp"
)

// identity is what stays the same as long as a team lives, whatever its members and MACs: to a partner, another number
// is another system or port.
type identity struct {
	system frame.MAC         // without one in the settings
	ports  map[string]uint16 // by NIC, also of those that have left
	named  frame.MAC         // the last one of the settings
}

// newIdentity begins with a team's first State.
func newIdentity(st *State) identity {
	n := identity{system: st.Memory.MAC(), ports: map[string]uint16{}}
	if n.system == 0 {
		n.system = st.Adapter
	}
	if st.Memory != nil {
		for _, p := range st.Memory.Ports {
			n.ports[p.Name] = st.Memory.Own(p.Name)
		}
	}
	return n
}

// port returns the port number of a NIC: the one that it had, else the lowest free one above its id.
func (n *identity) port(m *Member) uint16 {
	if p := n.ports[m.Name]; p != 0 {
		return p
	}
	taken := map[uint16]bool{0: true}
	for p := range maps.Values(n.ports) {
		taken[p] = true
	}
	p := uint16(m.ID + 1)
	for taken[p] {
		p++
	}
	n.ports[m.Name] = p
	return p
}

// configOf returns the System's configuration.
func (a *aggregation) configOf(st *State) lacp.Config {
	s := &st.Settings.LACP
	if s.System != 0 {
		a.identity.named = s.System
	}
	id := lacp.SystemID{Priority: s.SystemPriority, MAC: a.identity.named}
	if id.MAC == 0 {
		if a.identity.system == 0 {
			a.identity.system = st.Adapter
		}
		id.MAC = a.identity.system
	}
	return lacp.Config{System: id, UserKey: s.Key, Passive: !s.Active, Fast: s.Fast, Select: s.Select}
}

// portConfigs returns the ports' configurations. A member in a drain tells its partner once nothing more is sent by it.
func (a *aggregation) portConfigs() []lacp.PortConfig {
	ports := make([]lacp.PortConfig, 0, len(a.st.Members))
	for i := range a.st.Members {
		m := &a.st.Members[i]
		ports = append(ports, lacp.PortConfig{ID: m.ID, Name: m.Name, MAC: m.MAC, Number: a.identity.port(m),
			Priority: m.PortPriority, Up: m.Usable, HalfDuplex: m.HalfDuplex, SpeedBps: m.SpeedBps,
			Standby:   !a.st.Settings.Balance && !a.single.inUse.Has(m.ID),
			Preferred: a.single.inUse.Has(m.ID) && m.ID != a.single.active,
			Leaving:   m.Draining && !a.senders().Has(m.ID)})
	}
	return ports
}

// isSlowProtocol reports whether b has the ethertype of LACP and the marker protocol.
func isSlowProtocol(b []byte) bool {
	return len(b) > 14 && uint16(b[12])<<8|uint16(b[13]) == frame.TypeSlow
}
