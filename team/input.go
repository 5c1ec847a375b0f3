// SPDX-License-Identifier: MIT

package team

import (
	"nicteam/internal/settings"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// Input is something that happened, for [Loop.Handle]. The set is closed.
type Input interface{ isInput() }

// LinkChanged is a report of a link watch. One about a NIC that is not a member is ignored.
type LinkChanged struct{ monitor.LinkState }

// Reserve reserves an id for a NIC that joins; it is in [Output.ID].
type Reserve struct{ Link Link }

// Joined reports that the data path has opened a reserved member.
type Joined struct {
	ID     int
	Link   Link
	Weight float64 // 0: as configured, else 1
	Info   MemberInfo
}

// Released frees an id: the data path has closed the member that left, or never opened the reserved one.
type Released struct{ ID int }

// Drain ends distributing by a member that is to leave. Without Force the last one stays.
type Drain struct {
	Name  string
	Force bool
}

// Undrain takes a Drain back.
type Undrain struct{ Name string }

// Leave removes a member from the Plan. Its id is in [Output.ID], and taken until Released. Without Force the last one
// stays.
type Leave struct {
	Name  string
	Force bool
}

// Absent reports that a member's NIC is gone. The member waits for it.
type Absent struct{ Name string }

// Reopen removes a member from the Plan, so that the data path can close it and open it on another NIC. Its id is in
// [Output.ID], its old NIC in [Output.Link]. Reopened ends it.
type Reopen struct{ Name string }

// Reopened reports that the data path has opened a member again.
type Reopened struct {
	ID   int
	Link Link
	Info MemberInfo
}

// Change is another configuration, of which the live settings count, and weight and port priority of members. Who owns
// the data path changes that. Nothing is changed when any of it is wrong.
type Change struct{ Config settings.Config }

// End ends the team for good: the mode says farewell to partners, then nothing more is sent. A Resume takes it back.
type End struct{}

// Resume takes an End back.
type Resume struct{}

// FromDatapath is a frame or a report of the data path.
type FromDatapath struct{ Control }

// Flooding reports unicast frames for the adapter that a member received which does not collect.
type Flooding struct {
	ID     int
	Frames uint64 // since the last time
}

// Measured is a measurement of the data path; both are borrowed until Handle returns.
type Measured struct {
	Flows   *spread.FlowTable // nil: the Plan in force has no flow table
	RxBytes *spread.RxBytes
}

// ListPeers asks for the peers that the mode steers; they are in [Output.Peers].
type ListPeers struct{}

// Warn sets a warning that stands until it is cleared with an empty text. It degrades the team, unless it is advice.
type Warn struct {
	Key, Text string
	Advice    bool
}

// StartNotes adds warnings of the start to the Status. They do not degrade the team: the configuration is as its author
// left it.
type StartNotes struct{ Texts []string }

// AdapterRxMode is what the adapter's stack wants to receive besides its own address.
type AdapterRxMode struct{ spread.RxMode }

// DatapathChanged names the data path that moves the frames, relay or fastpath, and why that one.
type DatapathChanged struct{ Name, Reason string }

// Announced reports that the adapter's addresses have been announced.
type Announced struct{}

// Announce requests announcements, for instance after the adapter got its addresses.
type Announce struct{}

// Tick says that [Loop.Deadline] may have passed.
type Tick struct{}

// Idle says that nothing has happened: somebody waits for a sign of life, or the shell has work of its own.
type Idle struct{}

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
func (Idle) isInput()            {}

// MemberInfo describes a member's NIC.
type MemberInfo struct {
	Driver     string
	MTU        int
	OwnMAC     bool // accepts frames for its own address only, as a Wi-Fi station
	VLANFilter bool // drops tagged frames unless promiscuous
}
