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
	// behindVLANs is the most VLANs in which one MAC is remembered.
	behindVLANs = 16
	// behindAge is the longest that a MAC stays without being seen.
	behindAge = 300 * time.Second
	// behindGap is the least time between two Plans that only learn MACs.
	behindGap = 10 * time.Millisecond
	// behindMoves is how often in behindHold a station is forgotten because it was heard elsewhere. One that speaks
	// from both sides, as a forger has it, costs no more Plans than that.
	behindMoves = 6
	behindHold  = time.Minute
)

// behind is the table of the stations that live behind the adapter (bridge, VM, macvlan): those of which was heard from
// there last.
//
// The data path reports a station that the adapter sends from only where the Plan does not have it, or asks for it. The
// table is therefore kept in two generations. When the young one has lasted half the age, it becomes the old one, of
// which the Plan asks who still sends: those are young again with their next frame. What was the old one leaves the
// Plan. One that is heard from elsewhere, and not from here meanwhile, has moved there, and leaves the Plan at once:
// nothing of it is to be claimed from its new place. One that is still here must not, for it would be reached by
// another member for a moment.
type behind struct {
	young, old map[frame.Station]bool
	away       map[frame.Station]moves // that were heard elsewhere, for behindHold
	vlans      map[frame.MAC]int       // in how many each MAC is known
	turned     time.Time               // when old was young
	fresh      bool                    // has what is not published
	published  time.Time
}

// moves is how often a station has been heard elsewhere since a moment.
type moves struct {
	since time.Time
	n     int
}

// add takes in a station that the adapter has sent from.
func (b *behind) add(now time.Time, s frame.Station) {
	m, aged := s.MAC(), b.old[s]
	if m == 0 || m.Multicast() || b.young[s] || !aged && (b.len() >= behindMax || b.vlans[m] >= behindVLANs) {
		return
	}
	if b.young == nil {
		b.young = map[frame.Station]bool{}
	}
	if b.vlans == nil {
		b.vlans = map[frame.MAC]int{}
	}
	if b.len() == 0 {
		b.turned = now
	}
	if aged {
		delete(b.old, s)
	} else {
		b.vlans[m]++
	}
	b.young[s] = true
	b.fresh = true
}

// forget takes a MAC out that is the adapter's.
func (b *behind) forget(m frame.MAC) {
	ours := func(s frame.Station, _ bool) bool { return s.MAC() == m }
	maps.DeleteFunc(b.young, ours)
	maps.DeleteFunc(b.old, ours)
	delete(b.vlans, m)
}

// elsewhere takes in that a station is heard from elsewhere, and the adapter does not send from it any more.
func (b *behind) elsewhere(now time.Time, s frame.Station) {
	if !b.young[s] && !b.old[s] {
		return
	}
	maps.DeleteFunc(b.away, func(_ frame.Station, m moves) bool { return now.Sub(m.since) >= behindHold })
	m, moved := b.away[s]
	if m.n >= behindMoves || !moved && len(b.away) >= behindMax {
		return // told of again if it goes on
	}
	if b.away == nil {
		b.away = map[frame.Station]moves{}
	}
	if !moved {
		m.since = now
	}
	m.n++
	b.away[s] = m
	delete(b.young, s)
	delete(b.old, s)
	b.uncount(s)
	b.fresh = true
}

// uncount takes a station that has left the table off its MAC's VLANs.
func (b *behind) uncount(s frame.Station) {
	if m := s.MAC(); b.vlans[m] > 1 {
		b.vlans[m]--
	} else {
		delete(b.vlans, m)
	}
}

// tick turns the generations and returns whether the table is to be published.
func (b *behind) tick(now time.Time) bool {
	if b.len() > 0 && now.Sub(b.turned) >= behindAge/2 {
		b.fresh = true
		for s := range b.old {
			b.uncount(s)
		}
		b.young, b.old, b.turned = nil, b.young, now
	}
	return b.fresh && now.Sub(b.published) >= behindGap
}

// publish returns the table and its old part, sorted.
func (b *behind) publish(now time.Time) (all, old []frame.Station) {
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
