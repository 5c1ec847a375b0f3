package lacp

import (
	"cmp"
	"slices"
	"time"
)

// lag is a LAG ID: ports with the same one belong to the same Aggregator.
type lag struct {
	partner SystemID
	own     uint16 // keys
	theirs  uint16
	single  uint16 // own number of a port that can only be alone, because its partner cannot aggregate
}

func lagOf(p *port) lag {
	l := lag{partner: p.partner.System, own: p.key, theirs: p.partner.Key}
	if !p.partner.State.Has(Aggregation) {
		l.single = p.Number
	}
	return l
}

// group is an Aggregator with what the choice between them goes by. It lives only while the choice is made.
type group struct {
	number     int
	usable     int      // ports
	bps        uint64   // of them
	priorities []uint16 // of them, sorted
	best       uint32   // of them at the end of the better system: port priority and number, which both sides see alike
	attached   bool     // a usable port needs to wait for nothing
	answered   bool     // the partner is in sync on a usable port
	works      bool     // a port distributes
	preferred  bool     // a port is
	partner    SystemID
}

// How long a system stays with its choice of an Aggregator though the partner made another one.
const (
	grace      = time.Second     // the partner's ports may only be late
	insistence = 3 * time.Second // of the better one of two systems: the other one has given in by then, if it can
)

// selection runs the Selection Logic: it gives ports their Aggregators, chooses the active one, and says of each port
// whether it is in use. It reports whether anything changed.
func (s *System) selection(now time.Time) bool {
	changed := s.aggregate(now)
	groups := s.groups()
	active, coming := s.choose(now, groups)
	if active != s.active {
		s.active, s.proven, changed = active, false, true
	}
	if i := slices.IndexFunc(groups, func(g group) bool { return g.number == s.active }); i >= 0 && groups[i].works {
		s.proven = true
	}
	s.coming = coming
	for i := range s.ports {
		p := &s.ports[i]
		sel := Standby
		switch {
		case p.agg == 0:
			sel = Unselected
		case p.usable() && (p.agg == s.active || p.agg == s.coming):
			sel = InUse
		}
		if sel != p.selected {
			p.selected, changed = sel, true
		}
	}
	return changed
}

// aggregate gives ports that have a partner the number of their Aggregator and takes it from those without. A port
// that expired keeps it for as long as the partner is remembered, but is not selected.
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
	// Before numbers are given out again: whoever gets that of the active one would be it.
	for _, n := range []*int{&s.active, &s.coming} {
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

// number is that of an Aggregator: the one it has, else the smallest that is free, also of those remembered if some are
// awaited.
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

// groups are the Aggregators that have a usable port.
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

// choose says which Aggregator is to be active and which one is to be besides it until it works, 0 none.
func (s *System) choose(now time.Time, groups []group) (active, coming int) {
	blocked := s.blocked
	s.blocked = time.Time{}
	if n := s.awaited(now); n != 0 && (s.active == 0 || s.active == n) {
		return n, 0
	}
	if len(groups) == 0 {
		return 0, 0
	}
	want := slices.MinFunc(groups, s.compare)
	i := slices.IndexFunc(groups, func(g group) bool { return g.number == s.active })
	if i < 0 || s.proven && !groups[i].attached {
		// What works at once comes before what would be better, and before what has only ports that have to wait.
		return slices.MinFunc(groups, func(a, b group) int {
			return cmp.Or(first(a.attached, b.attached), first(a.answered, b.answered), s.compare(a, b))
		}).number, 0
	}
	cur := groups[i]
	if cur.attached && !cur.answered {
		// The partner does not follow us. Is there another Aggregator where it waits for us to?
		other := slices.MinFunc(groups, func(a, b group) int {
			return cmp.Or(first(a.attached && a.answered, b.attached && b.answered), s.compare(a, b))
		})
		if other.attached && other.answered {
			if blocked.IsZero() {
				blocked = now
			}
			if until := blocked.Add(Patience(s.config.System, cur.partner, other.partner, s.proven)); now.Before(until) && s.primary(other, cur) >= 0 {
				s.blocked, s.yields = blocked, until
				return cur.number, 0
			}
			return other.number, 0
		}
	}
	switch {
	case want.number == cur.number:
		return cur.number, 0
	case !s.proven && !(cur.attached && cur.answered) && (want.attached || !cur.attached):
		return want.number, 0 // nothing is lost by it
	case s.primary(want, cur) >= 0:
		return cur.number, 0
	case want.works:
		return want.number, 0
	}
	return cur.number, want.number
}

// Patience is for how long a system stays with what it has chosen though that partner does not use it while another one
// is in sync elsewhere; proven is whether its choice has worked. Two systems that chose differently must not both change
// over at the same time: the better one insists.
func Patience(own, partner, other SystemID, proven bool) time.Duration {
	switch {
	case partner == other && own.better(partner):
		return insistence
	case proven:
		return 0
	}
	return grace
}

// primary compares Aggregators by what makes one take the place of another one that works, negative where a is better.
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

// compare compares Aggregators by everything; only equal ones are equal.
func (s *System) compare(a, b group) int {
	return cmp.Or(s.primary(a, b), cmp.Compare(b.bps, a.bps), cmp.Compare(b.usable, a.usable), comparePriorities(a, b),
		cmp.Compare(a.best, b.best), cmp.Compare(a.number, b.number))
}

// comparePriorities compares the best ports first, then the next ones; more ports are better than fewer.
func comparePriorities(a, b group) int {
	n := min(len(a.priorities), len(b.priorities))
	return cmp.Or(slices.Compare(a.priorities[:n], b.priorities[:n]), cmp.Compare(len(b.priorities), len(a.priorities)))
}

// first sorts what is true before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// better reports whether a system has the say over another one.
func (a SystemID) better(b SystemID) bool {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.MAC, b.MAC)) < 0
}

// announce tells of another active Aggregator, when it works or when none is left.
func (s *System) announce(out *Out) {
	switch {
	case s.active == 0 && s.told != lag{}:
		s.told = lag{}
		out.Notes = append(out.Notes, Note{Kind: AggregatorChanged, Port: -1, Reason: "no aggregator is active any more"})
	case s.active != 0 && s.proven:
		i := slices.IndexFunc(s.ports, func(p port) bool { return p.agg == s.active })
		if i < 0 {
			return // it is awaited
		}
		l := lagOf(&s.ports[i])
		if l == s.told {
			return
		}
		s.told = l
		out.Notes = append(out.Notes, Note{Kind: AggregatorChanged, Port: -1, Reason: s.ports[i].aggregatorName() + " is active"})
	}
}
