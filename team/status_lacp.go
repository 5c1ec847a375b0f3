package team

import (
	"nicteam/internal/frame"
	"nicteam/modes"
	"nicteam/modes/lacp"
)

// LACPStatus is what 802.3ad adds to a Status.
type LACPStatus struct {
	Aggregator int        `json:"aggregator"` // number of the one in use, 0 none
	Actor      LACPSystem `json:"actor"`
	Partner    LACPSystem `json:"partner"` // of that aggregator; system 00:00:00:00:00:00 when nobody was heard
}

// LACPSystem is an end of an aggregator.
type LACPSystem struct {
	System         string `json:"system"`
	SystemPriority uint16 `json:"system_priority"`
	Key            uint16 `json:"key"`
}

// MemberLACP is what 802.3ad adds to a MemberStatus. States and machines have the names of IEEE 802.1AX.
type MemberLACP struct {
	Actor        LACPPort     `json:"actor"`
	Partner      LACPPort     `json:"partner"`
	Aggregator   int          `json:"aggregator"`
	Receive      string       `json:"receive"`
	Periodic     string       `json:"periodic"`
	Mux          string       `json:"mux"`
	Selected     string       `json:"selected"`
	ActorChurn   string       `json:"actor_churn"`
	PartnerChurn string       `json:"partner_churn"`
	Why          string       `json:"why,omitempty"` // it does not distribute
	Counters     LACPCounters `json:"counters"`
}

// LACPPort is an end of a link.
type LACPPort struct {
	LACPSystem
	Port         uint16   `json:"port"`
	PortPriority uint16   `json:"port_priority"`
	State        []string `json:"state"`
}

// LACPCounters are of frames.
type LACPCounters struct {
	PDUsIn     uint64 `json:"lacpdu_rx"`
	PDUsOut    uint64 `json:"lacpdu_tx"`
	MarkersIn  uint64 `json:"marker_rx"`
	MarkersOut uint64 `json:"marker_tx"`
	Bad        uint64 `json:"bad"`            // in, of both
	Foreign    uint64 `json:"lacpdu_foreign"` // of lacpdu_rx and bad, those of another actor than the partner of a port in order
}

func lacpStatus(a *modes.Agreement) *LACPStatus {
	return &LACPStatus{Aggregator: a.Active, Actor: lacpSystem(a.System, a.Key), Partner: lacpSystem(a.Partner.System, a.Partner.Key)}
}

func memberLACP(p *lacp.PortStatus) *MemberLACP {
	return &MemberLACP{Actor: lacpPort(&p.Actor), Partner: lacpPort(&p.Partner), Aggregator: p.Aggregator,
		Receive: p.Receive.String(), Periodic: p.Periodic.String(), Mux: p.Mux.String(), Selected: p.Selected.String(),
		ActorChurn: p.ActorChurn.String(), PartnerChurn: p.PartnerChurn.String(), Why: p.Why,
		Counters: LACPCounters{PDUsIn: p.Counters.PDUsIn, PDUsOut: p.Counters.PDUsOut, MarkersIn: p.Counters.MarkersIn, MarkersOut: p.Counters.MarkersOut, Bad: p.Counters.Bad, Foreign: p.Counters.Foreign}}
}

func lacpPort(i *lacp.Info) LACPPort {
	return LACPPort{LACPSystem: lacpSystem(i.System, i.Key), Port: i.Port, PortPriority: i.PortPriority, State: i.State.Names()}
}

func lacpSystem(s lacp.SystemID, key uint16) LACPSystem {
	return LACPSystem{System: wireMAC(s.MAC), SystemPriority: s.Priority, Key: key}
}

// wireMAC writes a MAC as it stands on the wire, the one of nobody too.
func wireMAC(m frame.MAC) string { return m.HardwareAddr().String() }
