// SPDX-License-Identifier: MIT

package fastpath

import (
	"slices"
	"testing"
	"time"

	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
)

// going has all slots go from member 0 to member 1.
func (g *rig) going(id uint64) *spread.Plan {
	pl := g.plan(spread.RuleSlots)
	pl.Slots = &spread.SlotTable{Members: slices.Repeat([]uint8{1}, spread.SlotCount),
		Migration: &spread.Migration{From: make([]uint8, spread.SlotCount), ID: id, Mark: 1, Pause: time.Millisecond}}
	return pl
}

// The table's Turn is of the Plan that the programs follow: were it another one, what has gone over would go back.
func TestMigrationEndsAfterThePrograms(t *testing.T) {
	g := newRig(t, 2)
	labtest.Must(t, g.path.Apply(g.going(1)))
	labtest.Must(t, g.path.Engage())
	turn := func() (n uint64) {
		labtest.Must(t, g.path.relay.DoWithPicker(func(*spread.Picker, int64) {
			n = g.path.kernel.txState.Migration.ID
		}))
		return n
	}
	for _, c := range []struct {
		name string
		next *spread.Plan
		want uint64
	}{
		{"another Turn", g.going(2), 2},
		{"the end", g.plan(spread.RuleSlots), 0},
	} {
		before := turn()
		labtest.Must(t, g.path.relay.Apply(c.next)) // which comes first
		if got := turn(); got != before {
			t.Errorf("%s: the table is at Turn %d while the programs are at %d", c.name, got, before)
		}
		labtest.Must(t, g.path.Apply(c.next))
		if got := turn(); got != c.want {
			t.Errorf("%s: the table is at Turn %d", c.name, got)
		}
	}
}

// Nor is a Plan by which another member sends as well put off until the table has begun its Turn.
func TestMigrationStartsAfterThePrograms(t *testing.T) {
	g := newRig(t, 2)
	first := g.plan(spread.RuleSlots)
	first.Distributing, first.Slots = 1, &spread.SlotTable{Members: make([]uint8, spread.SlotCount)}
	labtest.Must(t, g.path.Apply(first))
	labtest.Must(t, g.path.Engage())
	stands, goOn := make(chan struct{}), make(chan struct{})
	labtest.Must(t, g.path.relay.PostWithPicker(func(*spread.Picker, int64) { close(stands); <-goOn }))
	<-stands
	applied := make(chan error, 1)
	go func() { applied <- g.path.Apply(g.going(1)) }()
	select {
	case err := <-applied:
		labtest.Check(t, err)
		if k := g.path.kernel; k.plans[k.control.Active].Migration != 1 {
			t.Error("the programs do not follow the Plan")
		}
	case <-time.After(labtest.Patience):
		t.Error("the programs wait for the relay")
	}
	close(goOn)
}
