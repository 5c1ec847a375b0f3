package team

import (
	"nicteam/internal/settings"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// Input is something that happened, for [Loop.Handle]. The set is closed.
type Input interface{ isInput() }

// LinkChanged is the verdict of a link watch. One about a NIC that is no member is ignored.
type LinkChanged struct{ monitor.LinkState }

// Reserve asks for an id for a NIC that is about to join; it is in [Output.ID].
type Reserve struct{ Link Link }

// Joined says that the data path has opened the member that was reserved.
type Joined struct {
	ID     int
	Link   Link
	Weight float64 // 0: as configured, else 1
	Info   MemberInfo
}

// Released says that the data path has closed a member that left, or never opened one that was
// reserved: its id is free.
type Released struct{ ID int }

// Drain ends the distributing of a member that is to leave. Without Force the last one stays.
type Drain struct {
	Name  string
	Force bool
}

// Undrain takes a Drain back.
type Undrain struct{ Name string }

// Leave takes a member out of the Plan. Its id is in [Output.ID] and stays taken until Released.
// Without Force the last one stays.
type Leave struct {
	Name  string
	Force bool
}

// Absent says that a member's NIC is gone. The member stays and waits for it.
type Absent struct{ Name string }

// Reopen takes a member out of the Plan so that the data path can close it and open it on another
// NIC. Its id is in [Output.ID], what it was opened on in [Output.Link]. Returned ends it.
type Reopen struct{ Name string }

// Reopened says that the data path has opened a member anew.
type Reopened struct {
	ID   int
	Link Link
	Info MemberInfo
}

// Change gives the team another configuration. Only what is live counts: mode, balance, hash,
// primary, primary_reselect, active, packets_per_member, min_members, receive_balance, gain, skew,
// rebalance, what is LACP's, delays, announcements, datapath (whoever owns the data path changes that), and the weights
// and port priorities of members. Nothing is changed when anything in it is wrong.
type Change struct{ Config settings.Config }

// End says that the team ends for good: whoever is to be told farewell is, and then nothing more is sent. A Resume takes
// it back.
type End struct{}

// Resume says that the team does not end after all.
type Resume struct{}

// FromDatapath is a frame or news from the data path.
type FromDatapath struct{ Control }

// Flooding says that a member that does not collect was sent frames that were for the adapter.
type Flooding struct {
	ID     int
	Frames uint64 // since the last time
}

// Measured is what the data path has seen; Flows and Heard are borrowed until Handle returns.
type Measured struct {
	Flows *spread.FlowTable // nil: the Plan in force has no flow table
	Heard *spread.RxBytes
}

// ListPeers asks for the peers that the mode steers; they are in [Output.Peers].
type ListPeers struct{}

// Warn sets a warning that stands until it is cleared with an empty text. While one stands the
// team is degraded, unless it is an advice.
type Warn struct {
	Key, Text string
	Advice    bool
}

// StartNotes adds warnings of the start of the team that nobody was told of then. They stay in the Status, and do not make the
// team degraded: what they are about is as the one who configured it left it.
type StartNotes struct{ Texts []string }

// AdapterRxMode says what the adapter's stack wants to receive besides frames to the adapter's address.
type AdapterRxMode struct{ spread.RxMode }

// DatapathChanged says which data path moves the frames from now on, relay or fastpath, and why that one.
type DatapathChanged struct{ Name, Reason string }

// Announced says that the adapter's addresses have been announced.
type Announced struct{}

// Announce asks for announcements, for instance after the adapter got its addresses.
type Announce struct{}

// Tick says that [Loop.Deadline] may have passed.
type Tick struct{}

func (LinkChanged) isInput()     {}
func (Reserve) isInput()         {}
func (Joined) isInput()          {}
func (Released) isInput()        {}
func (Drain) isInput()           {}
func (Undrain) isInput()         {}
func (Leave) isInput()           {}
func (Absent) isInput()          {}
func (Reopen) isInput()          {}
func (Reopened) isInput()        {}
func (Change) isInput()          {}
func (End) isInput()             {}
func (Resume) isInput()          {}
func (FromDatapath) isInput()    {}
func (Flooding) isInput()        {}
func (Measured) isInput()        {}
func (AdapterRxMode) isInput()   {}
func (Observed) isInput()        {}
func (DatapathChanged) isInput() {}
func (Announced) isInput()       {}
func (ListPeers) isInput()       {}
func (Warn) isInput()            {}
func (StartNotes) isInput()      {}
func (Announce) isInput()        {}
func (Tick) isInput()            {}

// MemberInfo is what the host knows of a member's NIC.
type MemberInfo struct {
	Driver     string
	MTU        int
	OwnMAC     bool // takes in frames for its own address only, as a Wi-Fi station does; modes decide by this
	VLANFilter bool // drops frames with a VLAN tag unless it is promiscuous, and cannot do otherwise
}
