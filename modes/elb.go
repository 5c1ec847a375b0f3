// SPDX-License-Identifier: MIT

package modes

import (
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/modes/steer"
)

// elb balances in both directions over any NICs on any switch, and keeps the order of each flow.
//
// Transmit: the flow table of package spread chooses the member. Receive: package steer gives each peer the MAC of a
// member. Every member sends with its own MAC, so a switch learns each MAC on one port.
//
//	State → active member (election.go) → pins (elb_plan.go) → MAC owners (elb_owners.go) → Plan → learning frames,
//	        announcements, notifications of peers
//
// Group-addressed frames are accepted, and asked for, by the active member alone.
type elb struct {
	st     State
	plan   *spread.Plan
	active int // -1 none

	macOwner map[frame.MAC]int
	// the adapter's MAC and those of members that were usable: peers send to no others
	inUse          map[frame.MAC]bool
	previousOwners map[frame.MAC]spread.MemberSet // go on accepting what is under way
	overlapUntil   time.Time                      // when previousOwners end
	former         formerMACs

	returns  returns
	relearn  relearn
	silence  silence
	steering steer.Balancer

	rebalancer spread.Rebalancer
	moves      []spread.Move
	generation uint64 // of moves

	nextGeneration uint64 // least one of the next moves
}

func newELB() *elb { return &elb{plan: emptyPlan(), active: -1, former: formerMACs{}} }

func (*elb) isMode() {}

// Handle updates the Plan and returns what to send and to announce.
func (e *elb) Handle(now time.Time, ev Event) (eff Effects) {
	switch ev := ev.(type) {
	case State:
		return e.update(now, ev)
	case Tick:
		return e.tick(now)
	case Announced:
		e.steering.Announced(now)
	case AddressLeft:
		e.steering.ForgetAddress(now, ev.VLAN, ev.IP)
	case AddressHeld:
		e.steering.HaveAddress(ev.VLAN, ev.IP)
	case AddressClaimed:
		e.steering.Unbind(ev.VLAN, ev.IP)
	case Received:
		if ev.Member < 0 {
			eff.Send = e.steering.Transmit(now, ev.Frame)
		} else {
			e.steering.Receive(now, ev.Frame)
		}
	case Measured:
		eff.Send = e.measure(now, ev)
	case Flooded:
		eff.Send = e.learningFrames(e.macOwner)
		eff.Tell = TellBehind
	}
	return eff
}

// update follows a State.
func (e *elb) update(now time.Time, st State) (eff Effects) {
	was, wasActive, wasPins := e.st, e.active, e.plan.Pins
	e.st = st
	e.elect(&was, &eff)
	if e.active >= 0 && e.active == wasActive && differInSuspicion(&was, &e.st) {
		e.plan = doubting(e.plan, doubted(&e.st, e.plan.Distributing))
		eff.Send = e.steer(now)
		return eff
	}
	e.returns.follow(now, &was, &e.st)
	readdressed := e.former.update(now, &was, &e.st)

	pl := e.draft()
	moved, orphaned := e.updateOwners(now, &was, pl)
	e.publish(pl)

	eff.Send = append(e.learningFrames(moved), e.learnBehind(&was)...)
	if !slices.Equal(wasPins, e.plan.Pins) && len(e.st.Behind) > 0 {
		eff.Tell |= TellBehind
	}
	switch {
	case e.active < 0:
	case wasActive < 0:
		eff.Tell = TellAll
	case orphaned, readdressed, drainBegins(&was, &e.st):
		// Peers may hold a MAC that no member accepts any more, or soon will not. Announce the addresses again; peers
		// that steering knows are notified of theirs after this.
		eff.Tell |= TellAddresses
	}
	set := &e.st.Settings
	if set.ReceiveBalance && e.active >= 0 && (wasActive < 0 || !was.Settings.ReceiveBalance) {
		// Hosts with open connections send no requests and get none, so steering would never learn them.
		eff.Tell |= TellAsk
	}
	eff.Send = append(eff.Send, e.steer(now)...)
	return eff
}

// steer lets steering follow the Plan in force.
func (e *elb) steer(now time.Time) []spread.Send {
	set := &e.st.Settings
	return e.steering.Apply(now, e.plan, steer.Settings{Balance: set.ReceiveBalance, Rebalance: set.Rebalance})
}

// elect chooses the active member after a State.
func (e *elb) elect(was *State, eff *Effects) {
	before, why := e.active, lost(was, &e.st, e.active)
	if why != "" {
		e.active = -1
	}
	e.active, eff.Reason = e.st.elect(e.active)
	if e.active == before && why == "" {
		eff.Reason = ""
		return
	}
	eff.Active = true
	if why != "" {
		eff.Reason = why + ", " + eff.Reason
	}
	if e.active >= 0 {
		eff.Tell |= TellGroups
	}
}

// tick ends overlaps and former MACs, repeats learning frames, notifies peers and gives returning members more.
func (e *elb) tick(now time.Time) (eff Effects) {
	if e.returns.due(now) {
		eff = e.update(now, e.st)
	}
	replan := len(e.previousOwners) > 0 && !now.Before(e.overlapUntil)
	if replan {
		e.previousOwners = nil
	}
	for _, m := range e.former.expire(now, e.st.Adapter) {
		delete(e.macOwner, m)
		delete(e.inUse, m)
		replan = true
	}
	if replan {
		e.publish(e.draft())
	}
	again := e.relearn.due(now, e.macOwner)
	if len(again) > 0 && len(e.st.Behind) > 0 && len(e.returns.since) == 0 {
		eff.Tell |= TellBehind // MACs that are pinned to a member that is back; while it returns none is
	}
	eff.Send = append(append(eff.Send, e.learningFrames(again)...), e.steering.Tick(now)...)
	return eff
}

// measure steers peers and moves flows by load.
func (e *elb) measure(now time.Time, ev Measured) (sends []spread.Send) {
	if ev.RxBytes != nil {
		sends = e.steering.Measure(now, ev.RxBytes, ev.Flows)
	}
	if e.plan.Rule != spread.RuleShortest {
		return sends
	}
	silent := e.silence.update(now, ev.Flows, e.plan.Distributing&e.steering.Members())
	sends = append(sends, e.learningFrames(e.ownedBy(silent))...)
	if ev.Flows == nil || e.st.Settings.Rebalance == 0 {
		return sends
	}
	if moves := e.rebalancer.Moves(ev.Flows, e.plan); len(moves) > 0 {
		e.moves = moves
		e.generation = max(e.generation+1, e.nextGeneration)
		e.publish(e.draft())
	}
	return sends
}

// Plan returns the Plan in force.
func (e *elb) Plan() *spread.Plan { return e.plan }

// Deadline returns when the next Tick is due.
func (e *elb) Deadline() time.Time {
	d := earlier(e.steering.Deadline(), earlier(e.relearn.at, e.former.deadline(e.st.Adapter)))
	d = earlier(d, e.returns.at)
	if len(e.previousOwners) > 0 {
		d = earlier(d, e.overlapUntil)
	}
	return d
}

// Peers returns the peers that m steers, by address; nil if it steers none.
func Peers(now time.Time, m Mode) []steer.Peer {
	if e, ok := m.(*elb); ok {
		return e.steering.Peers(now)
	}
	return nil
}
