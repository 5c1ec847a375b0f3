// SPDX-License-Identifier: MIT

package spread

import (
	"math"

	"nicteam/internal/frame"
)

// A member may have lost its link before the control loop knows it and makes a Plan without it. A data path that sees
// this gives the frame to a stand-in: a member of the same Plan that is not dead. (One that only learns that a NIC has
// refused a frame asks Other.)
//
//   - RuleSingle: the next active member, else one of those after it
//   - RuleSlots: the member that the slot migrates to, else the one that the Plan without the dead member gives it to
//   - RuleRoundRobin: the one that has sent least for its share
//   - RuleShortest: the one by which the frame leaves first, and the flow stays there
//
// bpf/standin.h is the same for programs in the kernel.

// MaxSuccessors is how many members a Plan of RuleSingle names that would be active one after the other.
const MaxSuccessors = 4

// NoSlot is the slot of a frame that belongs to no flow.
const NoSlot = -1

// StandIn returns the member by which a frame of so many bytes on the wire leaves at once in place of one in dead, -1
// for none. slot is that of its flow, for RuleSlots of Plan.Slots and for RuleShortest of the flow table.
func StandIn(pl *Plan, s *TxState, dead MemberSet, slot, bytes int, now int64) int {
	if pl.Rule == RuleSingle {
		return pl.successor(dead)
	}
	alive := pl.Distributing &^ dead
	if alive == 0 || alive.Len() < pl.Least {
		return -1
	}
	switch pl.Rule {
	case RuleSlots:
		return pl.Slots.standIn(alive, slot)
	case RuleRoundRobin:
		return s.RoundRobin.lowestOf(pl, alive)
	case RuleShortest:
		return s.Flows.earliestOf(pl, alive, slot, uint64(max(bytes, 0)), now)
	}
	return -1
}

// StandsIn reports whether a member receives in place of the active one: by the way that the adapter's frames take,
// switches send back what is for it.
func StandsIn(pl *Plan, dead MemberSet, id int) bool {
	return pl.Rule == RuleSingle && pl.Active >= 0 && dead.Has(pl.Active) && pl.successor(dead) == id
}

// successor returns the first member that would become active and is not dead, -1 for none.
func (pl *Plan) successor(dead MemberSet) int {
	for _, id := range pl.Successors() {
		if !dead.Has(int(id)) {
			return int(id)
		}
	}
	return -1
}

// Successors are the members that would become active one after the other, under RuleSingle.
func (pl *Plan) Successors() []uint8 {
	if pl.Rule != RuleSingle || pl.Next < 0 {
		return nil
	}
	return append([]uint8{uint8(pl.Next)}, pl.Later...)
}

func (t *SlotTable) standIn(alive MemberSet, slot int) int {
	if t == nil {
		return -1
	}
	if to := int(t.Members[slot]); alive.Has(to) {
		return to
	}
	if len(t.StandIns) > 0 {
		if to := int(t.StandIns[slot]); alive.Has(to) {
			return to
		}
	}
	best, most := -1, int64(-1)
	for left := alive; left != 0; left = left.Without(left.First()) {
		id := left.First()
		if r := int64(flowRank(slot, id) >> 1); r > most {
			best, most = id, r
		}
	}
	return best
}

// lowestOf returns the member with a share that has sent least for it.
func (r *RoundRobin) lowestOf(pl *Plan, alive MemberSet) int {
	best := -1
	for left := alive; left != 0; left = left.Without(left.First()) {
		id := left.First()
		if pl.Weights[id] != 0 && (best < 0 || int64(r.Clock[id]-r.Clock[best]) < 0) {
			best = id
		}
	}
	return best
}

// earliestOf returns the member by which a frame leaves first: one that flows may go to, and that is open to the slot,
// if there is such a one.
func (t *FlowTable) earliestOf(pl *Plan, alive MemberSet, slot int, bytes uint64, now int64) int {
	set := alive
	if targets := pl.FlowTargets() & alive; targets != 0 {
		set = targets
		if slot != NoSlot && targets&^pl.ClosedTo(slot) != 0 {
			set = targets &^ pl.ClosedTo(slot)
		}
	}
	best, least := -1, int64(math.MaxInt64)
	for left := set; left != 0; left = left.Without(left.First()) {
		id := left.First()
		if f := t.Members[id].finish(bytes, now); f < least {
			best, least = id, f
		}
	}
	return best
}

// StandIn is for a frame that Pick gave to member id, which is in dead: it returns the stand-in, and notes that the
// frame leaves by it. Of RuleBroadcast there is none: the others have their copies.
func (p *Picker) StandIn(pl *Plan, id int, dead MemberSet, h *frame.Headers, b []byte, bytes int) int {
	slot := NoSlot
	switch pl.Rule {
	case RuleSlots:
		if pl.Slots == nil {
			return -1
		}
		slot = Slot(pl.Hash.Of(h, b))
	case RuleShortest:
		if p.shortestRule().fixed(pl, h, b) < 0 {
			slot = flowSlot(pl, h, b)
		}
	}
	s := p.txState()
	to := StandIn(pl, s, dead, slot, bytes, p.Now)
	if to < 0 {
		return -1
	}
	switch pl.Rule {
	case RuleRoundRobin:
		s.RoundRobin.Clock[to] += uint64(max(bytes, 1)) * ShareCost(pl.Weights[to])
	case RuleShortest:
		s.Flows.standIn(slot, id, to, uint64(bytes), p.Now)
	}
	return to
}

// standIn moves what a frame cost from the queue of member id to that of another, and its flow.
func (t *FlowTable) standIn(slot, id, to int, bytes uint64, now int64) {
	from, q := &t.Members[id], &t.Members[to]
	from.given -= bytes
	q.charge(bytes, now)
	if slot == NoSlot {
		from.Fixed -= bytes
		q.Fixed += bytes
		return
	}
	f := &t.Slots[slot]
	if f.Member != uint8(to) {
		f.Member, f.Since = uint8(to), now
	}
	f.Why, f.to = FlowShortest, 0
	f.Until, f.reading = q.Clock, q.reading
}
