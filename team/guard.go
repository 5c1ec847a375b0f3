package team

import (
	"fmt"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/modes/spread"
)

// A panic in the control loop costs the input that was being handled: whoever waits for an answer gets an error, the Plan
// in force stays, and the mode, which may have died in the middle of something, is replaced by a new one that is told the
// State and the Plan, and in 802.3ad what partners know, as a process that takes this one's place would be. If the new
// one panics too, and once more, the process ends.

// Where panics can happen in the control loop and what feeds it: each is a kind of its own.
const (
	whereLoop      = "control loop"
	whereFrames    = "control frames"
	whereCarrier   = "adapter's carrier"
	whereAnnouncer = "announcer"
	whereMemory    = "LACP memory"
	whereCounters  = "counters"
	whereMeasuring = "measuring"
)

// step handles one input and says how long the control loop may rest after it. A panic is caught.
func (t *Team) step(r request) (out Output, rest time.Duration) {
	plan := t.loop.plan
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		name := inputName(r.in)
		if f, is := r.in.(FromDatapath); is && f.Kind == ControlFrame {
			t.o.Panics.UntrustedInput(whereFrames, name, v)
		} else {
			t.o.Panics.Caught(whereLoop, name, v)
		}
		t.tellEvents(&out)
		if out.Memory != nil {
			t.memory.put(out.Memory)
		}
		out, rest = Output{Err: &api.Problem{Kind: api.Failed, What: fmt.Sprintf("%s %s", strings.ToLower(name), t.o.Config.Team), Why: fmt.Sprintf("a fault of nicteam: %v", v),
			Fix: "nicteam status " + t.o.Config.Team + " --json has what is to be reported, in panics"}}, 0
		t.o.Panics.Do(whereLoop, func() { t.mend(plan) })
		if t.o.Panics.Failed() {
			rest = time.Second
		}
	}()
	t.loop.handle(time.Now(), r.in, &out)
	t.execute(&out, r.base)
	return out, t.wait()
}

// mend has the team go on after a panic, before the next input comes: a new mode is to know the State by then.
func (t *Team) mend(plan *spread.Plan) {
	t.loop.mend(plan)
	var out Output
	t.loop.handle(time.Now(), Tick{}, &out)
	t.execute(&out, nil)
}

// mend has the Loop go on after a panic. plan is what was in force, or about to be, before the input that died: one that
// it led to may never have got out.
func (l *Loop) mend(plan *spread.Plan) {
	l.plan, l.dirty = plan, true
	m, err := l.newMode(l.settings())
	if err != nil {
		return // the mode that there is has to go on
	}
	l.mode, l.handed, l.before = m, l.memory, plan
	l.unmeasured()
}

// inputName is what an input is called where people read of it.
func inputName(in Input) string {
	switch in := in.(type) {
	case FromDatapath:
		if in.Kind == ControlFrame {
			return fmt.Sprintf("frame of member %d: %x", in.Member, in.Frame[:min(len(in.Frame), controlShown)])
		}
		return fmt.Sprintf("news %d of member %d", in.Kind, in.Member)
	case LinkChanged:
		return fmt.Sprintf("link of NIC %d: up %v", in.Index, in.Up)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", in), "team.")
}

// controlShown is how much of a control frame is kept, which is all of a LACPDU.
const controlShown = 128

// panicked is told of each panic of the process.
func (t *Team) panicked(p api.Panic) {
	t.events.add([]api.Event{{Schema: "nicteam.event/v1", Time: p.Time, Team: t.o.Config.Team, Event: "panic", Reason: p.String()}})
}

// addPanics adds to s what went wrong inside. It is no state of the team, which works.
func addPanics(s *api.Status, list []api.Panic) {
	s.Panics = list
	for i := range list {
		p := &list[i]
		s.Warnings = append(s.Warnings, fmt.Sprintf("nicteam has survived a fault of its own (%d so far, the last at %s): %s; please report what status --json has in panics",
			p.Count, p.Time.Format(time.DateTime), p))
	}
}
