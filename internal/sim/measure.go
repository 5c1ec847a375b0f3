// SPDX-License-Identifier: MIT

package sim

import (
	"time"

	"nicteam/modes/spread"
	"nicteam/team"
)

const (
	backlogInterval = 20 * time.Millisecond
	floodEvery      = 100 * time.Millisecond
	measureAfter    = 8
	boundLeast      = 32 << 10
	boundTime       = 10 * time.Millisecond
)

// active starts the timers, which run only while there is traffic.
func (t *Team) active() {
	t.moved++
	t.wakeSampling()
	if !t.backlogTimer.armed() {
		t.backlogTimer.set(t.w.now + backlogInterval)
	}
	if !t.measureTimer.armed() {
		t.measureTimer.set(t.w.now + t.measureEvery())
	}
	if !t.floodTimer.armed() {
		t.floodTimer.set(t.w.now + floodEvery)
	}
}

// readBacklogs reads each member's backlog.
func (t *Team) readBacklogs() {
	t.picker.Now = t.monotonic()
	again := false
	for _, id := range t.ids {
		m := t.members[id]
		waiting := m.nic.waiting()
		if m.txBytes == 0 && waiting == 0 {
			continue
		}
		again = true
		t.picker.Measured(id, m.txBytes, waiting)
		m.capacity.Measure(t.picker.Now, m.txBytes, waiting, 0)
		if bps := m.capacity.Bps(); bps > 0 {
			m.bound = max(boundLeast, int(bps/8/uint64(time.Second/boundTime)))
		}
		m.txBytes = 0
	}
	if again {
		t.backlogTimer.set(t.w.now + backlogInterval)
	}
}

func (t *Team) measureEvery() time.Duration {
	if r := t.config.Rebalance; r > 0 {
		return min(r, time.Second)
	}
	return time.Second
}

// measure sends the data path's counters to the loop.
func (t *Team) measure() {
	t.quiet++
	if t.moved != t.seen {
		t.seen, t.quiet = t.moved, 0
	}
	if t.quiet > measureAfter {
		return
	}
	t.measureTimer.set(t.w.now + t.measureEvery())
	if !t.plan.PerMember {
		return
	}
	in := team.Measured{RxBytes: &t.rxBytes}
	if t.plan.Rule == spread.RuleShortest {
		t.picker.Now = t.monotonic()
		in.Flows = t.picker.Flows()
	}
	t.handle(in)
}

// watchFlooding reports frames that arrived at members that do not accept them.
func (t *Team) watchFlooding() {
	if t.moved != t.seenRest {
		t.seenRest = t.moved
		t.floodTimer.set(t.w.now + floodEvery)
	}
	for _, id := range t.ids {
		if m := t.members[id]; m.flooded > 0 {
			n := m.flooded
			m.flooded = 0
			t.handle(team.Flooding{ID: id, Frames: n})
		}
	}
}

// forced returns how many forced moves were carried out.
func (t *Team) forced() uint64 {
	if f := t.picker.Flows(); f != nil {
		return f.Forced
	}
	return 0
}
