// SPDX-License-Identifier: MIT

package spread

import (
	"fmt"
	"slices"
	"time"

	"nicteam/internal/frame"
)

// explainedBytes is the length of the explained frame: a full one.
const explainedBytes = 1514

// shortest explains by a Picker's own code, on a copy of its table.
func (e *Explanation) shortest(pl *Plan, flows *FlowTable, names func(int) string, f Flow) {
	if f.DstMAC == 0 && f.Dst.Addr().IsMulticast() {
		f.DstMAC = groupMAC(f)
	}
	b := f.frame(pl.Adapter)
	var h frame.Headers
	frame.Parse(b, &h)
	s := pickerOf(pl, flows)
	if id := s.fixed(pl, &h, b); id >= 0 {
		e.fixed(pl, names, &h, id)
		return
	}
	if e.lacksMAC(pl, f) {
		return
	}
	e.Hashed = true
	e.Hash = pl.Hash.Of(&h, b)
	e.Slot = flowSlot(pl, &h, b)
	if s.n == 0 {
		e.Why = "no member may send"
		e.IfDeadWhy = e.Why
		return
	}
	now := s.flows.Now
	slot := &s.flows.Slots[e.Slot]
	id, why, _ := s.decide(e.Slot, explainedBytes, now)
	e.Member, e.All = id, MemberSet(0).With(id)
	if closed := pl.ClosedTo(e.Slot) &^ e.Suspect; !closed.Has(id) {
		e.Closed = closed
	}
	e.Why = fmt.Sprintf("hash %v of the flow names slot %d of %d, ", pl.Hash.Policy, e.Slot, FlowCount)
	switch {
	case slot.Until == 0:
		e.Why += fmt.Sprintf("which has sent nothing yet; its next frame leaves by %s: %s", names(id), pl.reason(why))
	case int(slot.Member) == id:
		e.Age = max(time.Duration(now-slot.Since), 0)
		e.Why += fmt.Sprintf("which has been %s's for %v: %s", names(id), shortly(e.Age), reason(slot.Why))
	default:
		was := "which is with a member that sends no more"
		if pl.Distributing.Has(int(slot.Member)) {
			was = fmt.Sprintf("which was last with %s", names(int(slot.Member)))
		}
		e.Why += fmt.Sprintf("%s; its next frame leaves by %s: %s", was, names(id), pl.reason(why))
	}
	without := *pl
	without.Distributing = pl.Distributing.Without(id)
	s.setPlan(&without)
	if s.n == 0 {
		e.IfDeadWhy = "no other member may send"
		return
	}
	e.IfDead, why, _ = s.decide(e.Slot, explainedBytes, now)
	e.IfDeadWhy = fmt.Sprintf("%s would carry it: %s", names(e.IfDead), without.reason(why))
}

// pickerOf returns the rule of a Picker with that table.
func pickerOf(pl *Plan, flows *FlowTable) *shortest {
	fresh := &shortest{flows: &FlowTable{}}
	if flows == nil {
		fresh.follow(pl, 0)
		return fresh
	}
	fresh.follow(pl, flows.Now)
	for _, id := range fresh.ids[:fresh.n] {
		if flows.Members[id].cost == 0 { // the data path has sent nothing by it yet
			flows.Members[id] = fresh.flows.Members[id]
		}
	}
	s := &shortest{flows: flows}
	s.setPlan(pl)
	flows.ForceBy = flows.Now
	return s
}

// fixed explains a frame outside of slots.
func (e *Explanation) fixed(pl *Plan, names func(int) string, h *frame.Headers, id int) {
	e.All = 0
	if id < MaxMembers && pl.Distributing.Has(id) {
		e.Member, e.All = id, MemberSet(0).With(id)
	}
	switch {
	case e.Member < 0:
		e.Why = "no member may send it"
		e.IfDeadWhy = e.Why
	case h.Src != pl.Adapter:
		e.Why = fmt.Sprintf("%v lives behind the adapter and is pinned to %s, where it also receives", h.Src, names(id))
		if e.IfDead = pl.nextPin(h.Src, id); e.IfDead >= 0 {
			e.IfDeadWhy = fmt.Sprintf("%v would be pinned to %s", h.Src, names(e.IfDead))
		} else {
			e.IfDeadWhy = "no other member may send"
		}
	default:
		e.Why = fmt.Sprintf("group-addressed frames other than UDP leave by the active member, which is %s", names(id))
		e.IfDeadWhy = "whichever member becomes active would carry it"
		if left := pl.Distributing.Without(id); left == 0 {
			e.IfDeadWhy = "no other member may send"
		} else if left.Len() == 1 {
			e.IfDead = left.First()
		}
	}
}

// nextPin returns the member that a MAC would be pinned to without a member, -1 for none.
func (pl *Plan) nextPin(m frame.MAC, dead int) int {
	left, any := pl.Weights, false
	for id := range left {
		if id == dead || !slices.Contains(pl.Pins, uint8(id)) {
			left[id] = 0
		}
		any = any || left[id] > 0
	}
	if !any { // only members that accept no other MACs are left
		left = pl.Weights
		left[dead] = 0
	}
	if to := AssignSlot(pinSlot(pl, m), &left); to != NoMember {
		return int(to)
	}
	return -1
}

// reason returns the FlowReason of a decision under pl in words.
func (pl *Plan) reason(why FlowReason) string {
	switch {
	case why != FlowOnly:
		return reason(why)
	case pl.FlowTargets() != pl.Distributing:
		return "the others are suspect"
	}
	return "no other member may send"
}

// reason returns the FlowReason of an earlier decision in words.
func reason(why FlowReason) string {
	switch why {
	case FlowRank:
		return "several queues were equally short, and it ranks first among them for the slot"
	case FlowForced:
		return "it was moved there to rebalance flows that never pause"
	case FlowOnly:
		return "no other member might send, or the others were suspect"
	}
	return "its queue was the shortest"
}

// shortly rounds a time for users.
func shortly(d time.Duration) time.Duration {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond)
	case d < time.Minute:
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}

// groupMAC returns the address to which frames for the flow's group are sent (RFC 1112 6.4, RFC 2464 7).
func groupMAC(f Flow) frame.MAC {
	b := f.Dst.Addr().AsSlice()
	low := frame.MAC(b[len(b)-3])<<16 | frame.MAC(b[len(b)-2])<<8 | frame.MAC(b[len(b)-1])
	if len(b) == 4 {
		return 0x01005e000000 | low&0x7fffff
	}
	return 0x333300000000 | frame.MAC(b[len(b)-4])<<24 | low
}
