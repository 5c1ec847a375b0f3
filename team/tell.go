package team

import "nicteam/modes/spread"

// AnnouncementFrames returns the frames by which the neighbours are told once what Tell wants, in order. what are the adapter's
// addresses and groups at that moment.
func (o *Output) AnnouncementFrames(what Announcement) []spread.Send {
	a := announcement{tell: o.Tell, via: o.Via, adapterMAC: o.AnnounceMAC, stations: o.Stations}
	return a.frames(what)
}
