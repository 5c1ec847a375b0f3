// SPDX-License-Identifier: MIT

package lacp

import (
	"cmp"
	"slices"
	"time"
)

// lag is a LAG ID: ports with the same one have the same Aggregator.
type lag struct {
	partner SystemID
	own     uint16 // keys
	theirs  uint16
	single  uint16 // own number of a port whose partner cannot aggregate
}

func lagOf(p *port) lag {
	l := lag{partner: p.partner.System, own: p.key, theirs: p.partner.Key}
	if !p.partner.State.Has(Aggregation) {
		l.single = p.Number
	}
	return l
}

// group is an Aggregator with the properties that decide which one is active.
type group struct {
	number     int
	usable     int      // ports
	bps        uint64   // sum of the usable ports
	priorities []uint16 // of the usable ports, sorted
	best       uint32   // least port priority and number at the better system's end, which both sides see alike
	attached   bool     // a usable port has nothing to wait for
	answered   bool     // the partner is in sync on a usable port
	works      bool     // a port distributes
	preferred  bool     // a port is preferred
	partner    SystemID
}

// How long a system keeps its Aggregator although the partner chose another one.
const (
	grace      = time.Second     // the partner's ports may be late
	insistence = 3 * time.Second // of the better system: the other one yields before
)

// selection runs the Selection Logic: it gives ports their Aggregators, chooses the active one and sets each port's
// Selected. It reports whether anything changed.
func (s *System) selection(now time.Time) bool {
	changed := s.aggregate(now)
	groups := s.groups()
	active, coming := s.chooseActive(now, groups)
	if active != s.active {
		s.active, s.proven, changed = active, false, true
	}
	if i := slices.IndexFunc(groups, func(g group) bool { return g.number == s.active }); i >= 0 && groups[i].works {
		s.proven = true
	}
	s.incoming = coming
	for i := range s.ports {
		p := &s.ports[i]
		sel := Standby
		switch {
		case p.agg == 0:
			sel = Unselected
		case p.usable() && (p.agg == s.active || p.agg == s.incoming):
			sel = InUse
		}
		if sel != p.selected {
			p.selected, changed = sel, true
		}
	}
	return changed
}

// aggregate gives ports with a partner the number of their Aggregator and takes it from those without. An expired port
// keeps it as long as the partner information, but is not selected.
func (s *System) aggregate(now time.Time) bool {
	changed := false
	for i := range s.ports {
		p := &s.ports[i]
		if p.agg != 0 && !(p.enabled() && (p.heard() || p.receive == ReceiveExpired)) {
			p.detach()
			changed = true
		}
	}
	awaited := s.awaited(now)
	// Before numbers are reused: an Aggregator that gets the active one's number would be active.
	for _, n := range []*int{&s.active, &s.incoming} {
		if *n != 0 && *n != awaited && !slices.ContainsFunc(s.ports, func(p port) bool { return p.agg == *n }) {
			*n = 0
			changed = true
		}
	}
	for i := range s.ports {
		p := &s.ports[i]
		if p.agg != 0 || !p.enabled() || !p.heard() {
			continue
		}
		p.agg = s.number(lagOf(p), awaited != 0)
		changed = true
	}
	return changed
}

// number returns an Aggregator's number: the one that it has, else the lowest free one; numbers of the process before
// are not free while ports are awaited.
func (s *System) number(l lag, awaited bool) int {
	for i := range s.ports {
		if q := &s.ports[i]; q.agg != 0 && lagOf(q) == l {
			return q.agg
		}
	}
	n := 1
	for slices.ContainsFunc(s.ports, func(p port) bool { return p.agg == n }) || awaited && s.remembers(n) {
		n++
	}
	return n
}

// groups returns the Aggregators with a usable port.
func (s *System) groups() []group {
	var groups []group
	for i := range s.ports {
		p := &s.ports[i]
		if p.agg == 0 || !p.usable() {
			continue
		}
		j := slices.IndexFunc(groups, func(g group) bool { return g.number == p.agg })
		if j < 0 {
			j = len(groups)
			groups = append(groups, group{number: p.agg, partner: p.partner.System, best: ^uint32(0)})
		}
		g := &groups[j]
		g.usable++
		g.bps += p.SpeedBps
		g.priorities = append(g.priorities, p.Priority)
		end := uint32(p.Priority)<<16 | uint32(p.Number)
		if p.partner.System.better(s.config.System) {
			end = uint32(p.partner.PortPriority)<<16 | uint32(p.partner.Port)
		}
		g.best = min(g.best, end)
		g.attached = g.attached || p.mux >= MuxAttached
		g.answered = g.answered || p.partner.State.Has(Synchronization)
		g.works = g.works || p.mux == MuxDistributing
		g.preferred = g.preferred || p.Preferred
	}
	for i := range groups {
		slices.Sort(groups[i].priorities)
	}
	return groups
}

