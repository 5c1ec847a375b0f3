// SPDX-License-Identifier: MIT

package sim

import (
	"encoding/json"
	"time"

	"nicteam/modes"
	"nicteam/modes/spread"
	"nicteam/monitor"
	"nicteam/team"
)

// succession is how one process of a team follows another while the data path goes on.
type succession struct {
	saved   *team.Checkpoint // for the next process
	savedAt time.Duration
	dead    bool     // no process runs
	held    []func() // what the next process finds in the sockets

	replaced      int           // processes
	toldAddresses int           // announcements of addresses
	toldAt        time.Duration // when the last one began
}

// checkpointEvery is how often a Checkpoint is saved that no Plan follows from.
const checkpointEvery = 100 * time.Millisecond

// save saves a Checkpoint when team.Team would.
func (t *Team) save(in team.Input, out *team.Output) {
	switch in.(type) {
	case team.Tick, team.LinkChanged, team.FromDatapath, team.Measured, team.Flooding, team.Announced:
		if out.Plan == nil && out.Memory == nil && t.w.now-t.savedAt < checkpointEvery {
			return
		}
	}
	t.saved, t.savedAt = t.loop.Checkpoint(t.w.time()), t.w.now
}

// hold keeps a frame or a report that the next process finds.
func (t *Team) hold(in team.Input) {
	if c, is := in.(team.FromDatapath); is && len(t.held) < controlQueueMax {
		t.held = append(t.held, func() { t.handle(c) })
	}
}

// Replace kills the team's process. Another one goes on from its Checkpoint after some time, in which only the data
// path works.
func (t *Team) Replace(after time.Duration) {
	if t.dead || t.saved == nil || t.ended {
		return
	}
	t.w.Tell("%s: its process is killed, the data path goes on", t.Name)
	t.dead = true
	t.replaced++
	t.announcements++
	t.deadline.stop()
	life := t.life
	t.w.After(after, func() {
		if t.life == life {
			t.succeed()
		}
	})
}

// awaitProcess lets time pass until a process runs.
func (t *Team) awaitProcess() {
	for (t.dead || t.stalled > t.w.now) && t.w.fail == nil {
		_ = t.w.Run(time.Millisecond)
	}
}

// succeed starts the next process.
func (t *Team) succeed() {
	b, err := json.Marshal(t.saved)
	if err != nil {
		panic("sim: " + err.Error())
	}
	c := new(team.Checkpoint)
	if err := json.Unmarshal(b, c); err != nil {
		panic("sim: " + err.Error())
	}
	c.Rebase(c.At)
	loop, err := team.NewLoop(t.config, team.LoopOptions{Memory: t.memory, Checkpoint: c,
		NewMode: func(s modes.Settings) (modes.Mode, error) {
			m, err := modes.New(s)
			t.mode = m
			return m, err
		}})
	if err != nil {
		t.w.breach("%s: %v", t.Name, err)
		return
	}
	t.loop, t.dead = loop, false
	t.w.Tell("%s: another process goes on", t.Name)
	t.tellHeld() // before any frame that has waited
	t.handle(team.Tick{})
	t.targets = monitor.Targets{}
	t.tellTargets()
	for _, f := range t.held {
		f()
	}
	t.held = nil
	for _, id := range t.ids {
		m := t.members[id]
		m.told = false
		m.read(readDelay)
	}
}

// RunReplaced runs a random world in which processes of teams are killed and replaced at any moment.
func RunReplaced(seed uint64) error { return runReplaced(build(seed)) }

// RunReplacedAggregated is RunReplaced for teams in 802.3ad.
func RunReplacedAggregated(seed uint64) error { return runReplaced(buildAggregated(seed)) }

