package team

import (
	"maps"
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
// The data path reports a source MAC only where the Plan does not have it, or asks for it. The table is
// therefore kept in two generations. When the young one has lasted half the age, it becomes the old one, of
// which the Plan asks who still sends: those are young again with their next frame. What was the old one leaves
// the Plan. A guest that has moved to another host must: until then its frames are taken for our own come
// back. One that is still here must not, for it would be reached by another member for a moment.
type behind struct {
	young, old map[frame.MAC]bool
	turned     time.Time // when old was young
	fresh      bool      // has what is not published
	published  time.Time
}

// add takes in a MAC that the data path has seen.
func (b *behind) add(now time.Time, m frame.MAC) {
	aged := b.old[m]
	if m == 0 || m.Multicast() || b.young[m] || !aged && b.len() >= behindMax {
		return
	}
	if b.young == nil {
		b.young = map[frame.MAC]bool{}
	}
	if b.len() == 0 {
		b.turned = now
	}
	delete(b.old, m)
	b.young[m] = true
	b.fresh = true
}

// forget takes a MAC out that is the adapter's.
func (b *behind) forget(m frame.MAC) {
	delete(b.young, m)
	delete(b.old, m)
}

// tick turns the generations and returns whether the table is to be published.
func (b *behind) tick(now time.Time) bool {
	if b.len() > 0 && now.Sub(b.turned) >= behindAge/2 {
		b.fresh = true
		b.young, b.old, b.turned = nil, b.young, now
	}
	return b.fresh && now.Sub(b.published) >= behindGap
}

// publish returns the table and its old part, sorted.
func (b *behind) publish(now time.Time) (all, old []frame.MAC) {
	b.fresh, b.published = false, now
	old = slices.Sorted(maps.Keys(b.old))
	all = slices.AppendSeq(slices.Clone(old), maps.Keys(b.young))
	slices.Sort(all)
	return all, old
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
