// SPDX-License-Identifier: MIT

package steer

import (
	"cmp"
	"math"
	"slices"
	"time"

	"nicteam/modes/spread"
)

const (
	warmupSamples   = 2    // measurements for which a new binding counts as an average one
	holdIntervals   = 10   // for which a binding that moved stays
	movesPerSample  = 8    // at most
	minUtilisation  = 0.02 // a member below it gives nothing away
	minGain         = 0.10 // part of the busier member's utilisation that a move must take away
	utilisationStep = 0.02 // utilisations that differ by less are equal to a new binding
)

// load is what members receive from the peers of their bindings.
type load struct {
	rate     [spread.MaxMembers]float64 // bit/s
	planned  [spread.MaxMembers]float64 // rate by the Plan
	bps      [spread.MaxMembers]float64 // sum of the bindings' weights
	bindings [spread.MaxMembers]int
	mean     float64 // of the bindings' rates
}

// setPlan takes the members' rates of a Plan that differ from those of the one before.
func (l *load) setPlan(pl *spread.Plan) {
	for id := range l.planned {
		r := 0.0
		if pl.Shortest != nil {
			r = float64(pl.Shortest.Rates[id]) * float64(pl.Weights[id]) / spread.MaxShare
		}
		if r != l.planned[id] {
			l.planned[id], l.rate[id] = r, max(r, 1)
		}
	}
}

// setRates takes the rates by which the members' queues run.
func (l *load) setRates(f *spread.FlowTable, members spread.MemberSet) {
	for id := range f.Members {
		if members.Has(id) && f.Members[id].Rate > 0 {
			l.rate[id] = float64(f.Members[id].Rate)
		}
	}
}

func (l *load) addBinding(b *binding) {
	l.bps[b.member] += b.weight
	l.bindings[b.member]++
}

func (l *load) removeBinding(b *binding) {
	if b.member >= 0 {
		l.bps[b.member] -= b.weight
		l.bindings[b.member]--
	}
}

func (l *load) utilisation(id int) float64 { return l.bps[id] / l.rate[id] }

// bindingsPerRate returns how many bindings a member would have with one more, for its rate.
func (l *load) bindingsPerRate(id int) float64 { return float64(l.bindings[id]+1) / l.rate[id] }

// utilisationLevel returns the utilisation in steps that a new binding tells apart.
func (l *load) utilisationLevel(id int) float64 {
	return math.Round(l.utilisation(id) / utilisationStep)
}

// leastUsed returns the member for one more binding: the least utilised, and of several the one with the fewest
// bindings for its rate.
func (l *load) leastUsed(members spread.MemberSet) int {
	best := -1
	for left := members; left != 0; left = left.Without(left.First()) {
		id := left.First()
		if best < 0 {
			best = id
			continue
		}
		if c := cmp.Compare(l.utilisationLevel(id), l.utilisationLevel(best)); c < 0 ||
			c == 0 && l.bindingsPerRate(id) < l.bindingsPerRate(best) {
			best = id
		}
	}
	return best
}

// fewestBindings returns the member with the fewest bindings for its rate.
func (l *load) fewestBindings(members spread.MemberSet) int {
	best := members.First()
	for left := members; left != 0; left = left.Without(left.First()) {
		if id := left.First(); l.bindingsPerRate(id) < l.bindingsPerRate(best) {
			best = id
		}
	}
	return best
}

// mostBindings returns the member with the most bindings for its rate, -1 if none has any.
func (l *load) mostBindings(members spread.MemberSet) int {
	best := -1
	for left := members; left != 0; left = left.Without(left.First()) {
		if id := left.First(); l.bindings[id] > 0 && (best < 0 || l.bindingsPerRate(id) > l.bindingsPerRate(best)) {
			best = id
		}
	}
	return best
}

// afterMove returns the utilisation of the busier of two members if a binding moved from one to the other.
func (l *load) afterMove(b *binding, to int) float64 {
	return max((l.bps[b.member]-b.weight)/l.rate[b.member], (l.bps[to]+b.weight)/l.rate[to])
}

// assign gives a binding to a member.
func (s *Balancer) assign(now time.Time, b *binding, member int) {
	s.load.removeBinding(b)
	if b.warmup > 0 {
		b.weight = s.load.mean
	}
	b.holdUntil = time.Time{}
	if b.member >= 0 {
		b.holdUntil = now.Add(s.holdTime)
	}
	b.member, b.since = member, now
	s.load.addBinding(b)
}

// assignAllTo gives all bindings to the active member while receive_balance is off. Peers are notified once: if another
// member becomes active later, they still reach the one that was, or the member that took over its MAC.
func (s *Balancer) assignAllTo(now time.Time, active int, notify bool) {
	for b := range s.table.all() {
		if b.member == active {
			continue
		}
		b.notifyAgain = false
		s.assign(now, b, active)
		if notify {
			s.notify(now, b)
		}
	}
}

// reassignOrphans gives the bindings of members that are gone to others, the heaviest first.
func (s *Balancer) reassignOrphans(now time.Time) {
	var orphans []*binding
	for b := range s.table.all() {
		if !s.members.Has(b.member) {
			orphans = append(orphans, b)
		}
	}
	slices.SortStableFunc(orphans, func(a, b *binding) int { return cmp.Compare(b.weight, a.weight) })
	for _, b := range orphans {
		s.assign(now, b, s.load.leastUsed(s.open()))
		s.notifyTwice(now, b)
	}
}

// fillNewMembers gives members that joined their share of the bindings: only the surplus of the others moves.
func (s *Balancer) fillNewMembers(now time.Time, joined spread.MemberSet) {
	others := s.members &^ joined
	for {
		open := joined & s.withRoom()
		if open == 0 {
			return
		}
		from, to := s.load.mostBindings(others), s.load.fewestBindings(open)
		if from < 0 || float64(s.load.bindings[from])/s.load.rate[from] <= s.load.bindingsPerRate(to) {
			return
		}
		b, after := s.bestCandidate(from, to)
		if after >= minUtilisation && after > max(s.load.utilisation(from), s.load.utilisation(to)) {
			return // equal numbers would be unequal load
		}
		s.assign(now, b, to)
		s.notifyTwice(now, b)
	}
}

// bestCandidate returns the binding whose move brings two members closest to each other, and the utilisation of the
// busier one after it.
func (s *Balancer) bestCandidate(from, to int) (best *binding, utilisation float64) {
	for b := range s.table.all() {
		if b.member != from {
			continue
		}
		if after := s.load.afterMove(b, to); best == nil || after < utilisation {
			best, utilisation = b, after
		}
	}
	return best, utilisation
}
