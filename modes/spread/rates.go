// SPDX-License-Identifier: MIT

package spread

import "time"

// updateRates sets the rates of the members' clocks: the lower one of link speed and measured capacity, scaled by the
// weights, of which the largest counts as 1, so that no clock is faster than its member. A member of unknown rate is
// assumed as fast as the fastest, and no slower than the Plan assumes: too high corrects itself (a backlog reveals the
// capacity), too low never would. One with a smaller weight is never filled and reveals nothing, so the fastest one's
// rate is its best guess.
func (s *shortest) updateRates() {
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

// measured reads a member's queue: bytes that it accepted since the last reading, and bytes that wait.
func (s *shortest) measured(id int, sent uint64, waiting int, now int64) {
	if uint(id) >= MaxMembers || !s.set.Has(id) {
		return
	}
	q, c := &s.flows.Members[id], &s.capacity[id]
	if c.Measure(now, sent, waiting, int(q.fresh(now))) {
		s.updateRates()
	}
	q.setClock(now, sent, uint64(max(waiting, 0)), s.plan.Weights[id])
	s.usage[id].sent += sent
	if s.recoverEstimates(now) {
		s.updateRates()
	}
}

// A member that stood still for a moment looks slow. Then it may get no frame that could show more: any other queue is
// shorter, even a full one. So the estimate of a hardly used member grows until its frames show the truth, or there is
// no reason to give it less than others.
const (
	recoverEvery = int64(time.Second)
	recoverMax   = 10 * recoverEvery // counted at once, after a pause
	recoverUse   = 4                 // a member is hardly used if it carries less than rate/recoverUse
	recoverPart  = 5                 // the estimate grows by estimate/recoverPart a second: it doubles in 4 s
)

// usage is what a member was sent in the current second.
type usage struct {
	since int64
	sent  uint64
}

// recoverEstimates lets estimates of hardly used members grow, and reports whether any did.
func (s *shortest) recoverEstimates(now int64) (grew bool) {
	for _, id := range s.ids[:s.n] {
		u, c := &s.usage[id], &s.capacity[id]
		took := now - u.since
		if took < recoverEvery {
			continue
		}
		if bitRate(u.sent, took) < s.flows.Members[id].Rate/recoverUse && c.grow(min(took, recoverMax), s.fastest()) {
			grew = true
		}
		*u = usage{since: now}
	}
	return grew
}

// fastest returns the highest rate of a member, as measured or as its link says.
func (s *shortest) fastest() (most uint64) {
	for _, id := range s.ids[:s.n] {
		bps, _ := s.capacity[id].rate()
		most = max(most, bps)
	}
	return most
}

// virtualLead bounds how far the clock of a member with a smaller weight is ahead of its real queue: flows that never
// pause stay with it whatever the clock says.
const virtualLead = 20 * int64(time.Millisecond)

// setClock corrects the clock by a reading.
func (q *Queue) setClock(now int64, sent, waiting uint64, share uint32) {
	wait := int64(scale(uint64(min(ns(waiting, q.cost), maxAhead)), share))
	truth := now + wait
	late := truth - max(q.Clock, now)
	if sent < waiting { // what waited at the last reading still does
		late += q.lateBy
	}
	// In this order: a program in the kernel may read them meanwhile.
	q.lateBy, q.all = max(late, 0), truth
	q.reading++
	clock := truth
	if share < MaxShare {
		// Its real queue is empty while that of its virtual, slower self is not. Only frames that were charged and
		// never sent are taken back.
		back := int64(0)
		if q.given > sent {
			back = ns(q.given-sent, q.cost)
		}
		clock = min(max(truth, q.Clock-back), truth+virtualLead)
	}
	q.Clock, q.given = clock, 0
}
