// SPDX-License-Identifier: MIT

package spread

import (
	"cmp"
	"slices"
	"time"
)

const (
	// minUtilisation is that of a member below which it gives nothing away: queues hardly build up there.
	minUtilisation = 0.20
	// fullUtilisation is that from which a member counts as full: what it lacks is noise.
	fullUtilisation = 0.95
	// minDifference is the least difference between the busiest and the idlest member, as a part of the busiest, that
	// is worth a move.
	minDifference = 0.03
	// minMoveGain is the least part of two members' difference that a move must take away, unless many small moves do
	// so together.
	minMoveGain = 0.10
	// minHold is how many intervals a moved slot stays. A slot that has to move again soon after stays twice as long,
	// up to maxHold.
	minHold, maxHold = 10, 160
	// maxMoves bounds the moves of one interval.
	maxMoves = 256
	// maxPauses is how often in a second a slot may pause that is moved: others find their member by rule 2 and 3.
	maxPauses = 10
	// minSlotLoad is the least part of its member's rate that makes a slot worth a move.
	minSlotLoad = 0.001
)

// Rebalancer moves flows that never pause, which rule 1 of RuleShortest would leave two on one member beside an idle
// one. It moves their slots from the busiest members to the idlest, by utilisation. Full members count as equal,
// whatever waits for them. It leaves alone slots that were not busy for two intervals in a row, or that pause often.
// The zero value is ready.
type Rebalancer struct {
	at      int64               // of the last measurement, by the data path's clock
	samples uint64              // measurements
	slots   []slotLoad          // of the flow table
	fixed   [MaxMembers]uint64  // bytes that members have sent outside of slots, in all
	other   [MaxMembers]float64 // the same as bit/s, smoothed
	holds   map[uint16]hold     // by slot
}

// slotLoad is what was measured of a slot.
type slotLoad struct {
	bytes  uint64  // sent, in all
	bps    float64 // smoothed
	pauses uint32  // in all
	busy   uint8   // a bit for each of the last intervals, bit 0 for the last: it never paused
}

// hold is how long a slot that was moved stays, in measurements.
type hold struct{ until, length uint64 }

// Moves measures the flow table and returns the slots to move, nil for none. It is due once an interval.
func (r *Rebalancer) Moves(f *FlowTable, pl *Plan) []Move {
	if !r.measure(f) {
		return nil
	}
	for slot, h := range r.holds {
		if r.samples >= h.until+h.length {
			delete(r.holds, slot)
		}
	}
	s := r.snapshot(f, pl) // a suspect member's flows leave it by themselves when they pause
	before := s.imbalance()
	var moves []Move
	for len(moves) < maxMoves {
		m, ok := s.move()
		if !ok {
			break
		}
		moves = append(moves, m)
	}
	if s.imbalance() > before*(1-minMoveGain) {
		return nil
	}
	for _, m := range moves {
		length := min(max(2*r.holds[m.Slot].length, minHold), maxHold)
		r.holds[m.Slot] = hold{r.samples + length, length}
	}
	return moves
}

// measure reads what was sent since the last measurement. It returns false for the first one.
func (r *Rebalancer) measure(f *FlowTable) bool {
	if r.slots == nil {
		r.slots, r.holds = make([]slotLoad, FlowCount), map[uint16]hold{}
	}
	took := float64(f.Now-r.at) / float64(time.Second)
	again := r.samples > 0 && took > 0
	r.at = f.Now
	r.samples++
	rate := func(is, was uint64) float64 {
		if !again || is < was { // another table
			return 0
		}
		return float64(is-was) * 8 / took
	}
	for i := range f.Slots {
		s := &r.slots[i]
		is := rate(f.Slots[i].Bytes, s.bytes)
		s.bytes, s.bps = f.Slots[i].Bytes, smooth(s.bps, is, r.samples)
		s.busy <<= 1
		if is > s.bps/4 && float64(f.Slots[i].Pauses-s.pauses) < maxPauses*took {
			s.busy |= 1
		}
		s.pauses = f.Slots[i].Pauses
	}
	for id := range f.Members {
		is := rate(f.Members[id].Fixed, r.fixed[id])
		r.fixed[id], r.other[id] = f.Members[id].Fixed, smooth(r.other[id], is, r.samples)
	}
	return again
}

