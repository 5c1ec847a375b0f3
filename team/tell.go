package team

import "nicteam/modes/spread"

// Tells returns the frames by which the neighbours are told once what Tell wants, in order. what are the adapter's
// addresses and groups at that moment.
func (o *Output) Tells(what Announcement) []spread.Send {
	a := announcement{tell: o.Tell, via: o.Via, as: o.As, behind: o.Behind}
	return a.sends(what)
}
