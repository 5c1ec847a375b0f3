// SPDX-License-Identifier: MIT

package lacp

// Status is the state of a System.
type Status struct {
	System  SystemID
	Active  int    // number of the active aggregator, 0 none
	Key     uint16 // of its ports; of the first port if none is active
	Partner Info   // of the active aggregator: system and key; zero without a partner
	Ports   []PortStatus
	Hints   []string // what the operator should look at, in sentences
}

// PortStatus is the state of a port.
type PortStatus struct {
	ID             int
	Actor, Partner Info
	Aggregator     int // number, 0 without a partner
	Selected       Selected
	Receive        Receive
	Periodic       Periodic
	Mux            Mux
	ActorChurn     Churn
	PartnerChurn   Churn
	Counters       Counters
	Heard          bool   // it has a partner: not defaulted, not expired
	Confirmed      bool   // and more than one PDU of it was received
	Answers        bool   // the partner answers markers
	Looped         bool   // it receives PDUs of its own system only
	Why            string // why it does not distribute, "" if it does
}

// Distributing reports whether the port may send.
func (p *PortStatus) Distributing() bool { return p.Mux == MuxDistributing }

// Collecting reports whether frames received by the port are accepted.
func (p *PortStatus) Collecting() bool { return p.Mux >= MuxCollecting }

// Counters are of frames.
type Counters struct {
	PDUsIn, PDUsOut       uint64
	MarkersIn, MarkersOut uint64 // information and responses
	Foreign               uint64 // PDUs in of another actor than a working port's partner
	Bad                   uint64 // malformed frames in, or too many
}

// Selected is the outcome of the selection logic for a port.
type Selected uint8

// The values of Selected.
const (
	Unselected Selected = iota
	Standby
	InUse // SELECTED
)

// Receive is a state of the Receive machine.
type Receive uint8

// The states of Receive.
const (
	ReceiveInitialize Receive = iota
	ReceivePortDisabled
	ReceiveExpired
	ReceiveLACPDisabled
	ReceiveDefaulted
	ReceiveCurrent
)

// Periodic is a state of the Periodic Transmission machine.
type Periodic uint8

// The states of Periodic.
const (
	PeriodicNone Periodic = iota
	PeriodicFast
	PeriodicSlow
)

// Mux is a state of the Mux machine with independent control.
type Mux uint8

// The states of Mux.
const (
	MuxDetached Mux = iota
	MuxWaiting
	MuxAttached
	MuxCollecting
	MuxDistributing
)

// Churn is a state of a churn detection machine.
type Churn uint8

// The states of Churn.
const (
	ChurnMonitor Churn = iota
	NoChurn
	Churning
)

func (s Selected) String() string { return [...]string{"UNSELECTED", "STANDBY", "SELECTED"}[s] }

func (r Receive) String() string {
	return [...]string{"INITIALIZE", "PORT_DISABLED", "EXPIRED", "LACP_DISABLED", "DEFAULTED", "CURRENT"}[r]
}

func (p Periodic) String() string { return [...]string{"NO_PERIODIC", "FAST", "SLOW"}[p] }

func (m Mux) String() string {
	return [...]string{"DETACHED", "WAITING", "ATTACHED", "COLLECTING", "DISTRIBUTING"}[m]
}

func (c Churn) String() string { return [...]string{"CHURN_MONITOR", "NO_CHURN", "CHURN"}[c] }

// Status returns the state.
func (s *System) Status() Status {
	st := Status{System: s.config.System, Ports: make([]PortStatus, len(s.ports)), Hints: s.hints()}
	for i := range s.ports {
		p := &s.ports[i]
		st.Ports[i] = PortStatus{
			ID: p.ID, Actor: s.actorOf(p), Partner: p.partner, Aggregator: p.agg, Selected: p.selected,
			Receive: p.receive, Periodic: p.periodic, Mux: p.mux,
			ActorChurn: p.actor.state, PartnerChurn: p.other.state,
			Counters: p.counters, Heard: p.heard(), Confirmed: p.heard() && p.confirmed,
			Answers: p.answersMarkers, Looped: s.loops(p) && !p.heard(), Why: s.why(p),
		}
		switch {
		case s.active != 0 && p.agg == s.active:
			st.Active, st.Key = s.active, p.key
			if st.Partner.System.MAC == 0 || p.heard() {
				st.Partner = Info{System: p.partner.System, Key: p.partner.Key}
			}
		case s.active == 0 && st.Key == 0:
			st.Key = p.key
		}
	}
	return st
}
