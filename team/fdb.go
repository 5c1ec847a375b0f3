// SPDX-License-Identifier: MIT

package team

import (
	"maps"
	"slices"
	"time"

	"nicteam/internal/frame"
)

const (
	// maxStations bounds the table against a guest that forges source MACs.
	maxStations = 4096
	// maxVLANsPerMAC bounds the VLANs of one MAC.
	maxVLANsPerMAC = 16
	// stationAge is how long a silent station stays.
	stationAge = 300 * time.Second
	// fdbPublishGap is the least time between two Plans that only add stations.
	fdbPublishGap = 10 * time.Millisecond
	// maxStationMoves bounds how often in stationMoveWindow a station is removed because it moved. A forger that sends
	// from both sides costs no more Plans than that.
	maxStationMoves   = 6
	stationMoveWindow = time.Minute
)

// fdb is the forwarding database of the stations behind the adapter (bridge guests, VMs, macvlans).
//
// The data path reports a station only if the Plan does not list it, or lists it as ageing. The table has two
// generations. After half the age, the young one becomes the old one, which the Plan lists as ageing: stations that
// still send become young again with their next frame. What was old leaves the Plan. A station that is heard from
// another port, and not from the adapter, has moved and leaves the Plan at once: no frame must claim it here. A station
// that is still here must stay, or it would be reached by another member for a moment.
type fdb struct {
	young, old  map[frame.Station]bool
	moved       map[frame.Station]stationMoves // that moved away in the last stationMoveWindow
	vlans       map[frame.MAC]int              // number of VLANs of each MAC
	rotated     time.Time                      // when the generations were rotated
	unpublished bool                           // has changes
	published   time.Time
}

// stationMoves counts the moves of a station since a time.
type stationMoves struct {
	since time.Time
	n     int
}

// learn adds a station that the adapter has sent from.
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

// removeMAC removes a MAC that is the adapter's own.
func (b *fdb) removeMAC(m frame.MAC) {
	ours := func(s frame.Station, _ bool) bool { return s.MAC() == m }
	maps.DeleteFunc(b.young, ours)
	maps.DeleteFunc(b.old, ours)
	delete(b.vlans, m)
}

// moveAway removes a station that is heard from another port, and no longer from the adapter.
func (b *fdb) moveAway(now time.Time, s frame.Station) {
	if !b.young[s] && !b.old[s] {
		return
	}
	maps.DeleteFunc(b.moved, func(_ frame.Station, m stationMoves) bool {
		return now.Sub(m.since) >= stationMoveWindow
	})
	m, moved := b.moved[s]
	if m.n >= maxStationMoves || !moved && len(b.moved) >= maxStations {
		return // reported again if it goes on
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

// countRemoved updates the VLAN count of a removed station's MAC.
func (b *fdb) countRemoved(s frame.Station) {
	if m := s.MAC(); b.vlans[m] > 1 {
		b.vlans[m]--
	} else {
		delete(b.vlans, m)
	}
}

// age rotates the generations, and reports whether the table is due to be published.
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

// publish returns all stations and the ageing ones, sorted.
func (b *fdb) publish(now time.Time) (all, old []frame.Station) {
	b.unpublished, b.published = false, now
	old = slices.Sorted(maps.Keys(b.old))
	all = slices.AppendSeq(slices.Clone(old), maps.Keys(b.young))
	slices.Sort(all)
	return all, old
}

func (b *fdb) len() int { return len(b.young) + len(b.old) }

// deadline is when age has something to do.
func (b *fdb) deadline() (d time.Time) {
	if b.len() > 0 {
		d = b.rotated.Add(stationAge / 2)
	}
	if b.unpublished {
		d = earlier(d, b.published.Add(fdbPublishGap))
	}
	return d
}

// earlier returns the first of two deadlines; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
