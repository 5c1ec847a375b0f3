package team

import "nicteam/modes/spread"

// AnnouncementFrames returns the frames of one announcement, in order. what has the adapter's present addresses and groups.
func (o *Output) AnnouncementFrames(what Announcement) []spread.Send {
	a := announcement{tell: o.Tell, via: o.Via, adapterMAC: o.AnnounceMAC, stations: o.Stations}
	return a.frames(what)
}
