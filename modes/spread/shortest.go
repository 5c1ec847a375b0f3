// SPDX-License-Identifier: MIT

package spread

import (
	"math"
	"slices"
	"time"

	"nicteam/internal/frame"
)

const (
	// costOne is a cost of 1 ns a byte. Fractions matter: a byte takes 0.08 ns at 100 Gbit/s.
	costOne = 1 << costBits
	// costBits leaves room for a super-frame at leastRate.
	costBits = 16
	// leastRate keeps costs finite.
	leastRate = 10_000
	// maxAhead bounds how far a clock is ahead of now, which grows only if no queue is read.
	maxAhead = int64(time.Hour)
	// flowIdle is how long a slot keeps its member while unused.
	flowIdle = int64(time.Second)
	// freshFor is how long a queued frame does not show yet whether frames wait.
	freshFor = int64(time.Millisecond)
	// forceWait is how long a forced move waits for a gap.
	forceWait = 20 * int64(time.Millisecond)
)

// shortest is a Picker's part of RuleShortest; see flowtable.go.
type shortest struct {
	flows    *FlowTable
	capacity [MaxMembers]Capacity
	usage    [MaxMembers]usage

	plan       *Plan
	generation uint64            // of moves carried out
	set        MemberSet         // that distribute in plan
	ids        [MaxMembers]uint8 // the same
	n          int               // how many of ids
	targets    MemberSet         // Plan.FlowTargets
	targetIDs  [MaxMembers]uint8 // the same
	targetN    int               // how many of targetIDs
	returning  bool              // a target does
	gain, skew int64
	adopted    bool // flows and set are those of the process before, until the first Plan
}

// ns returns how long bytes take at a cost.
func ns(bytes, cost uint64) int64 { return int64(bytes * cost >> costBits) }

// pick returns the member for a frame, and notes the frame.
func (s *shortest) pick(pl *Plan, h *frame.Headers, b []byte, bytes int, now int64) MemberSet {
	if s.plan != pl {
		s.follow(pl, now)
	}
	id, slot := s.fixed(pl, h, b), -1
	if id < 0 {
		slot = flowSlot(pl, h, b)
		f := &s.flows.Slots[slot]
		if s.n == 0 {
			return 0
		}
		to, why, paused := s.decide(slot, uint64(bytes), now)
		moves := f.Until == 0 || f.Member != uint8(to)
		if paused {
			f.Pauses++
		}
		if moves {
			f.Member, f.Since = uint8(to), now
			if why == FlowForced {
				s.flows.Forced++
			}
		}
		if moves || paused {
			f.to = 0
		}
		f.Why = why
		id = to
	}
	if uint(id) >= MaxMembers || !s.set.Has(id) {
		return 0
	}
	q := &s.flows.Members[id]
	q.charge(uint64(bytes), now)
	if slot >= 0 {
		f := &s.flows.Slots[slot]
		f.Until, f.reading = q.Clock, q.reading
		f.Bytes += uint64(bytes)
	} else {
		q.Fixed += uint64(bytes)
	}
	return 1 << uint(id)
}

// fixed returns the member of frames outside of slots: from MACs behind the adapter, and to groups but for UDP, by
// which switches and routers learn who wants a group. It returns -1 for all others, MaxMembers if no member may send
// one.
func (s *shortest) fixed(pl *Plan, h *frame.Headers, b []byte) int {
	group := h.Dst.Multicast()
	switch {
	case group && (h.Src == pl.Adapter && h.IPProto != frame.ProtoUDP || GroupReport(h, b)):
		if pl.Active < 0 {
			return MaxMembers
		}
		return pl.Active
	case h.Src != pl.Adapter:
		// A MAC that is not in the Plan yet sends by the active member, which accepts groups: by another one its first
		// broadcast would come back.
		id := pl.Active
		if _, known := slices.BinarySearch(pl.Behind, h.Src); known {
			id = pl.Pin(h.Src)
		}
		if id < 0 {
			return MaxMembers
		}
		return id
	}
	return -1
}

// flowSlot returns the slot of a frame's flow.
func flowSlot(pl *Plan, h *frame.Headers, b []byte) int {
	return int(pl.Hash.Of(h, b) % FlowCount)
}

// decide returns the member for a frame of a slot, why, and whether the slot's last frame has left. A member
// distributes.
func (s *shortest) decide(slot int, bytes uint64, now int64) (id int, why FlowReason, paused bool) {
	f := &s.flows.Slots[slot]
	if f.Until != 0 && s.set.Has(int(f.Member)) {
		until := s.flows.Members[f.Member].leaves(f)
		paused = now >= until+s.skew // rule 1
		if to := int(f.to) - 1; to >= 0 && s.targets.Has(to) {
			if !paused && now < s.flows.ForceBy {
				return int(f.Member), f.Why, false
			}
			return to, FlowForced, paused
		}
		if !paused || s.stays(f, until, now) {
			return int(f.Member), f.Why, paused
		}
	}
	id, why = s.shortestQueue(slot, bytes, now)
	return id, why, paused
}

// stays is rule 2.
func (s *shortest) stays(f *FlowSlot, until, now int64) bool {
	q := &s.flows.Members[f.Member]
	if now >= until+flowIdle || !s.targets.Has(int(f.Member)) {
		return false
	}
	if q.Clock < now+s.gain {
		return true // no clock is earlier than now
	}
	for _, id := range s.targetIDs[:s.targetN] {
		if q.Clock-max(s.flows.Members[id].Clock, now) >= s.gain {
			return false
		}
	}
	return true
}

