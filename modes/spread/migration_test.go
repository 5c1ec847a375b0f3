// SPDX-License-Identifier: MIT

package spread

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// movingPlan sends by one of the members 0 and 1, all slots going from 0 to 1.
func movingPlan(turn uint64, mark, cleared uint32) *Plan {
	m := &Migration{From: make([]uint8, SlotCount), ID: turn, Mark: mark, Pause: 10 * time.Millisecond}
	m.Cleared[0] = cleared
	return &Plan{Rule: RuleSlots, Distributing: 3,
		Slots: &SlotTable{Members: slices.Repeat([]uint8{1}, SlotCount), Migration: m}}
}

// migrating returns pl with another migration, nil for none.
func migrating(pl *Plan, m *Migration) *Plan {
	next := *pl
	next.Slots = &SlotTable{Members: pl.Slots.Members, Migration: m}
	return &next
}

// by is the member by which the frame of a flow leaves.
func (p *Picker) by(pl *Plan, f *parsed) int { return p.Pick(pl, &f.h, f.b, len(f.b)).First() }

// A step is a moment, a Plan that comes then, and the member by which a frame leaves then.
func TestSlotsGoOver(t *testing.T) {
	const ms = int64(time.Millisecond)
	type step struct {
		at   int64 // ms
		plan *Plan // nil: the one before
		want int   // -2: no frame
	}
	over := movingPlan(1, 0, 0)
	over.Slots.Migration = nil
	dead := movingPlan(1, 2, 0)
	dead.Distributing = 2
	alive := movingPlan(1, 3, 0)
	same := movingPlan(1, 1, 0)
	same.Slots.Migration.From = same.Slots.Members
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"a pause", []step{{0, movingPlan(1, 1, 0), 0}, {9, nil, 0}, {18, nil, 0}, {28, nil, 1}, {29, nil, 1}}},
		{"nothing was sent since it began", []step{{0, movingPlan(1, 1, 0), -2}, {9, nil, 0}, {18, nil, 0}}},
		{"nothing was sent for long enough", []step{{0, movingPlan(1, 1, 0), -2}, {10, nil, 1}, {11, nil, 1}}},
		{"never a pause", []step{{0, movingPlan(1, 1, 0), 0}, {5, nil, 0}, {10, nil, 0}, {15, nil, 0}, {20, nil, 0},
			{25, over, 1}}},
		{"all before has arrived", []step{{0, movingPlan(1, 1, 0), -2}, {1, movingPlan(1, 2, 1), 1}}},
		{"not all has arrived", []step{{0, movingPlan(1, 1, 0), 0}, {1, movingPlan(1, 2, 1), 0}, {2, nil, 0}}},
		{"the last one has arrived", []step{{0, movingPlan(1, 1, 0), 0}, {1, movingPlan(1, 2, 0), -2},
			{2, movingPlan(1, 3, 2), 1}}},
		{"sent under the same Mark", []step{{0, movingPlan(1, 1, 0), 0}, {1, movingPlan(1, 2, 0), 0},
			{2, movingPlan(1, 3, 2), 0}, {3, movingPlan(1, 4, 3), 0}}},
		{"a dead member", []step{{0, movingPlan(1, 1, 0), 0}, {1, dead, 1}}},
		{"it never goes back", []step{{0, movingPlan(1, 1, 0), 0}, {1, dead, 1}, {2, alive, 1}, {3, nil, 1}}},
		{"not of this one", []step{{0, same, 1}, {1, nil, 1}}},
		{"the next Turn", []step{{0, movingPlan(1, 1, 0), 0}, {20, nil, 1}, {21, movingPlan(2, 1, 0), 0}, {30, nil, 0},
			{41, nil, 1}}},
		{"the same number once more", []step{{0, movingPlan(1, 1, 0), 0}, {20, nil, 1}, {21, over, 1},
			{22, movingPlan(1, 1, 0), 0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := flowFrame(1)
			var p Picker
			var pl *Plan
			for _, s := range tt.steps {
				p.Now = 1e9 + s.at*ms
				if s.plan != nil {
					pl = s.plan
					p.Follow(pl)
				}
				if s.want == -2 {
					continue
				}
				if got := p.by(pl, f); got != s.want {
					t.Errorf("at %d ms: by member %d, want %d", s.at, got, s.want)
				}
			}
		})
	}
}

