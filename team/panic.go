// SPDX-License-Identifier: MIT

package team

import (
	"fmt"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/modes/spread"
)

// A panic in the control loop loses the input that was being handled: its caller gets an error, and the Plan in force
// stays. The mode, whose state may be inconsistent, is replaced by a new one that gets the State, the Plan and the LACP
// state, as in a new process. If that one panics too, and once more, the process ends.

// The places of panics; reports tell them apart.
const (
	panicLoop      = "control loop"
	panicFrames    = "control frames"
	panicCarrier   = "adapter's carrier"
	panicAnnouncer = "announcer"
	panicMemory    = "LACP memory"
	panicSaver     = "checkpoint"
	panicCounters  = "counters"
	panicMeasuring = "measuring"
	panicSampling  = "sampling"
	panicLosses    = "losses"
)

// handleRequest handles one input, and notes when the next one is due. It recovers from a panic.
func (t *Team) handleRequest(r request) (out Output) {
	if _, is := r.in.(Heard); !is {
		t.hear(&t.hellos.filter) // any input may have the link watches miss what was noted
	}
	if _, is := r.in.(Tick); is && !t.loopIsDue() {
		r.in = Idle{} // a Tick with nothing due would cost all that any other input does
	}
	plan := t.loop.plan
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		name := inputName(r.in)
		if f, is := r.in.(FromDatapath); is && f.Kind == ControlFrame {
			t.o.Panics.UntrustedInput(panicFrames, name, v)
		} else {
			t.o.Panics.Caught(panicLoop, name, v)
		}
		t.publishEvents(&out)
		if out.Memory != nil {
			t.memory.put(out.Memory)
		}
		out = Output{Err: &api.Problem{Kind: api.Failed, What: fmt.Sprintf("%s %s", strings.ToLower(name),
			t.o.Config.Team), Why: fmt.Sprintf("a fault of nicteam: %v", v),
			Fix: "nicteam status " + t.o.Config.Team + " --json has what is to be reported, in panics"}}
		t.o.Panics.Do(panicLoop, func() { t.recoverFromPanic(plan) })
		if t.due = time.Now(); t.o.Panics.Failed() {
			t.due = t.due.Add(time.Second)
		}
	}()
	now := time.Now()
	r.markLate(now)
	t.loop.handle(now, r.in, &out)
	t.judging.Store(t.loop.watches.Judging())
	changes, urgent := changesCheckpoint(r.in, &out)
	t.execute(&out, r.base)
	t.updateCheckpoint(changes, urgent)
	t.due = t.nextDue(now)
	t.noteHellos()
	return out
}

// recoverFromPanic replaces the mode, and gives the new one the State before the next input.
func (t *Team) recoverFromPanic(plan *spread.Plan) {
	t.loop.recoverMode(plan)
	var out Output
	t.loop.handle(time.Now(), Tick{}, &out)
	t.execute(&out, nil)
}

// recoverMode replaces the mode. plan was in force, or about to be, before the input that panicked; a later one may
// never have been applied.
func (l *Loop) recoverMode(plan *spread.Plan) {
	l.plan, l.dirty = plan, true
	l.replaceWatches()
	m, err := l.newMode(l.settings())
	if err != nil {
		return // the old mode goes on
	}
	l.mode, l.modeMemory, l.previousPlan = m, l.lastMemory, plan
	l.resetMeasurements()
}

// inputName names an input in reports.
func inputName(in Input) string {
	switch in := in.(type) {
	case FromDatapath:
		if in.Kind == ControlFrame {
			return fmt.Sprintf("frame of member %d: %x", in.Member, in.Frame[:min(len(in.Frame), maxFrameShown)])
		}
		return fmt.Sprintf("news %d of member %d", in.Kind, in.Member)
	case LinkChanged:
		return fmt.Sprintf("link of NIC %d: up %v", in.Index, in.Up)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", in), "team.")
}

// maxFrameShown is how much of a control frame is reported: all of a LACPDU.
const maxFrameShown = 128

// panicked adds an event for each panic of the process.
func (t *Team) panicked(p api.Panic) {
	t.events.add([]api.Event{{Schema: api.EventSchema, Time: p.Time, Team: t.o.Config.Team, Event: "panic",
		Reason: p.String()}})
}

// addPanics adds to s what went wrong inside. It is no state of the team, which works.
func addPanics(s *api.Status, list []api.Panic) {
	s.Panics = list
	for i := range list {
		p := &list[i]
		s.Warnings = append(s.Warnings,
			fmt.Sprintf("nicteam has survived a fault of its own (%d so far, the last at %s): %s; please report what "+
				"status --json has in panics",
				p.Count, p.Time.Format(time.DateTime), p))
	}
}