// shortestQueue is rule 3. Members are equal if they differ by less than gain and by less than an eighth of the time
// that the frame takes, for measured rates of equal NICs are never quite equal.
func (s *shortest) shortestQueue(slot int, bytes uint64, now int64) (int, FlowReason) {
	best, least := int(s.targetIDs[0]), int64(math.MaxInt64)
	if s.targetN == 1 {
		return best, FlowOnly
	}
	shut := s.shut(slot)
	for _, id := range s.targetIDs[:s.targetN] {
		if t := s.flows.Members[id].finish(bytes, now) + shut.delay(id); t < least {
			best, least = int(id), t
		}
	}
	near := least + min(s.gain, ns(bytes, s.flows.Members[best].cost)/8)
	several, most := 0, uint64(0)
	for _, id := range s.targetIDs[:s.targetN] {
		if s.flows.Members[id].finish(bytes, now)+shut.delay(id) > near {
			continue
		}
		several++
		if r := flowRank(slot, int(id)); several == 1 || r > most {
			best, most = int(id), r
		}
	}
	if several > 1 {
		return best, FlowRank
	}
	return best, FlowShortest
}

// flowRank returns the rank of a member for a slot. Each member is equally likely to rank first.
func flowRank(slot, id int) uint64 {
	return finish(mix(hashStart, uint64(slot)<<8|uint64(id)))
}

// leaves returns when the last frame of a slot leaves.
func (q *Queue) leaves(f *FlowSlot) int64 {
	if f.reading == q.reading {
		return min(f.Until, q.Clock)
	}
	return min(f.Until+q.lateBy, q.all)
}

// finish returns when a frame would have left.
func (q *Queue) finish(bytes uint64, now int64) int64 {
	return max(q.Clock, now) + ns(bytes, q.cost)
}

// charge is rule 4.
func (q *Queue) charge(bytes uint64, now int64) {
	q.Clock = min(q.finish(bytes, now), now+maxAhead) + 1 // never twice the same, and never 0
	q.given += bytes
	if now-q.at >= freshFor {
		q.before = q.fresh(now)
		q.at, q.recent = now, 0
	}
	q.recent += int64(bytes)
}

// fresh returns the bytes that were queued in the last ms or two.
func (q *Queue) fresh(now int64) int64 {
	switch since := now - q.at; {
	case since < freshFor:
		return q.recent + q.before
	case since < 2*freshFor:
		return q.recent
	}
	return 0
}

// follow takes a Plan. A member that joins starts with an empty queue, and without what an earlier one of its id has
// shown.
func (s *shortest) follow(pl *Plan, now int64) {
	old := s.set
	s.setPlan(pl)
	if s.adopted {
		s.adoptPlan(old, now)
	}
	for _, id := range s.ids[:s.n] {
		if !old.Has(int(id)) {
			s.flows.Members[id] = Queue{Clock: now, all: now}
			s.capacity[id], s.usage[id] = Capacity{}, usage{since: now}
		}
		var link uint64
		if pl.Shortest.SpeedKnown.Has(int(id)) {
			link = pl.Shortest.Rates[id]
		}
		s.capacity[id].SetLink(link)
	}
	s.updateRates()
	if g := pl.Shortest.Generation; g != s.generation {
		s.generation, s.flows.ForceBy = g, now+forceWait
		for _, m := range pl.Shortest.Moves {
			s.force(m)
		}
	}
}

// adoptPlan takes the Plan in force for the one that the process before carried out, and the measured capacities from
// the queues.
func (s *shortest) adoptPlan(old MemberSet, now int64) {
	s.adopted, s.generation = false, s.plan.Shortest.Generation
	for left := old; left != 0; left = left.Without(left.First()) {
		id := left.First()
		var link uint64
		if s.plan.Shortest.SpeedKnown.Has(id) {
			link = s.plan.Shortest.Rates[id]
		}
		bps := s.flows.Members[id].Capacity
		s.capacity[id] = Capacity{bps: bps, link: link, more: link != 0 && bps > link}
		s.usage[id] = usage{since: now}
	}
}

// setPlan takes from pl who may send, where slots may go and when they stay.
func (s *shortest) setPlan(pl *Plan) {
	s.plan, s.set, s.n = pl, pl.Distributing, 0
	s.gain, s.skew = int64(pl.Shortest.Gain), int64(pl.Shortest.Skew)
	for left := pl.Distributing; left != 0; left = left.Without(left.First()) {
		s.ids[s.n] = uint8(left.First())
		s.n++
	}
	s.targets, s.targetN = pl.FlowTargets(), 0
	for left := s.targets; left != 0; left = left.Without(left.First()) {
		s.targetIDs[s.targetN] = uint8(left.First())
		s.targetN++
	}
	s.returning = pl.Returning()&s.targets != 0
}

// force notes a forced move for the slot's next frame.
func (s *shortest) force(m Move) {
	if int(m.Slot) >= FlowCount || !s.set.Has(int(m.To)) {
		return
	}
	if f := &s.flows.Slots[m.Slot]; f.Until != 0 && f.Member != m.To {
		f.to = m.To + 1
	}
}