// chooseActive returns the active Aggregator, and the one that replaces it as soon as it works, 0 none.
func (s *System) chooseActive(now time.Time, groups []group) (active, coming int) {
	blocked := s.blockedSince
	s.blockedSince = time.Time{}
	if n := s.awaited(now); n != 0 && (s.active == 0 || s.active == n) {
		return n, 0
	}
	if len(groups) == 0 {
		return 0, 0
	}
	want := slices.MinFunc(groups, s.compare)
	i := slices.IndexFunc(groups, func(g group) bool { return g.number == s.active })
	if i < 0 || s.proven && !groups[i].attached {
		// An Aggregator that works at once precedes a better one whose ports have to wait.
		return slices.MinFunc(groups, func(a, b group) int {
			return cmp.Or(first(a.attached, b.attached), first(a.answered, b.answered), s.compare(a, b))
		}).number, 0
	}
	cur := groups[i]
	if cur.attached && !cur.answered {
		// The partner does not follow. Is there another Aggregator where it waits for us?
		other := slices.MinFunc(groups, func(a, b group) int {
			return cmp.Or(first(a.attached && a.answered, b.attached && b.answered), s.compare(a, b))
		})
		if other.attached && other.answered {
			if blocked.IsZero() {
				blocked = now
			}
			until := blocked.Add(Patience(s.config.System, cur.partner, other.partner, s.proven))
			if now.Before(until) && s.primary(other, cur) >= 0 {
				s.blockedSince, s.yieldAt = blocked, until
				return cur.number, 0
			}
			return other.number, 0
		}
	}
	switch {
	case want.number == cur.number:
		return cur.number, 0
	case !s.proven && !(cur.attached && cur.answered) && (want.attached || !cur.attached):
		return want.number, 0 // nothing is lost
	case s.primary(want, cur) >= 0:
		return cur.number, 0
	case want.works:
		return want.number, 0
	}
	return cur.number, want.number
}

// Patience returns how long a system keeps its choice although that partner does not use it while other is in sync
// elsewhere; proven: the choice has worked. Two systems with different choices must not both change at once: the better
// one insists.
func Patience(own, partner, other SystemID, proven bool) time.Duration {
	switch {
	case partner == other && own.better(partner):
		return insistence
	case proven:
		return 0
	}
	return grace
}

// primary compares Aggregators by what lets one replace a working one; negative: a is better.
func (s *System) primary(a, b group) int {
	if d := first(a.preferred, b.preferred); d != 0 {
		return d
	}
	switch s.config.Select {
	case Stable:
		return 0
	case Count:
		return cmp.Compare(b.usable, a.usable)
	case PortPriority:
		return comparePriorities(a, b)
	}
	return cmp.Compare(b.bps, a.bps)
}

// compare compares Aggregators by all properties; no two are equal.
func (s *System) compare(a, b group) int {
	return cmp.Or(s.primary(a, b), cmp.Compare(b.bps, a.bps), cmp.Compare(b.usable, a.usable), comparePriorities(a, b),
		cmp.Compare(a.best, b.best), cmp.Compare(a.number, b.number))
}

// comparePriorities compares the best ports first, then the next ones; more ports are better.
func comparePriorities(a, b group) int {
	n := min(len(a.priorities), len(b.priorities))
	return cmp.Or(slices.Compare(a.priorities[:n], b.priorities[:n]), cmp.Compare(len(b.priorities), len(a.priorities)))
}

// first sorts true before false.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// better reports whether a system has precedence over another one.
func (a SystemID) better(b SystemID) bool {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.MAC, b.MAC)) < 0
}

// noteActive notes another active Aggregator once it works, and that none is left.
func (s *System) noteActive(out *Out) {
	switch {
	case s.active == 0 && s.reported != lag{}:
		s.reported = lag{}
		out.Notes = append(out.Notes, Note{Kind: AggregatorChanged, Port: -1,
			Reason: "no aggregator is active any more"})
	case s.active != 0 && s.proven:
		i := slices.IndexFunc(s.ports, func(p port) bool { return p.agg == s.active })
		if i < 0 {
			return // it is awaited
		}
		l := lagOf(&s.ports[i])
		if l == s.reported {
			return
		}
		s.reported = l
		out.Notes = append(out.Notes, Note{Kind: AggregatorChanged, Port: -1,
			Reason: s.ports[i].aggregatorName() + " is active"})
	}
}
