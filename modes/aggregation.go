// SPDX-License-Identifier: MIT

package modes

import (
	"slices"
	"time"

	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

// aggregation is the mode 802.3ad: both ends agree by LACP which links belong together. lacp.System runs the protocol;
// this mode turns its state into a Plan:
//
//	State, Received, Tick → System → Status ┬ aggregation_ports.go   configures the System's ports
//	                                        ├ aggregation_single.go  elects one member: no partner, or balance off
//	                                        └ aggregation_plan.go    who sends, who receives
//
// With Balance the slots are shared among the distributing ports of the active aggregator. Without it one port is in
// use and the others stand by; the protocol runs on, so Balance may change in a State.
//
// Frames in Effects are sent once the Plan is in force, so no partner is told what is not true yet: a partner that is
// told to send by a port finds it collecting, and one that is told that a port stops has got all its frames.
type aggregation struct {
	st     State
	plan   *spread.Plan
	system *lacp.System // nil before the first State
	status lacp.Status
	ports  []lacp.PortConfig // as the System has them
	config lacp.Config

	identity identity
	single   singleElection
	slots    slotMigration
	overlap  rxOverlap

	announced announcedPath
}

// announcedPath is the path to the team that neighbours were told last.
type announcedPath struct {
	sends      bool
	aggregator int
	single     int // the member that sends everything, -1 none
}

func newAggregation() *aggregation {
	return &aggregation{plan: emptyPlan(), single: singleElection{active: -1, reported: -1},
		announced: announcedPath{single: -1}}
}

func (*aggregation) isMode() {}

// Handle runs the protocol and updates the Plan.
func (a *aggregation) Handle(now time.Time, ev Event) Effects {
	var eff Effects
	if st, ok := ev.(State); ok {
		a.begin(now, &st)
		a.single.follow(&a.st, &st)
		a.st = st
	}
	if a.system == nil {
		return eff
	}
	switch ev := ev.(type) {
	case State:
	case Received:
		if !isSlowProtocol(ev.Frame) || find(&a.st, ev.Member) == nil {
			return eff
		}
		a.apply(a.system.Receive(now, ev.Member, ev.Frame), &eff)
	case Tick:
		a.apply(a.system.Tick(now), &eff)
	case Flooded:
		if a.plan.Rule == spread.RuleSingle {
			eff.Tell = TellAll
		}
		return eff
	case Ending:
		a.apply(a.system.Leave(now), &eff)
		return eff
	default:
		return eff
	}
	a.converge(now, &eff)
	return eff
}

// Plan returns the Plan in force.
func (a *aggregation) Plan() *spread.Plan { return a.plan }

// Deadline returns the next one of the protocol, of a migration and of an overlap.
func (a *aggregation) Deadline() time.Time {
	if a.system == nil {
		return time.Time{}
	}
	d := earlier(a.system.Deadline(), a.overlap.deadline())
	if !a.st.Settings.Balance || a.single.alone {
		d = earlier(d, earlier(a.single.awaitUntil, a.single.yieldAt))
	}
	return earlier(d, earlier(a.slots.deadline(), a.slots.markerDeadline()))
}

// begin makes the System with the first State.
func (a *aggregation) begin(now time.Time, st *State) {
	if a.system != nil {
		return
	}
	a.identity = newIdentity(st)
	a.config = a.configOf(st)
	a.system = lacp.New(a.config, st.Memory)
	a.single.resume(now, st)
	a.slots.resume(st.Before, &st.Settings)
	a.overlap.resume(st.Before)
}

// maxRounds bounds how often one event configures the System.
const maxRounds = 4

// converge brings the System in line with the State, and the Plan with the System.
func (a *aggregation) converge(now time.Time, eff *Effects) {
	a.status = a.system.Status()
	// The ports' configuration follows from their status, and their status from that. One more round is needed with
	// balance off where a port stands by, and in a drain. It ends by itself; the bound is for the unexpected.
	for i := 0; ; i++ {
		a.elect(now)
		a.retarget(now)
		if i == maxRounds || !a.configure(now, eff) {
			break
		}
	}
	markers := a.slots.nextMarkers(now)
	a.replan(now)
	for ; markers != 0; markers = markers.Without(markers.First()) {
		out := a.system.Flush(now, markers.First())
		if len(out.Send) == 0 {
			a.slots.markerRefused(markers.First())
		}
		a.apply(out, eff)
	}
	a.announce(eff)
}

// configure configures the System by the State. It reports whether that changed anything.
func (a *aggregation) configure(now time.Time, eff *Effects) bool {
	c, ports := a.configOf(&a.st), a.portConfigs()
	if c == a.config && slices.Equal(ports, a.ports) {
		return false
	}
	a.config, a.ports = c, ports
	a.apply(a.system.Configure(now, c, ports), eff)
	a.status = a.system.Status()
	return true
}

// apply adds the System's frames and notes to the Effects, and reads answers to markers.
func (a *aggregation) apply(out lacp.Out, eff *Effects) {
	for _, s := range out.Send {
		eff.Send = append(eff.Send, spread.Send{Member: s.Port, Frame: s.Frame})
	}
	for _, n := range out.Notes {
		eff.Notes = append(eff.Notes, Note{Event: noteEvents[n.Kind], Member: n.Port, Reason: n.Reason})
	}
	for _, id := range out.Flushed {
		a.slots.markerAnswered(id)
	}
}

var noteEvents = [...]string{lacp.PartnerChanged: "partner-changed", lacp.AggregatorChanged: "aggregator-changed",
	lacp.Looped: "loop", lacp.Contested: "partner-contested", lacp.Churned: "churn"}

// announce announces the team where another member or aggregator sends, and reports another active member.
func (a *aggregation) announce(eff *Effects) {
	path := announcedPath{sends: a.plan.Rule != spread.RuleNone, single: a.plan.Active}
	if path.sends && !a.single.alone {
		path.aggregator = a.status.Active
	}
	if path.sends && path != a.announced {
		eff.Tell |= TellAll
	}
	a.announced = path
	// A member that is elected but may not send yet is reported when it may.
	if path.single != a.single.reported && (path.single >= 0 || a.single.active < 0) {
		eff.Active, eff.Reason = true, a.single.reason
		a.single.reported = path.single
	}
}
