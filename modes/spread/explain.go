// SPDX-License-Identifier: MIT

package spread

import (
	"fmt"
	"strings"
	"time"

	"nicteam/internal/frame"
)

// Explanation is which member carries a flow, and why.
type Explanation struct {
	Member int       // -1: none, or several
	All    MemberSet // members by which frames of the flow may leave

	Hashed bool   // whether Hash and Slot decide
	Hash   uint64 // of the flow
	Slot   int    // of Plan.Slots, with RuleShortest of the flow table

	Suspect MemberSet // members that get no flow, though they may send
	Closed  MemberSet // members that return, and do not get this flow yet

	Age time.Duration // how long Member has carried the flow, if that is known
	Why string        // in words

	IfDead    int    // the member that would carry the flow without Member; -1: none, or several
	IfDeadWhy string // in words
}

// Explain explains where pl sends the flow: it builds a frame of the flow and runs a data path's rule on it. names
// returns a member's name. flows is a copy of the data path's flow table, which Explain may change; nil if there is
// none.
func Explain(pl *Plan, flows *FlowTable, names func(int) string, f Flow) Explanation {
	e := Explanation{Member: -1, IfDead: -1, All: pl.Distributing, Suspect: pl.Distributing &^ pl.FlowTargets()}
	switch pl.Rule {
	case RuleSingle:
		e.single(pl, names)
	case RuleSlots:
		e.slots(pl, names, f)
	case RuleShortest:
		e.shortest(pl, flows, names, f)
	case RuleRoundRobin:
		e.Why = "round-robin: each frame goes to the member that has sent least for its share, " +
			"whatever the flow; one of " +
			list(pl.Distributing, names)
		if pl.PacketsPerMember == 0 {
			e.Why = "round-robin with packets_per_member 0: each frame goes to a random member, " +
				"whatever the flow; one of " +
				list(pl.Distributing, names)
		}
		e.IfDeadWhy = "the others share what a dead member leaves"
		e.onlyOne()
	case RuleBroadcast:
		e.Why = "broadcast: a copy of each frame leaves by every member: " + list(pl.Distributing, names)
		e.IfDeadWhy = "the copies of the others are not touched"
		e.onlyOne()
	default:
		e.Why = "no member may send"
		e.IfDeadWhy = "no member may send"
	}
	return e
}

// StandIn explains what a data path does that sees members without link before pl is another one. flows is as for
// Explain.
func (e *Explanation) StandIn(pl *Plan, flows *FlowTable, dead MemberSet, names func(int) string) {
	if e.Member < 0 || !dead.Has(e.Member) {
		return
	}
	slot := NoSlot
	if e.Hashed {
		slot = e.Slot
	}
	var s TxState
	now := int64(0)
	if flows != nil {
		s.Flows, now = *flows, flows.Now
	}
	to := StandIn(pl, &s, dead, slot, explainedBytes, now)
	if to < 0 {
		e.Why = fmt.Sprintf("%s has no carrier, and no member may send in its place: %s", names(e.Member), e.Why)
		return
	}
	e.Why = fmt.Sprintf("would send by %s: %s has no carrier; until the team's Plan says so: %s", names(to),
		names(e.Member), e.Why)
	e.Member, e.All, e.Age = to, MemberSet(0).With(to), 0
	e.IfDead, e.IfDeadWhy = -1, "no other member may send"
	if next := StandIn(pl, &s, dead.With(to), slot, explainedBytes, now); next >= 0 {
		e.IfDead, e.IfDeadWhy = next, fmt.Sprintf("%s would send in its place", names(next))
	}
}

func (e *Explanation) single(pl *Plan, names func(int) string) {
	e.Member, e.IfDead = pl.Active, pl.Next
	e.Why = names(pl.Active) + " is the active member and carries everything"
	e.IfDeadWhy = "no other member is usable"
	if pl.Next >= 0 {
		e.IfDeadWhy = names(pl.Next) + " would become active"
	}
}

func (e *Explanation) slots(pl *Plan, names func(int) string, f Flow) {
	if e.lacksMAC(pl, f) {
		return
	}
	b := f.frame(pl.Adapter)
	var h frame.Headers
	frame.Parse(b, &h)
	e.Hashed = true
	e.Hash = pl.Hash.Of(&h, b)
	e.Slot = Slot(e.Hash)
	if e.migrates(pl, names) {
		return
	}
	var p Picker
	got := p.Pick(pl, &h, b, len(b))
	if got == 0 {
		e.Why = fmt.Sprintf("slot %d has no member", e.Slot)
		e.IfDeadWhy = e.Why
		return
	}
	e.Member, e.All = got.First(), got
	// Other members that distribute have no share: they carry slots that have not migrated yet, or get slots soon.
	var sharers MemberSet
	for id, w := range pl.Weights {
		if w > 0 {
			sharers = sharers.With(id)
		}
	}
	e.Why = fmt.Sprintf("hash %v of the flow names slot %d of %d, which is %s's by its rank among %s",
		pl.Hash.Policy, e.Slot, SlotCount, names(e.Member), list(sharers, names))
	if sharers.Len() == 1 {
		e.Why = names(e.Member) + " is the only member that may send"
	}
	left := pl.Weights
	left[e.Member] = 0
	if to := AssignSlot(e.Slot, &left); to != NoMember {
		e.IfDead = int(to)
		e.IfDeadWhy = fmt.Sprintf("%s is next in rank for slot %d", names(e.IfDead), e.Slot)
	} else {
		e.IfDeadWhy = "no other member may send"
	}
}

// migrates explains a slot of a migration, and reports whether it is one. Only the data path knows whether it has
// migrated: Member is the one before.
func (e *Explanation) migrates(pl *Plan, names func(int) string) bool {
	mig := pl.Migration()
	if mig == nil || mig.From[e.Slot] == pl.Slots.Members[e.Slot] || !pl.Distributing.Has(int(mig.From[e.Slot])) {
		return false
	}
	from, to := int(mig.From[e.Slot]), int(pl.Slots.Members[e.Slot])
	e.Member, e.All = from, MemberSet(0).With(from).With(to)
	e.Why = fmt.Sprintf("hash %v of the flow names slot %d of %d, which migrates from %s to %s: "+
		"as soon as no frame of it can be under way by %s, within %v",
		pl.Hash.Policy, e.Slot, SlotCount, names(from), names(to), names(from), MaxMigration)
	e.IfDead, e.IfDeadWhy = to, fmt.Sprintf("slot %d migrates to %s at once", e.Slot, names(to))
	return true
}

// lacksMAC reports whether the hash needs a MAC that the flow does not have.
func (e *Explanation) lacksMAC(pl *Plan, f Flow) bool {
	if f.DstMAC != 0 || pl.Hash.Policy != Layer2 && pl.Hash.Policy != Layer23 {
		return false
	}
	e.Why = fmt.Sprintf("hash %v looks at the next hop's MAC, which the flow does not say: add \"to MAC\"",
		pl.Hash.Policy)
	e.IfDeadWhy = "it depends on the same MAC"
	e.onlyOne()
	return true
}

// onlyOne makes the answer exact if there is one member.
func (e *Explanation) onlyOne() {
	if e.All.Len() == 1 {
		e.Member = e.All.First()
		e.IfDeadWhy = "no other member may send"
	}
}

func list(s MemberSet, names func(int) string) string {
	var out []string
	for ; s != 0; s = s.Without(s.First()) {
		out = append(out, names(s.First()))
	}
	return strings.Join(out, ", ")
}