// smooth returns the moving average that halves the past. The first measurement has no rate, so the second has no past.
func smooth(was, is float64, samples uint64) float64 {
	switch {
	case samples == 2:
		return is
	case was < 1 && is == 0:
		return 0
	}
	return (was + is) / 2
}

// loadSnapshot is the load of the members, with the moves that were chosen so far.
type loadSnapshot struct {
	closed      *[MaxMembers]uint8
	rate        [MaxMembers]float64
	utilisation [MaxMembers]float64
	movable     [MaxMembers][]movableSlot
	ids         []int // the busiest first
}

type movableSlot struct {
	slot uint16
	bps  float64
}

// snapshot adds up what the members carry that flows may go to.
func (r *Rebalancer) snapshot(f *FlowTable, pl *Plan) *loadSnapshot {
	s, set := &loadSnapshot{closed: &pl.Shortest.Closed}, pl.FlowTargets()
	for left := set; left != 0; left = left.Without(left.First()) {
		id := left.First()
		s.ids = append(s.ids, id)
		s.rate[id] = float64(max(f.Members[id].Rate, leastRate))
		s.utilisation[id] = r.other[id] / s.rate[id]
	}
	for i := range r.slots {
		l, id := &r.slots[i], int(f.Slots[i].Member)
		if l.bps == 0 || !set.Has(id) {
			continue
		}
		part := l.bps / s.rate[id]
		s.utilisation[id] += part
		if l.busy&3 == 3 && part >= minSlotLoad && r.samples >= r.holds[uint16(i)].until {
			s.movable[id] = append(s.movable[id], movableSlot{uint16(i), l.bps})
		}
	}
	s.sort()
	return s
}

func (s *loadSnapshot) sort() {
	slices.SortStableFunc(s.ids, func(a, b int) int { return cmp.Compare(s.utilisation[b], s.utilisation[a]) })
}

// imbalance returns the sum of what each member is utilised above the idlest.
func (s *loadSnapshot) imbalance() (sum float64) {
	for _, id := range s.ids {
		sum += s.utilisation[id] - s.utilisation[s.ids[len(s.ids)-1]]
	}
	return sum
}

// move chooses the next move: to the idlest member, from the busiest one that has a slot whose move brings the two
// closer, the slot that brings them closest.
func (s *loadSnapshot) move() (Move, bool) {
	if len(s.ids) < 2 {
		return Move{}, false
	}
	to := s.ids[len(s.ids)-1]
	if s.utilisation[to] >= fullUtilisation {
		return Move{}, false
	}
	for _, from := range s.ids[:len(s.ids)-1] {
		difference := s.utilisation[from] - s.utilisation[to]
		if s.utilisation[from] < minUtilisation || difference < minDifference*s.utilisation[from] {
			break
		}
		best, least := -1, difference
		for i, m := range s.movable[from] {
			change := m.bps/s.rate[from] + m.bps/s.rate[to]
			after := max(difference-change, change-difference)
			if isClosed(int(m.slot), to, s.closed[to]) {
				continue
			}
			if after < least && (change <= difference || after <= difference*(1-minMoveGain)) {
				best, least = i, after
			}
		}
		if best < 0 {
			continue
		}
		m := s.movable[from][best]
		s.movable[from] = slices.Delete(s.movable[from], best, best+1)
		s.utilisation[from] -= m.bps / s.rate[from]
		s.utilisation[to] += m.bps / s.rate[to]
		s.sort()
		return Move{Slot: m.slot, To: uint8(to)}, true
	}
	return Move{}, false
}
