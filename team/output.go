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

// Output is what is to be done after an [Input], in the order of the fields. The zero value is
// nothing.
type Output struct {
	Plan      *spread.Plan // to put in force; nil: as before
	Send      []spread.Send
	Carrier   bool       // wanted of the adapter; always set
	Speed     Speed      // the same
	Tell      modes.Tell // what the neighbours are to be told, by Via
	As        frame.MAC  // of the adapter's addresses, as told
	Via       []int
	Pin       func(frame.MAC) int // by which member MACs behind are told; nil: by Via
	Behind    []Behind            // who switches must learn anew, when TellBehind
	Events    []api.Event
	ReadLinks bool // at once, of all members: where one cable is pulled, others may be

	// Cause is when what led to the Plan was noticed; zero unless a member was lost.
	Cause time.Time

	Peers []steer.Peer // AskPeers

	// Memory is what is to be remembered from now on for a process that takes this one's place; nil: as before. It is
	// nobody's to change.
	Memory *lacp.Memory

	// Err is why an input was refused, as a *Problem; then nothing was changed.
	Err error

	ID   int  // Reserve, Drain, Leave, Vacate: the member
	Link Link // the same: its NIC
}

// Behind is a station behind the adapter, and the member by which switches are to reach it.
type Behind struct {
	Station frame.Station
	Member  int
}
