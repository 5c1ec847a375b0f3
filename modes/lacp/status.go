package lacp

import "nicteam/internal/frame"

// Status is the state of a System.
type Status struct {
	System  SystemID
	Active  int    // number of the active aggregator, 0 none
	Key     uint16 // of its ports
	Partner Info   // of the active aggregator: system and key; zero where nobody was heard
	Ports   []PortStatus
	Hints   []string // what who operates the system should look at, in whole sentences
}

// PortStatus is the state of a port.
type PortStatus struct {
	ID             int
	Actor, Partner Info
	Aggregator     int // number, 1 or more; that of the active one where the port is in use
	Selected       Selected
	Receive        Receive
	Periodic       Periodic
	Mux            Mux
	ActorChurn     Churn
	PartnerChurn   Churn
	Counters       Counters
	Heard          bool   // a partner is known: not defaulted, not expired
	Answers        bool   // the partner answers markers
	Why            string // why it does not distribute, "" it does
}

// Distributing reports whether frames may be sent by the port.
func (p *PortStatus) Distributing() bool { return p.Mux == MuxDistributing }

// Collecting reports whether frames that come by the port are to be taken in.
func (p *PortStatus) Collecting() bool { return p.Mux >= MuxCollecting }

// Counters are of frames.
type Counters struct {
	PDUsIn, PDUsOut       uint64
	MarkersIn, MarkersOut uint64 // questions and answers
	Bad                   uint64 // frames in that make no sense, or came too often
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

// Memory is what outlives a process: what partners must not notice its end by. It changes only when a partner, the
// selection or a Mux does.
type Memory struct {
	System SystemID     `json:"system"`
	Ports  []PortMemory `json:"ports"`
}

// PortMemory is a port's part of a Memory.
type PortMemory struct {
	Name       string `json:"name"`
	Number     uint16 `json:"number"`
	Key        uint16 `json:"key"`
	Aggregator int    `json:"aggregator"`
	Mux        Mux    `json:"mux"`
	Selected   bool   `json:"selected"`
	Heard      bool   `json:"heard"`
	Partner    Info   `json:"partner"`
}

// Own is the number that a NIC had, 0 none.
func (m *Memory) Own(name string) uint16 {
	if m != nil {
		for i := range m.Ports {
			if m.Ports[i].Name == name {
				return m.Ports[i].Number
			}
		}
	}
	return 0
}

// MAC is the address of the system that remembered, 0 none.
func (m *Memory) MAC() frame.MAC {
	if m == nil {
		return 0
	}
	return m.System.MAC
}