func runReplaced(l *life) error {
	if l.lacp {
		if err := l.agree(); err != nil {
			return err
		}
	} else if err := l.World.Run(400 * time.Millisecond); err != nil {
		return err
	}
	l.traffic()
	l.killed = true
	if err := l.settle(); err != nil {
		return err
	}
	for range 2 + l.rng.IntN(4) {
		if err := l.replaceCalmly(); err != nil {
			return err
		}
		for range l.rng.IntN(4) { // at any moment of what follows
			t, after := pick(l.World, l.teams...), l.deadTime()
			l.After(l.between(0, 800*time.Millisecond), func() { t.Replace(after) })
		}
		if err := l.disturb(); err != nil {
			return err
		}
	}
	return l.end()
}

// disturb is phase, in 802.3ad without changes of settings: partners take another system ID for a rival for a while.
func (l *life) disturb() error {
	if !l.lacp {
		return l.phase()
	}
	t := pick(l.World, l.teams...)
	err := pick(l.World, l.cutPort, l.cutPort, l.cutPorts, l.flap, l.silence, l.loss, l.leaves, l.forgetful,
		l.partnerRestarts, l.partnerChanges)(t)
	if err != nil {
		return err
	}
	return l.settle()
}

// deadTime draws how long no process runs.
func (l *life) deadTime() time.Duration {
	return l.between(time.Millisecond, pick(l.World, 20*time.Millisecond, 200*time.Millisecond))
}

// replaceCalmly replaces processes while nothing else happens: no frame is lost, doubled or reordered, and nobody is
// told anything.
func (l *life) replaceCalmly() error {
	flows := l.udp
	if l.loaded {
		flows = nil
	}
	type state struct {
		plan                      *spread.Plan
		plans, steps, told, downs int
	}
	var before []state
	for _, t := range l.teams {
		before = append(before, state{t.plan, t.Plans, t.stepsAnyway(), t.toldAddresses, t.downs()})
		if t.announces() {
			before[len(before)-1].told++ // once more: it may not have been finished
		}
		t.Replace(l.deadTime())
	}
	if err := l.Calmly(250*time.Millisecond, 100*time.Millisecond, flows...); err != nil {
		return err
	}
	for i, t := range l.teams {
		was := before[i]
		if l.loaded && (t.downs() != was.downs || !t.watched(monitor.Up)) {
			continue // asks are lost where queues are full
		}
		if was.plan.Distributing != t.plan.Distributing || was.plan.Active != t.plan.Active {
			l.breach("%s: distributed by %b with %d active, its next process by %b with %d", t.Name,
				was.plan.Distributing, was.plan.Active, t.plan.Distributing, t.plan.Active)
		}
		if t.toldAddresses > was.told {
			l.breach("%s: its next process announces", t.Name)
		}
		// The Plan of before counts once more.
		if !l.lacp && !l.loaded && t.Plans > was.plans+2+was.steps {
			l.breach("%s: %d Plans after its process was replaced", t.Name, t.Plans-was.plans)
		}
	}
	if l.fail != nil {
		return l.fail
	}
	return nil
}

// stepsAnyway is how many Plans come soon whatever else happens: steps of members that return, and MACs that members of
// a static LAG try, one each 200 ms, maybe put off while nobody answers (team/way_back.go).
func (t *Team) stepsAnyway() int {
	steps := t.plan.Returning().Len()
	if t.config.Mode.StaticLAG(t.config.Balance) {
		steps += 4
	}
	return steps
}

// announces reports whether an announcement may not be finished, as team.Loop supposes.
func (t *Team) announces() bool {
	took := time.Duration(max(t.config.AnnounceCount-1, 0))*t.config.AnnounceInterval + 100*time.Millisecond
	return t.toldAddresses > 0 && t.w.now-t.toldAt < took
}

// downs is how often members went down.
func (t *Team) downs() (n int) {
	for _, m := range t.Status().Members {
		n += int(m.Failures)
	}
	return n
}

// watched reports whether link watches say the same of all members.
func (t *Team) watched(as monitor.State) bool {
	for _, id := range t.ids {
		if verdict, _ := t.watchOf(t.members[id].nic); verdict != as.String() {
			return false
		}
	}
	return true
}
