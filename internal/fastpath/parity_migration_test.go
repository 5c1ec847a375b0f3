// SPDX-License-Identifier: MIT

package fastpath

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"pgregory.net/rapid"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
)

// drawMoving is a Plan under which slots go from member to member, most of them of the Turn before.
func (s *sender) drawMoving(t *rapid.T, c *cast) *spread.Plan {
	pl := drawPlan(t, c, spread.RuleSlots)
	pl.Hash = spread.Hash{Policy: spread.Layer34, Salt: 7}
	pl.Slots = &spread.SlotTable{Members: drawSlots(t, c)}
	m := &spread.Migration{ID: 1, Mark: 1}
	m.Pause = rapid.SampledFrom([]time.Duration{10 * time.Millisecond, time.Millisecond, 0}).Draw(t, "skew")
	if rapid.IntRange(0, 3).Draw(t, "dead") > 0 {
		pl.Distributing = c.members
	}
	if rapid.IntRange(0, 7).Draw(t, "at rest") == 0 {
		s.migrations = 1 // so that ids come again
		return pl
	}
	m.From, pl.Slots.Migration = drawSlots(t, c), m
	if s.plan != nil {
		if was := s.plan.Migration(); was != nil && rapid.IntRange(0, 3).Draw(t, "the same migration") > 0 {
			m.ID, m.Mark, m.From, pl.Slots.Members = was.ID, was.Mark+1, was.From, s.plan.Slots.Members
		} else {
			m.ID = s.migrations + 1
		}
	}
	s.migrations = m.ID
	for left := c.members; left != 0; left = left.Without(left.First()) {
		m.Cleared[left.First()] = rapid.SampledFrom([]uint32{0, 0, 0, 0, 0, m.Mark - 1, m.Mark}).Draw(t, "cleared")
	}
	return pl
}

// drawSlots gives slots to members, and a few to nobody.
func drawSlots(t *rapid.T, c *cast) []uint8 {
	ids := []uint8{spread.NoMember}
	for left := c.members; left != 0; left = left.Without(left.First()) {
		id := uint8(left.First())
		ids = append(ids, id, id, id)
	}
	slots, seed := make([]uint8, spread.SlotCount), rapid.Uint32().Draw(t, "slots")
	for i := range slots {
		slots[i] = ids[(seed+uint32(i)*2654435761)>>8%uint32(len(ids))]
	}
	return slots
}

// Each frame of a slot that is to migrate leaves by the same member, and the same is noted of it, whoever sends it.
func TestProgramMigratesSlotsAsTheRelay(t *testing.T) {
	serial(t)
	b := newBed(t)
	flows := flowsOf(8)
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		s := newSender(b)
		c := drawCast(t)
		for range rapid.IntRange(2, 6).Draw(t, "plans") {
			pl := s.drawMoving(t, c)
			if err := s.follow(pl, c); err != nil {
				t.Fatal(err)
			}
			for range rapid.IntRange(1, 40).Draw(t, "frames") {
				b.now += rapid.SampledFrom([]int64{0, 1000, 300_000, 999_999, 1_000_000, 9_999_999, 10_000_000}).Draw(t,
					"wait")
				f := rapid.SampledFrom(flows).Draw(t, "flow")
				o, err := s.compare(f, 0)
				if err != nil {
					t.Fatalf("%v\nplan %+v", err, pl)
				}
				s.noteMoving(seen, f, &o)
			}
			if err := s.same(true); err != nil {
				t.Fatalf("%v\nplan %+v", err, pl)
			}
		}
	})
	for _, what := range []string{"has gone over", "stays", "at rest", "lost"} {
		if seen[what] < 10 {
			t.Errorf("%d frames: %s", seen[what], what)
		}
	}
	t.Log(seen)
}

func (s *sender) noteMoving(seen map[string]int, f []byte, o *outcome) {
	var h frame.Headers
	frame.Parse(f, &h)
	pl := s.plan
	slot := spread.Slot(pl.Hash.Of(&h, f))
	switch {
	case o.Verdict == verdictShot:
		seen["lost"]++
	case pl.Migration() == nil || pl.Migration().From[slot] == pl.Slots.Members[slot]:
		seen["at rest"]++
	case o.Octets[pl.Slots.Members[slot]&63] > 0:
		seen["has gone over"]++
	default:
		seen["stays"]++
	}
}

// A program that sees a Turn before the table has begun it leaves everything where it is.
func TestMigrationThatHasNotStarted(t *testing.T) {
	b := newBed(t)
	s := newSender(b)
	c := &cast{members: 0b11}
	c.mac[0], c.mac[1] = memberMAC(0), memberMAC(1)
	pl := &spread.Plan{Rule: spread.RuleSlots, Adapter: adapterMAC, Distributing: c.members,
		Slots: &spread.SlotTable{Members: slices.Repeat([]uint8{1}, spread.SlotCount),
			Migration: &spread.Migration{From: make([]uint8, spread.SlotCount), ID: 3,
				Mark: 1, Pause: time.Millisecond}}}
	labtest.Must(t, b.apply(pl, c))
	f := flowsOf(1)[0]
	by := func(want int, what string) {
		t.Helper()
		o, err := b.run(b.Transmit, f, 0)
		labtest.Must(t, err)
		if o.Octets[want] == 0 {
			t.Errorf("%s: by another member than %d", what, want)
		}
	}
	by(0, "not begun")
	b.now += int64(time.Second)
	by(0, "not begun, later")
	s.over.Now = b.now
	s.over.Follow(pl)
	by(0, "begun")
	b.now += int64(time.Millisecond)
	by(1, "after a pause")
	b.now += 1
	by(1, "next")
}

// Several processors send frames of the same slots at once while these migrate: whatever one has found to have gone
// over no other one takes back.
func TestProcessorsMigrateSlots(t *testing.T) {
	b := newBed(t)
	s := newSender(b)
	c := &cast{members: 0b11}
	c.mac[0], c.mac[1] = memberMAC(0), memberMAC(1)
	flows := flowsOf(3)
	for turn := range 10 {
		pl := &spread.Plan{Rule: spread.RuleSlots, Adapter: adapterMAC, Distributing: c.members,
			Slots: &spread.SlotTable{Members: slices.Repeat([]uint8{uint8(1 - turn%2)}, spread.SlotCount),
				Migration: &spread.Migration{From: slices.Repeat([]uint8{uint8(turn % 2)}, spread.SlotCount),
					ID: uint64(turn + 1), Mark: 1, Pause: time.Microsecond}}}
		labtest.Must(t, s.follow(pl, c))
		b.txState.Flows.Now = b.now
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				_, err := b.Transmit.Run(&ebpf.RunOptions{Data: flows[i%len(flows)], Context: skBuff{Ifindex: loopback},
					Repeat: 500})
				labtest.Check(t, err)
			})
		}
		for range 200 {
			b.now += 10
			b.txState.Flows.Now = b.now
		}
		all.Wait()
		b.now += int64(time.Millisecond)
		for _, f := range flows {
			for range 2 {
				o, err := b.run(b.Transmit, f, 0)
				labtest.Must(t, err)
				if o.Octets[1-turn%2] == 0 {
					t.Fatalf("turn %d: a slot has not gone over", turn)
				}
				b.now -= int64(time.Millisecond) // it is not the pause
			}
			b.now += int64(2 * time.Millisecond)
		}
	}
}
