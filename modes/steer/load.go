package steer

import (
	"cmp"
	"math"
	"slices"
	"time"

	"nicteam/modes/spread"
)

// When pairs move, and how far.
const (
	freshMeasures = 2    // measurements that a new pair is taken for an average one
	restIntervals = 10   // that a moved pair rests
	movesAtOnce   = 8    // in one interval
	leastUse      = 0.02 // a member that is used less gives nothing away
	leastGain     = 0.10 // of the busier member's utilisation that a move must win
	coarse        = 0.02 // utilisations that differ by less are equal to a new pair
)

// load is what members get from their pairs.
type load struct {
	rate  [spread.MaxMembers]float64 // bit/s
	plan  [spread.MaxMembers]float64 // rate as the Plan has it
	bps   [spread.MaxMembers]float64 // what their pairs count for
	count [spread.MaxMembers]int     // their pairs
	mean  float64                    // of what pairs send
}

// rates takes over what members carry by the Plan, where that says something new.
func (l *load) rates(pl *spread.Plan) {
	for id := range l.plan {
		r := 0.0
		if pl.Shortest != nil {
			r = float64(pl.Shortest.Rates[id]) * float64(pl.Weights[id]) / spread.MaxShare
		}
		if r != l.plan[id] {
			l.plan[id], l.rate[id] = r, max(r, 1)
		}
	}
}

// measured takes over at what rates the members' queues run.
func (l *load) measured(f *spread.FlowTable, members spread.MemberSet) {
	for id := range f.Members {
		if members.Has(id) && f.Members[id].Rate > 0 {
			l.rate[id] = float64(f.Members[id].Rate)
		}
	}
}

func (l *load) join(p *pair) {
	l.bps[p.member] += p.reckon
	l.count[p.member]++
}

func (l *load) leave(p *pair) {
	if p.member >= 0 {
		l.bps[p.member] -= p.reckon
		l.count[p.member]--
	}
}

func (l *load) use(id int) float64   { return l.bps[id] / l.rate[id] }
func (l *load) share(id int) float64 { return float64(l.count[id]+1) / l.rate[id] }
func (l *load) level(id int) float64 { return math.Round(l.use(id) / coarse) }

// choose returns the member for one more pair: the least used, and of several the one with the fewest pairs for
// its rate.
func (l *load) choose(members spread.MemberSet) int {
	best := -1
	for set := members; set != 0; set = set.Without(set.First()) {
		id := set.First()
		if best < 0 || l.level(id) < l.level(best) || l.level(id) == l.level(best) && l.share(id) < l.share(best) {
			best = id
		}
	}
	return best
}

// assign gives a pair to a member.
func (s *Balancer) assign(t time.Duration, i int32, member int) {
	p := s.pairs.at(i)
	s.load.leave(p)
	if p.fresh > 0 {
		p.reckon = s.load.mean
	}
	p.rests = 0
	if p.member >= 0 {
		p.rests = t + s.rest
	}
	p.member, p.since = member, t
	s.load.join(p)
}

// rehouse gives the pairs of members that are gone to others, the heaviest first.
func (s *Balancer) rehouse(t time.Duration) {
	var homeless []int32
	for i := range s.pairs.all() {
		if !s.members.Has(s.pairs.at(i).member) {
			homeless = append(homeless, i)
		}
	}
	slices.SortStableFunc(homeless, func(a, b int32) int {
		return cmp.Compare(s.pairs.at(b).reckon, s.pairs.at(a).reckon)
	})
	for _, i := range homeless {
		s.assign(t, i, s.load.choose(s.members))
		s.repair(t, i)
	}
}

// welcome gives members that came their fair part of the pairs: only those move that others have too many.
func (s *Balancer) welcome(t time.Duration, came spread.MemberSet) {
	for {
		from, to := s.load.crowded(s.members&^came), s.load.lonely(came)
		if from < 0 || float64(s.load.count[from])/s.load.rate[from] <= s.load.share(to) {
			return
		}
		i, use := s.fitting(from, to)
		if use >= leastUse && use > max(s.load.use(from), s.load.use(to)) {
			return // an even number of pairs would be uneven work
		}
		s.assign(t, i, to)
		s.repair(t, i)
	}
}

// lonely returns the member with the fewest pairs for its rate.
func (l *load) lonely(members spread.MemberSet) int {
	best := members.First()
	for set := members; set != 0; set = set.Without(set.First()) {
		if id := set.First(); l.share(id) < l.share(best) {
			best = id
		}
	}
	return best
}

// crowded returns the member with the most pairs for its rate, -1 if none has any.
func (l *load) crowded(members spread.MemberSet) int {
	best := -1
	for set := members; set != 0; set = set.Without(set.First()) {
		if id := set.First(); l.count[id] > 0 && (best < 0 || l.share(id) > l.share(best)) {
			best = id
		}
	}
	return best
}

// fitting returns the pair of a member that evens it out best with another one, and how much the busier of the two
// would then be used.
func (s *Balancer) fitting(from, to int) (best int32, use float64) {
	best = -1
	for i := range s.pairs.all() {
		p := s.pairs.at(i)
		if p.member != from {
			continue
		}
		if after := s.load.after(p, to); best < 0 || after < use {
			best, use = i, after
		}
	}
	return best, use
}

// after returns the utilisation of the busier of two members if a pair moved from the one to the other.
func (l *load) after(p *pair, to int) float64 {
	return max((l.bps[p.member]-p.reckon)/l.rate[p.member], (l.bps[to]+p.reckon)/l.rate[to])
}
