// SPDX-License-Identifier: MIT

package team

import (
	"time"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/modes"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
	"nicteam/modes/steer"
)

// Output is what to do after an [Input], in the order of the fields. Zero is nothing.
type Output struct {
	Plan        *spread.Plan // to put in force; nil: as before
	Send        []spread.Send
	Carrier     bool       // wanted of the adapter; always set
	Speed       Speed      // the same
	Tell        modes.Tell // what to announce, by Via
	AnnounceMAC frame.MAC  // for the adapter's addresses
	Via         []int
	Pin         func(frame.MAC) int // the member that announces a MAC behind the adapter; nil: by Via
	Stations    []StationPath       // for learning frames
	Events      []api.Event
	ReadLinks   bool // at once, of all members: where one cable is pulled, others may be

	// Cause is when the loss of a member that led to the Plan was noticed, zero without one.
	Cause time.Time

	Peers []steer.Peer // ListPeers

	// Memory is the LACP state to store for the next process; nil: unchanged. It is immutable.
	Memory *lacp.Memory

	// Err is why an input was refused, an *api.Problem; then nothing was changed.
	Err error

	unchanged   bool // nothing was decided: the Status is as before, but for figures of link watches …
	sameFigures bool // … and those are, too

	ID   int  // Reserve, Drain, Leave, Reopen: the member
	Link Link // the same: its NIC
}

// StationPath is a station behind the adapter, and the member by which switches are to reach it.
type StationPath struct {
	Station frame.Station
	Member  int
}
