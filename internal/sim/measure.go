package sim

import (
	"time"

	"nicteam/modes/spread"
	"nicteam/team"
)

const (
	paceEvery    = 20 * time.Millisecond
	floodEvery   = 100 * time.Millisecond
	measureAfter = 8
	boundLeast   = 32 << 10
	boundTime    = 10 * time.Millisecond
)

// active notes that a frame has moved. Whatever looks at frames goes on only while some move.
func (t *Team) active() {
	t.moved++
	if !t.pacing.armed() {
		t.pacing.set(t.w.now + paceEvery)
	}
	if !t.measuring.armed() {
		t.measuring.set(t.w.now + t.measureEvery())
	}
	if !t.flooding.armed() {
		t.flooding.set(t.w.now + floodEvery)
	}
}

// pace reads what waits for each member.
func (t *Team) pace() {
	t.picker.Now = t.monotonic()
	again := false
	for _, id := range t.ids {
		m := t.members[id]
		waiting := m.nic.waiting()
		if m.given == 0 && waiting == 0 {
			continue
		}
		again = true
		t.picker.Measured(id, m.given, waiting)
		m.pace.Measure(t.picker.Now, m.given, waiting, 0)
		if bps := m.pace.Bps(); bps > 0 {
			m.bound = max(boundLeast, int(bps/8/uint64(time.Second/boundTime)))
		}
		m.given = 0
	}
	if again {
		t.pacing.set(t.w.now + paceEvery)
	}
}

func (t *Team) measureEvery() time.Duration {
	if r := t.config.Rebalance; r > 0 {
		return min(r, time.Second)
	}
	return time.Second
}

// measure shows the loop what the data path has seen.
func (t *Team) measure() {
	t.quiet++
	if t.moved != t.seen {
		t.seen, t.quiet = t.moved, 0
	}
	if t.quiet > measureAfter {
		return
	}
	t.measuring.set(t.w.now + t.measureEvery())
	if !t.plan.PerMember {
		return
	}
	in := team.Measured{Heard: &t.heard}
	if t.plan.Rule == spread.RuleShortest {
		t.picker.Now = t.monotonic()
		in.Flows = t.picker.Flows()
	}
	t.handle(in)
}

// watchFlooding tells the loop of frames that came in where they should not.
func (t *Team) watchFlooding() {
	if t.moved != t.seenRest {
		t.seenRest = t.moved
		t.flooding.set(t.w.now + floodEvery)
	}
	for _, id := range t.ids {
		if m := t.members[id]; m.flooded > 0 {
			n := m.flooded
			m.flooded = 0
			t.handle(team.Flooding{ID: id, Frames: n})
		}
	}
}

// forced is how many moves by order were carried out.
func (t *Team) forced() uint64 {
	if f := t.picker.Flows(); f != nil {
		return f.Forced
	}
	return 0
}
