package modes

import (
	"slices"
	"time"

	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

// aggregation is the mode 802.3ad: both ends of the links agree by LACP which of them are one. What the protocol says
// is lacp.System's business; here its state becomes a Plan:
//
//	State, Received, Tick → System → Status ┬ aggregation_ports.go   what the System is to have its ports be
//	                                        ├ aggregation_choice.go  who works for all: nobody answers, or balance is off
//	                                        └ aggregation_plan.go    who sends, who receives
//
// With Balance the flows' slots are shared out among the distributing ports of the active aggregator. Without it one
// port is in use and the others stand by; as the protocol goes on all the same, Balance may change in a State.
//
// Frames in Effects are sent when the Plan is in force, so that no partner is told what is not true yet: one that is
// told to send by a port finds it receiving, and one that is told nothing more will come has got all.
type aggregation struct {
	st     State
	plan   *spread.Plan
	system *lacp.System // nil until there was a State
	status lacp.Status
	ports  []lacp.PortConfig // as the System has them
	config lacp.Config

	numbering numbering
	choice    choice
	over      transition
	lingering lingering

	said voice // for whom the neighbours were told last
}

// voice is by what way the team is to be reached.
type voice struct {
	sends      bool
	aggregator int
	single     int // who sends everything, -1 not one
}

func newAggregation() *aggregation {
	return &aggregation{plan: emptyPlan(), choice: choice{active: -1, shown: -1}, said: voice{single: -1}}
}

func (*aggregation) isMode() {}

// Handle takes in an event.
func (a *aggregation) Handle(now time.Time, ev Event) Effects {
	var eff Effects
	if st, ok := ev.(State); ok {
		a.begin(now, &st)
		a.choice.follow(&a.st, &st)
		a.st = st
	}
	if a.system == nil {
		return eff
	}
	switch ev := ev.(type) {
	case State:
	case Received:
		if !slow(ev.Frame) || find(&a.st, ev.Member) == nil {
			return eff
		}
		a.take(a.system.Receive(now, ev.Member, ev.Frame), &eff)
	case Tick:
		a.take(a.system.Tick(now), &eff)
	case Flooded:
		if a.plan.Rule == spread.RuleSingle {
			eff.Tell = TellAll
		}
		return eff
	case Ending:
		a.take(a.system.Leave(now), &eff)
		return eff
	default:
		return eff
	}
	a.settle(now, &eff)
	return eff
}

// Plan returns the Plan in force.
func (a *aggregation) Plan() *spread.Plan { return a.plan }

// Deadline is the earliest one of the protocol, of slots that go over and of members that receive for a moment more.
func (a *aggregation) Deadline() time.Time {
	if a.system == nil {
		return time.Time{}
	}
	d := earlier(a.system.Deadline(), a.lingering.deadline())
	if !a.st.Settings.Balance || a.choice.alone {
		d = earlier(d, earlier(a.choice.await, a.choice.yields))
	}
	return earlier(d, earlier(a.over.deadline(), a.over.asks()))
}

// begin makes the System with the first State.
func (a *aggregation) begin(now time.Time, st *State) {
	if a.system != nil {
		return
	}
	a.numbering = numberingOf(st)
	a.config = a.configOf(st)
	a.system = lacp.New(a.config, st.Memory)
	a.choice.resume(now, st)
	a.over.resume(st.Before, &st.Settings)
	a.lingering.resume(st.Before)
}

// settled is how often at most the System is told what its ports are to be, after one event.
const settled = 4

// settle brings the System in line with the State, and the Plan with the System.
func (a *aggregation) settle(now time.Time, eff *Effects) {
	a.status = a.system.Status()
	// What the ports are to be follows from what they are, and what they are from that: once more in balance with one
	// that stands by, and in a drain. It ends by itself; the bound is for what nobody has thought of.
	for i := 0; ; i++ {
		a.choose(now)
		a.aim(now)
		if i == settled || !a.configure(now, eff) {
			break
		}
	}
	asked := a.over.ask(now)
	a.replan(now)
	for ; asked != 0; asked = asked.Without(asked.First()) {
		out := a.system.Flush(now, asked.First())
		if len(out.Send) == 0 {
			a.over.unasked(asked.First())
		}
		a.take(out, eff)
	}
	a.speak(eff)
}

// configure has the System go by the State. It reports whether that changed anything.
func (a *aggregation) configure(now time.Time, eff *Effects) bool {
	c, ports := a.configOf(&a.st), a.portsOf()
	if c == a.config && slices.Equal(ports, a.ports) {
		return false
	}
	a.config, a.ports = c, ports
	a.take(a.system.Configure(now, c, ports), eff)
	a.status = a.system.Status()
	return true
}

// take notes what the System wants done.
func (a *aggregation) take(out lacp.Out, eff *Effects) {
	for _, s := range out.Send {
		eff.Send = append(eff.Send, spread.Send{Member: s.Port, Frame: s.Frame})
	}
	for _, n := range out.Notes {
		eff.Notes = append(eff.Notes, Note{Event: noteEvents[n.Kind], Member: n.Port, Reason: n.Reason})
	}
	for _, id := range out.Flushed {
		a.over.flushed(id)
	}
}

var noteEvents = [...]string{lacp.PartnerChanged: "partner-changed", lacp.AggregatorChanged: "aggregator-changed", lacp.Looped: "loop", lacp.Contested: "partner-contested", lacp.Churned: "churn"}

// speak says what there is to say of a change of who sends.
func (a *aggregation) speak(eff *Effects) {
	v := voice{sends: a.plan.Rule != spread.RuleNone, single: -1}
	if a.plan.Rule == spread.RuleSingle {
		v.single = a.plan.Active
	}
	if v.sends && !a.choice.alone {
		v.aggregator = a.status.Active
	}
	if v.sends && v != a.said {
		eff.Tell |= TellAll
	}
	a.said = v
	// One that is to send but may not yet is said when it does.
	if v.single != a.choice.shown && (v.single >= 0 || a.choice.active < 0) {
		eff.Active, eff.Reason = true, a.choice.reason
		a.choice.shown = v.single
	}
}
