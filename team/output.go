package team

import (
	"time"

	"nicteam/internal/frame"
	"nicteam/modes"
)

// Output is what is to be done after an [Input], in the order of the fields. The zero value is
// nothing.
type Output struct {
	Plan     *modes.Plan // to put in force; nil: as before
	Send     []modes.Send
	Carrier  bool // wanted of the adapter; always set
	Announce bool // tell the neighbours, by Via
	Via      []int
	Behind   []frame.MAC // whose switches must learn anew, when Announce
	Events   []Event
	Poke     []int // NICs (ifindex) whose link is to be read at once

	// Cause is when what led to the Plan was noticed; zero unless a member was lost.
	Cause time.Time

	// Err is why an input was refused, as a *Problem; then nothing was changed.
	Err error

	ID   int  // Reserve, Drain, Leave, Vacate: the member
	Link Link // the same: its NIC
}
