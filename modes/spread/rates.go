package spread

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
				raw[id] = max(most, s.plan.Shortest.Rates[id])
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
	if c.Measure(now, sent, waiting, int(q.fresh(now))) {
		s.rates()
	}
	q.read(now, sent, uint64(max(waiting, 0)), s.plan.Weights[id])
	s.unused[id].sent += sent
	if s.doubt(now) {
		s.rates()
	}
}

// A member that stood still for a moment is taken for a slow one. Then it may be given nothing that could show more: its
// frames would have left later than those of a member whose queue is full. So the estimate of one that is hardly
// used grows, until what it is given shows the truth, or there is no reason to give it less than others.
const (
	doubtEvery = int64(time.Second)
	doubtMost  = 10 * doubtEvery // counted at once, after a pause
	doubtUse   = 4               // it carries less than this part of its rate
	doubtPart  = 5               // of the estimate, by which it grows in a second: twice as much after 4 s
)

// usage is what a member was given in the second that passes.
type usage struct {
	since int64
	sent  uint64
}

// doubt has estimates grow that nothing confirms, and reports whether any did.
func (s *shortest) doubt(now int64) (grew bool) {
	for _, id := range s.ids[:s.n] {
		u, c := &s.unused[id], &s.capacity[id]
		took := now - u.since
		if took < doubtEvery {
			continue
		}
		if bitRate(u.sent, took) < s.flows.Members[id].Rate/doubtUse && c.grow(min(took, doubtMost), s.fastest()) {
			grew = true
		}
		*u = usage{since: now}
	}
	return grew
}

// fastest is the highest rate that a member was seen or said to have.
func (s *shortest) fastest() (most uint64) {
	for _, id := range s.ids[:s.n] {
		bps, _ := s.capacity[id].rate()
		most = max(most, bps)
	}
	return most
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
	// In this order: a program of the kernel may be looking on.
	q.lateBy, q.all = max(late, 0), truth
	q.reading++
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