// A Picker without Follow notices a Plan by itself.
func TestSlotsGoOverUnfollowed(t *testing.T) {
	p, f, pl := Picker{Now: 5e9}, flowFrame(1), movingPlan(7, 1, 0)
	var got []int
	for _, after := range []time.Duration{0, 5, 9, 10} {
		p.Now += int64(after * time.Millisecond)
		got = append(got, p.by(pl, f))
	}
	if diff := cmp.Diff([]int{0, 0, 0, 1}, got); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

// What members are given arrives in order, after a time of their own that is at most Skew. Whatever the Plans of a Turn
// say, as long as it is true no flow overtakes itself.
func TestGoingOverKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const members = 3
		const skew = int64(10 * time.Millisecond)
		p := Picker{Now: 1e9}
		var delay [members]int64
		for id := range delay {
			delay[id] = rapid.SampledFrom([]int64{0, 1e5, 3e5, skew}).Draw(t, "delay")
		}
		flows := make([]*parsed, 6)
		for i := range flows {
			flows[i] = flowFrame(i)
		}
		type sent struct {
			at, arrives int64
			by          int
		}
		last := make([]sent, len(flows))
		from := slotsOf(rapid.IntRange(0, 1000).Draw(t, "slots"), members)
		for turn := range rapid.IntRange(1, 4).Draw(t, "turns") {
			to := slotsOf(rapid.IntRange(0, 1000).Draw(t, "slots"), members)
			pl := &Plan{Rule: RuleSlots, Distributing: 1<<members - 1, Slots: &SlotTable{Members: to,
				Migration: &Migration{From: from, ID: uint64(turn + 1), Mark: 1, Pause: time.Duration(skew)}}}
			p.Follow(pl)
			var answer [members]int64 // when the answer to a member's marker comes, 0 none is under way
			var asked [members]uint32 // the Mark under which it was sent
			for range rapid.IntRange(1, 80).Draw(t, "steps") {
				p.Now += rapid.SampledFrom([]int64{0, 1e5, 2e5, 3e5, 4e5, 1e6, 3e6, 6e6, skew - 1, skew}).Draw(t,
					"wait")
				if id := rapid.SampledFrom([]int{0, 1, 2, 0, 1, 2, 9, 9, 9, 9}).Draw(t, "marker"); id < members &&
					(answer[id] == 0 || p.Now >= answer[id]) {
					next := *pl.Slots.Migration
					if answer[id] != 0 {
						next.Cleared[id] = asked[id]
					}
					next.Mark++
					pl = migrating(pl, &next)
					p.Follow(pl)
					answer[id], asked[id] = p.Now+delay[id], next.Mark
					continue
				}
				i := rapid.IntRange(0, len(flows)-1).Draw(t, "flow")
				was, now := last[i], sent{at: p.Now, by: p.by(pl, flows[i])}
				now.arrives = now.at + delay[now.by]
				if now.arrives < was.arrives {
					t.Fatalf("turn %d: a frame of flow %d is %+v, and the one before was %+v", turn, i, now, was)
				}
				last[i] = now
			}
			// Slots that never paused are forced, which may reorder.
			p.Now += skew
			p.Follow(migrating(pl, nil))
			from = to
		}
	})
}

// slotsOf gives each slot to one of the first members.
func slotsOf(seed, members int) []uint8 {
	slots := make([]uint8, SlotCount)
	for s := range slots {
		slots[s] = uint8(finish(mix(uint64(seed), uint64(s))) % uint64(members))
	}
	return slots
}

// Frames are picked without an allocation, also those of slots that go over.
func TestGoingOverAllocatesNothing(t *testing.T) {
	var p Picker
	pl, f := movingPlan(1, 1, 0), flowFrame(3)
	p.Follow(pl)
	if n := testing.AllocsPerRun(100, func() { p.Now += 1e6; p.by(pl, f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPickSlots(b *testing.B) {
	going := movingPlan(1, 1, 0)
	rest := migrating(going, nil)
	for name, pl := range map[string]*Plan{"at rest": rest, "going over": going} {
		b.Run(name, func(b *testing.B) {
			var p Picker
			f := flowFrame(1)
			for b.Loop() {
				p.Now += 1000
				p.Pick(pl, &f.h, f.b, 1514)
			}
		})
	}
}
