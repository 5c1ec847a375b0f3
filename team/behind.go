package team

import (
	"slices"
	"time"

	"nicteam/internal/frame"
)

const (
	// behindMax bounds what a guest can make us remember.
	behindMax = 4096
	// behindAge is the longest that a MAC stays without being seen.
	behindAge = 300 * time.Second
	// behindGap is the least time between two Plans that only learn MACs.
	behindGap = 10 * time.Millisecond
)

// behind is the table of the MACs that live behind the adapter (bridge, VM, macvlan).
//
// The data path reports a source MAC only while the Plan does not have it, so the table cannot see
// that one is still in use. It is therefore kept in two generations. When the young one has lasted
// half the age, it becomes the old one, and what was the old one leaves the Plan: who still sends
// is reported again with the next frame, who does not is forgotten. A guest that has moved to
// another host must be: until then its frames are taken for our own come back.
type behind struct {
	young, old map[frame.MAC]bool
	turned     time.Time // when old was young
	fresh      bool      // has what is not published
	published  time.Time
}

// add takes in a MAC that the data path has seen.
func (b *behind) add(now time.Time, m frame.MAC) {
	if m == 0 || m.Multicast() || b.young[m] || b.old[m] || b.len() >= behindMax {
		return
	}
	if b.young == nil {
		b.young = map[frame.MAC]bool{}
	}
	if b.len() == 0 {
		b.turned = now
	}
	b.young[m] = true
	b.fresh = true
}

// tick turns the generations and returns whether the table is to be published.
func (b *behind) tick(now time.Time) bool {
	if b.len() > 0 && now.Sub(b.turned) >= behindAge/2 {
		b.fresh = b.fresh || len(b.old) > 0
		b.young, b.old, b.turned = nil, b.young, now
	}
	return b.fresh && now.Sub(b.published) >= behindGap
}

// publish returns the table, sorted.
func (b *behind) publish(now time.Time) []frame.MAC {
	b.fresh, b.published = false, now
	list := make([]frame.MAC, 0, b.len())
	for m := range b.young {
		list = append(list, m)
	}
	for m := range b.old {
		list = append(list, m)
	}
	slices.Sort(list)
	return list
}

func (b *behind) len() int { return len(b.young) + len(b.old) }

// deadline is when tick has something to do.
func (b *behind) deadline() (d time.Time) {
	if b.len() > 0 {
		d = b.turned.Add(behindAge / 2)
	}
	if b.fresh {
		d = earlier(d, b.published.Add(behindGap))
	}
	return d
}

// earlier returns the first of two deadlines of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
