package team

import (
	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/modes"
	"nicteam/modes/lacp"
)

func lacpStatus(a *modes.Agreement) *api.LACP {
	return &api.LACP{Aggregator: a.Active, Actor: lacpSystem(a.System, a.Key), Partner: lacpSystem(a.Partner.System, a.Partner.Key)}
}

func memberLACP(p *lacp.PortStatus) *api.MemberLACP {
	return &api.MemberLACP{Actor: lacpPort(&p.Actor), Partner: lacpPort(&p.Partner), Aggregator: p.Aggregator,
		Receive: p.Receive.String(), Periodic: p.Periodic.String(), Mux: p.Mux.String(), Selected: p.Selected.String(),
		ActorChurn: p.ActorChurn.String(), PartnerChurn: p.PartnerChurn.String(), Why: p.Why,
		Counters: api.LACPCounters{PDUsIn: p.Counters.PDUsIn, PDUsOut: p.Counters.PDUsOut, MarkersIn: p.Counters.MarkersIn, MarkersOut: p.Counters.MarkersOut, Bad: p.Counters.Bad, Foreign: p.Counters.Foreign}}
}

func lacpPort(i *lacp.Info) api.LACPPort {
	return api.LACPPort{LACPSystem: lacpSystem(i.System, i.Key), Port: i.Port, PortPriority: i.PortPriority, State: i.State.Names()}
}

func lacpSystem(s lacp.SystemID, key uint16) api.LACPSystem {
	return api.LACPSystem{System: wireMAC(s.MAC), SystemPriority: s.Priority, Key: key}
}

// wireMAC writes a MAC as it stands on the wire, the one of nobody too.
func wireMAC(m frame.MAC) string { return m.HardwareAddr().String() }
