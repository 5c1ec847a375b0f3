package modes

import "time"

// rates sets the rates by which the members' clocks run: what the link says and what was measured, whichever is
// less, scaled by the weights, of which the largest counts as 1, so that no clock is faster than its member.
// A member of which nobody knows anything is taken for the equal of the fastest one, and no slower than what the
// Plan assumes: where that is too much it shows its own capacity at once, where it is too little it might never. One with
// a smaller weight is not to be filled and shows nothing, so the fastest one's rate is its best guess.
func (s *shortest) rates() {
	var raw [MaxMembers]uint64
	var most uint64
	for _, id := range s.ids[:s.n] {
		q, c := &s.flows.Members[id], &s.capacity[id]
		raw[id], q.Source = c.rate()
		q.Capacity = c.Bps()
		if q.Source != RateAssumed {
			most = max(most, raw[id])
		}
	}
	for _, id := range s.ids[:s.n] {
		q := &s.flows.Members[id]
		if q.Source == RateAssumed {
			if raw[id] = most; most == 0 || s.plan.Weights[id] == MaxShare {
				raw[id] = max(most, s.plan.Rates[id])
			}
		}
		q.Rate = max(scale(raw[id], s.plan.Weights[id]), leastRate)
		q.cost = max(8_000_000_000*costOne/q.Rate, 1)
	}
}

// scale returns x by a share.
func scale(x uint64, share uint32) uint64 {
	return x/MaxShare*uint64(share) + x%MaxShare*uint64(share)/MaxShare
}

// measured takes in a reading of a member: bytes that it was really given since the last one, and bytes that wait.
func (s *shortest) measured(id int, sent uint64, waiting int, now int64) {
	if uint(id) >= MaxMembers || !s.set.Has(id) {
		return
	}
	q, c := &s.flows.Members[id], &s.capacity[id]
	if c.Measure(now, sent, waiting, q.fresh(now)) {
		s.rates()
	}
	q.read(now, sent, uint64(max(waiting, 0)), s.plan.Weights[id])
}

// virtualLead bounds how far the clock of a member whose weight is less than the largest is ahead of what really waits:
// flows that never pause stay with it whatever the clock says.
const virtualLead = 20 * int64(time.Millisecond)

// read sets the clock straight.
func (q *Queue) read(now int64, sent, waiting uint64, share uint32) {
	wait := int64(scale(uint64(min(ns(waiting, q.cost), farthest)), share))
	truth := now + wait
	late := truth - max(q.Clock, now)
	if sent < waiting { // what waited at the last reading still does
		late += q.lateBy
	}
	q.reading, q.lateBy, q.all = q.reading+1, max(late, 0), truth
	clock := truth
	if share < MaxShare {
		// Its queue is to be empty while that of its virtual, slower self is not. Only what was charged to
		// it and never sent is taken back.
		back := int64(0)
		if q.given > sent {
			back = ns(q.given-sent, q.cost)
		}
		clock = min(max(truth, q.Clock-back), truth+virtualLead)
	}
	q.Clock, q.given = clock, 0
}
