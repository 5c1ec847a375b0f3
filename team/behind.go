package team

import (
	"maps"
	"slices"
	"time"

	"nicteam/internal/frame"
)

const (
	// maxStations bounds what a guest can make us remember.
	maxStations = 4096
	// maxVLANsPerMAC is the most VLANs in which one MAC is remembered.
	maxVLANsPerMAC = 16
	// stationAge is the longest that a MAC stays without being seen.
	stationAge = 300 * time.Second
	// fdbPublishGap is the least time between two Plans that only learn MACs.
	fdbPublishGap = 10 * time.Millisecond
	// maxStationMoves is how often in behindHold a station is forgotten because it was heard elsewhere. One that speaks
	// from both sides, as a forger has it, costs no more Plans than that.
	maxStationMoves   = 6
	stationMoveWindow = time.Minute
)

// fdb is the table of the stations that live behind the adapter (bridge, VM, macvlan): those of which was heard from
// there last.
//
// The data path reports a station that the adapter sends from only where the Plan does not have it, or asks for it. The
// table is therefore kept in two generations. When the young one has lasted half the age, it becomes the old one, of
// which the Plan asks who still sends: those are young again with their next frame. What was the old one leaves the
// Plan. One that is heard from elsewhere, and not from here meanwhile, has moved there, and leaves the Plan at once:
// nothing of it is to be claimed from its new place. One that is still here must not, for it would be reached by
// another member for a moment.
type fdb struct {
	young, old  map[frame.Station]bool
	moved       map[frame.Station]stationMoves // that were heard elsewhere, for behindHold
	vlans       map[frame.MAC]int              // in how many each MAC is known
	rotated     time.Time                      // when old was young
	unpublished bool                           // has what is not published
	published   time.Time
}

// stationMoves is how often a station has been heard elsewhere since a moment.
type stationMoves struct {
	since time.Time
	n     int
}

// learn takes in a station that the adapter has sent from.
func (b *fdb) learn(now time.Time, s frame.Station) {
	m, aged := s.MAC(), b.old[s]
	if m == 0 || m.Multicast() || b.young[s] || !aged && (b.len() >= maxStations || b.vlans[m] >= maxVLANsPerMAC) {
		return
	}
	if b.young == nil {
		b.young = map[frame.Station]bool{}
	}
	if b.vlans == nil {
		b.vlans = map[frame.MAC]int{}
	}
	if b.len() == 0 {
		b.rotated = now
	}
	if aged {
		delete(b.old, s)
	} else {
		b.vlans[m]++
	}
	b.young[s] = true
	b.unpublished = true
}

// removeMAC takes a MAC out that is the adapter's.
func (b *fdb) removeMAC(m frame.MAC) {
	ours := func(s frame.Station, _ bool) bool { return s.MAC() == m }
	maps.DeleteFunc(b.young, ours)
	maps.DeleteFunc(b.old, ours)
	delete(b.vlans, m)
}

// moveAway takes in that a station is heard from elsewhere, and the adapter does not send from it any more.
func (b *fdb) moveAway(now time.Time, s frame.Station) {
	if !b.young[s] && !b.old[s] {
		return
	}
	maps.DeleteFunc(b.moved, func(_ frame.Station, m stationMoves) bool { return now.Sub(m.since) >= stationMoveWindow })
	m, moved := b.moved[s]
	if m.n >= maxStationMoves || !moved && len(b.moved) >= maxStations {
		return // told of again if it goes on
	}
	if b.moved == nil {
		b.moved = map[frame.Station]stationMoves{}
	}
	if !moved {
		m.since = now
	}
	m.n++
	b.moved[s] = m
	delete(b.young, s)
	delete(b.old, s)
	b.countRemoved(s)
	b.unpublished = true
}

// countRemoved takes a station that has left the table off its MAC's VLANs.
func (b *fdb) countRemoved(s frame.Station) {
	if m := s.MAC(); b.vlans[m] > 1 {
		b.vlans[m]--
	} else {
		delete(b.vlans, m)
	}
}

// age turns the generations and returns whether the table is to be published.
func (b *fdb) age(now time.Time) bool {
	if b.len() > 0 && now.Sub(b.rotated) >= stationAge/2 {
		b.unpublished = true
		for s := range b.old {
			b.countRemoved(s)
		}
		b.young, b.old, b.rotated = nil, b.young, now
	}
	return b.unpublished && now.Sub(b.published) >= fdbPublishGap
}

// publish returns the table and its old part, sorted.
func (b *fdb) publish(now time.Time) (all, old []frame.Station) {
	b.unpublished, b.published = false, now
	old = slices.Sorted(maps.Keys(b.old))
	all = slices.AppendSeq(slices.Clone(old), maps.Keys(b.young))
	slices.Sort(all)
	return all, old
}

func (b *fdb) len() int { return len(b.young) + len(b.old) }

// deadline is when tick has something to do.
func (b *fdb) deadline() (d time.Time) {
	if b.len() > 0 {
		d = b.rotated.Add(stationAge / 2)
	}
	if b.unpublished {
		d = earlier(d, b.published.Add(fdbPublishGap))
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
