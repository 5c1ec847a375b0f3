// SPDX-License-Identifier: MIT

package team

import (
	"slices"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/frame"
)

// sample holds the totals of a team at one moment.
type sample struct {
	time     time.Time
	team     string
	members  []sampledMember
	counters Counters // of all ids, those of members that left included
}

// sampledMember is a member's part of a sample.
type sampledMember struct {
	id       int
	name     string
	link     bool
	counters MemberCounters // since the member joined
}

func (t *Team) sample() *sample {
	v := t.snapshot.Load()
	s := &sample{time: time.Now(), team: v.status.Team, counters: *t.counters()}
	for i, id := range v.ids {
		m := v.status.Members[i]
		s.members = append(s.members, sampledMember{id: id, name: m.Name, link: m.Link,
			counters: s.counters.Members[id].since(v.base[id])})
	}
	return s
}

// Meter returns a function that returns what moved since it was last called, first since Meter was. Meter may be called
// from any goroutine, its result from one at a time.
func (t *Team) Meter() func() *api.Rates {
	last := t.sample()
	return func() *api.Rates {
		now := t.sample()
		r := rates(last, now)
		last = now
		return r
	}
}

// rates returns what moved from one sample to a later one. The protocols sum exactly to the total; the members do
// unless one left in between.
func rates(prev, now *sample) *api.Rates {
	d := &api.Rates{Schema: api.RatesSchema, Time: now.time, Team: now.team,
		Interval: now.time.Sub(prev.time).Nanoseconds(),
		Members:  []api.MemberRates{}, Protocols: make([]api.ProtocolRates, frame.Protocols)}
	var moved [len(now.counters.Members)]MemberCounters
	for id := range moved {
		moved[id] = now.counters.Members[id].since(&prev.counters.Members[id])
	}
	for p := range frame.Protocols {
		r := &d.Protocols[p]
		r.Name = frame.Protocol(p).String()
		for id := range moved {
			r.RX.Add(moved[id].RX[p])
			r.TX.Add(moved[id].TX[p])
		}
		d.RX.Add(r.RX)
		d.TX.Add(r.TX)
	}
	for _, m := range now.members {
		rx, tx, _ := moved[m.id].summary()
		d.Members = append(d.Members, api.MemberRates{Name: m.name, Link: m.link, RX: rx.Count, TX: tx.Count})
	}
	return d
}

// Totals reads the totals. It may be called from any goroutine.
func (t *Team) Totals() *api.Totals { return t.sample().totals() }

// The reasons for which each drops in ordinary work.
var (
	usualRXDrops      = []Drop{DropMalformed, DropNotOurs, DropStandby, DropReflected, DropAdapter, DropSocket}
	usualTXDrops      = []Drop{DropBacklog, DropRefused, DropMalformed}
	usualAdapterDrops = []Drop{DropNoMember, DropMalformed}
)

func (s *sample) totals() *api.Totals {
	t := &api.Totals{AdapterDrops: dropTotals(&s.counters.Adapter.TXDrop, usualAdapterDrops)}
	for i := range s.members {
		m := &s.members[i]
		rx, tx, _ := m.counters.summary()
		t.Members = append(t.Members, api.MemberTotals{Name: m.name, RX: rx.Count, TX: tx.Count,
			RXDrops: dropTotals(&m.counters.RXDrop, usualRXDrops),
			TXDrops: dropTotals(&m.counters.TXDrop, usualTXDrops)})
	}
	for p := range frame.Protocols {
		total := api.ProtocolTotals{Name: frame.Protocol(p).String()}
		for id := range s.counters.Members {
			total.RX.Add(s.counters.Members[id].RX[p])
			total.TX.Add(s.counters.Members[id].TX[p])
		}
		t.Protocols = append(t.Protocols, total)
	}
	return t
}

// dropTotals lists the usual reasons from zero on, so that the first drop is a rise, and others only with frames.
func dropTotals(n *[Drops]uint64, usual []Drop) (list []api.DropTotal) {
	for d, frames := range n {
		if frames > 0 || slices.Contains(usual, Drop(d)) {
			list = append(list, api.DropTotal{Reason: Drop(d).String(), Frames: frames})
		}
	}
	return list
}
