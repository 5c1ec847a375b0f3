package spread

import (
	"cmp"
	"slices"
	"time"
)

const (
	// eveningFloor is a utilisation under which nothing is moved: queues hardly build there.
	eveningFloor = 0.20
	// eveningFull is one from which a member counts as full: what it lacks is noise.
	eveningFull = 0.95
	// eveningSpread is how far the busiest and the idlest may be apart, of the busiest.
	eveningSpread = 0.03
	// eveningGain is the least part of the difference of two members that a move must take away, unless it is one of
	// many small ones that do so together.
	eveningGain = 0.10
	// eveningRest is how many intervals a moved slot rests. One that has to be moved again soon after its rest then
	// rests twice as long, up to eveningRestMost.
	eveningRest, eveningRestMost = 10, 160
	// eveningMoves bounds what one interval moves.
	eveningMoves = 256
	// eveningPauses is how often in a second a slot pauses that needs no order.
	eveningPauses = 10
	// eveningLeast is the part of its member's rate from which a slot is worth moving.
	eveningLeast = 0.001
)

// Rebalancer evens out flows that never pause: rule 1 of RuleShortest would hold two of them on one member beside an
// idle one. It looks at what each slot has sent, and moves slots from the busiest members to the idlest,
// by utilisation. Members that are full are even, whatever waits for them. Slots that were not busy for two
// intervals in a row, or pause often, are left alone: what pauses finds its member by itself.
type Rebalancer struct {
	at    int64              // of the last look, by the data path's clock
	looks uint64             // made so far
	slots []evenSlot         // of the flow table
	fixed [MaxMembers]uint64 // by member: sent in all that is of no slot
	other [MaxMembers]float64
	rest  map[uint16]resting
}

// evenSlot is what was seen of a slot.
type evenSlot struct {
	bytes  uint64  // sent in all
	load   float64 // bit/s, smoothed
	pauses uint32  // in all
	busy   uint8   // a bit for each of the last intervals, bit 0 for the last: it never paused
}

// resting is the rest of a slot that was moved.
type resting struct{ until, length uint64 } // in looks

// Moves takes in the flow table as it is and returns the slots to be moved.
func (e *Rebalancer) Moves(f *FlowTable, pl *Plan) []Move {
	if !e.look(f) {
		return nil
	}
	for slot, r := range e.rest {
		if e.looks >= r.until+r.length {
			delete(e.rest, slot)
		}
	}
	t := e.tally(f, pl.Distributing)
	was := t.spread()
	var moves []Move
	for len(moves) < eveningMoves {
		m, ok := t.best()
		if !ok {
			break
		}
		moves = append(moves, m)
	}
	if t.spread() > was*(1-eveningGain) {
		return nil
	}
	for _, m := range moves {
		length := min(max(2*e.rest[m.Slot].length, eveningRest), eveningRestMost)
		e.rest[m.Slot] = resting{e.looks + length, length}
	}
	return moves
}

// look takes in what was sent since the last look. It returns false where there is nothing to compare with.
func (e *Rebalancer) look(f *FlowTable) bool {
	if e.slots == nil {
		e.slots, e.rest = make([]evenSlot, FlowCount), map[uint16]resting{}
	}
	took := float64(f.Now-e.at) / float64(time.Second)
	again := e.looks > 0 && took > 0
	e.at = f.Now
	e.looks++
	rate := func(is, was uint64) float64 {
		if !again || is < was { // another table
			return 0
		}
		return float64(is-was) * 8 / took
	}
	for i := range f.Slots {
		s := &e.slots[i]
		is := rate(f.Slots[i].Bytes, s.bytes)
		s.bytes, s.load = f.Slots[i].Bytes, smooth(s.load, is, e.looks)
		s.busy <<= 1
		if is > s.load/4 && float64(f.Slots[i].Pauses-s.pauses) < eveningPauses*took {
			s.busy |= 1
		}
		s.pauses = f.Slots[i].Pauses
	}
	for id := range f.Members {
		is := rate(f.Members[id].Fixed, e.fixed[id])
		e.fixed[id], e.other[id] = f.Members[id].Fixed, smooth(e.other[id], is, e.looks)
	}
	return again
}

// smooth is the average that halves what is old. The first look sees nothing, so the second has nothing old.
func smooth(was, is float64, looks uint64) float64 {
	switch {
	case looks == 2:
		return is
	case was < 1 && is == 0:
		return 0
	}
	return (was + is) / 2
}

// evenTally reckons with moves as if they were made.
type evenTally struct {
	rate  [MaxMembers]float64
	used  [MaxMembers]float64 // of rate
	slots [MaxMembers][]busySlot
	ids   []int // the busiest first
}

// busySlot is a slot that may be moved and is worth it.
type busySlot struct {
	slot uint16
	load float64
}

// tally adds up what the members of the set carry.
func (e *Rebalancer) tally(f *FlowTable, set MemberSet) *evenTally {
	t := &evenTally{}
	for left := set; left != 0; left = left.Without(left.First()) {
		id := left.First()
		t.ids = append(t.ids, id)
		t.rate[id] = float64(max(f.Members[id].Rate, leastRate))
		t.used[id] = e.other[id] / t.rate[id]
	}
	for i := range e.slots {
		s, id := &e.slots[i], int(f.Slots[i].Member)
		if s.load == 0 || !set.Has(id) {
			continue
		}
		part := s.load / t.rate[id]
		t.used[id] += part
		if s.busy&3 == 3 && part >= eveningLeast && e.looks >= e.rest[uint16(i)].until {
			t.slots[id] = append(t.slots[id], busySlot{uint16(i), s.load})
		}
	}
	t.sort()
	return t
}

func (t *evenTally) sort() {
	slices.SortStableFunc(t.ids, func(a, b int) int { return cmp.Compare(t.used[b], t.used[a]) })
}

// spread is how far the members are from even: the sum of what each has above the idlest.
func (t *evenTally) spread() (sum float64) {
	for _, id := range t.ids {
		sum += t.used[id] - t.used[t.ids[len(t.ids)-1]]
	}
	return sum
}

// best makes the next move: from the busiest member that has a slot whose move brings it and the idlest one
// closer to each other, the slot that brings them closest.
func (t *evenTally) best() (Move, bool) {
	if len(t.ids) < 2 {
		return Move{}, false
	}
	to := t.ids[len(t.ids)-1]
	if t.used[to] >= eveningFull {
		return Move{}, false
	}
	for _, from := range t.ids[:len(t.ids)-1] {
		apart := t.used[from] - t.used[to]
		if t.used[from] < eveningFloor || apart < eveningSpread*t.used[from] {
			break
		}
		best, left := -1, apart
		for i, s := range t.slots[from] {
			less := s.load/t.rate[from] + s.load/t.rate[to]
			after := max(apart-less, less-apart)
			if after < left && (less <= apart || after <= apart*(1-eveningGain)) {
				best, left = i, after
			}
		}
		if best < 0 {
			continue
		}
		s := t.slots[from][best]
		t.slots[from] = slices.Delete(t.slots[from], best, best+1)
		t.used[from] -= s.load / t.rate[from]
		t.used[to] += s.load / t.rate[to]
		t.sort()
		return Move{Slot: s.slot, To: uint8(to)}, true
	}
	return Move{}, false
}
