package modes

import (
	"maps"

	"nicteam/internal/frame"
	"nicteam/modes/lacp"
)

// numbering has what stays the same as long as a team lives, whatever members and addresses do: partners take a system
// or a port that has another number for another one.
type numbering struct {
	system frame.MAC         // where the settings name none
	ports  map[string]uint16 // by NIC, also of those that have left
	named  frame.MAC         // that the settings named last
}

// numberingOf begins with a team's first State.
func numberingOf(st *State) numbering {
	n := numbering{system: st.Memory.MAC(), ports: map[string]uint16{}}
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

// number is the number of a NIC: the one it had, else the lowest free one above its id.
func (n *numbering) number(m *Member) uint16 {
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

// configOf is what the System goes by.
func (a *aggregation) configOf(st *State) lacp.Config {
	s := &st.Settings.LACP
	if s.System != 0 {
		a.numbering.named = s.System
	}
	id := lacp.SystemID{Priority: s.SystemPriority, MAC: a.numbering.named}
	if id.MAC == 0 {
		if a.numbering.system == 0 {
			a.numbering.system = st.Adapter
		}
		id.MAC = a.numbering.system
	}
	return lacp.Config{System: id, UserKey: s.Key, Passive: !s.Active, Fast: s.Fast, Select: s.Select}
}

// portsOf is what the ports are to be. A member in a drain says so to its partner only when nothing more is sent by it.
func (a *aggregation) portsOf() []lacp.PortConfig {
	ports := make([]lacp.PortConfig, 0, len(a.st.Members))
	for i := range a.st.Members {
		m := &a.st.Members[i]
		ports = append(ports, lacp.PortConfig{ID: m.ID, Name: m.Name, MAC: m.MAC, Number: a.numbering.number(m), Priority: m.PortPriority,
			Up: m.Usable, HalfDuplex: m.HalfDuplex, SpeedBps: m.SpeedBps,
			Standby:   !a.st.Settings.Balance && !a.choice.wanted.Has(m.ID),
			Preferred: a.choice.wanted.Has(m.ID) && m.ID != a.choice.active, Leaving: m.Draining && !a.sending().Has(m.ID)})
	}
	return ports
}

// slow reports whether b is of the slow protocols.
func slow(b []byte) bool {
	return len(b) > 14 && uint16(b[12])<<8|uint16(b[13]) == frame.TypeSlow
}
