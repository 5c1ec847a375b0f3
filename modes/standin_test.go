// SPDX-License-Identifier: MIT

package modes

import (
	"slices"
	"testing"
	"time"

	"nicteam/modes/spread"
)

// Members succeed each other as elections without those before would have them.
func TestSuccessors(t *testing.T) {
	st := state(ActiveBackup, 7)
	st.Settings.Primary = st.Members[3].Name
	st.Members[1].Usable, st.Members[4].Suspect, st.Members[5].Draining = false, true, true
	pl := start(st).Plan()
	if want := []uint8{2, 6, 4}; pl.Active != 3 || pl.Next != 0 || !slices.Equal(pl.Later, want) || pl.Least != 1 {
		t.Errorf("active %d, next %d, later %v, want %v", pl.Active, pl.Next, pl.Later, want)
	}
	st.Settings.MinMembers = 3
	if pl = start(st).Plan(); pl.Next != 0 || !slices.Equal(pl.Later, []uint8{2}) || pl.Least != 3 {
		t.Errorf("of which three must be left: next %d, later %v", pl.Next, pl.Later)
	}
	st.Settings.Patient = true
	if !start(st).Plan().Patient {
		t.Error("down_delay is not in the Plan")
	}
}

// The stand-ins of slots are in the Plan, also after a migration and in the next process.
func TestSlotsHaveStandIns(t *testing.T) {
	st := state(XOR, 3)
	m := start(st)
	check := func(what string, pl *spread.Plan) {
		t.Helper()
		if _, want := spread.AssignStandIns(&pl.Weights); !slices.Equal(pl.Slots.StandIns, want) {
			t.Errorf("%s: %v", what, pl.Slots.StandIns[:8])
		}
	}
	check("at first", m.Plan())
	st.Members[2].Usable = false
	m.Handle(t0, st)
	check("without a member", m.Plan())
	st.Members[2].Usable = true
	m.Handle(t0.Add(time.Second), st)
	if m.Plan().Migration() == nil {
		t.Fatal("no slot migrates")
	}
	check("during a migration", m.Plan())
	next, err := New(st.Settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := next.resume(t0.Add(time.Second), st, m.checkpoint()); err != nil {
		t.Fatal(err)
	}
	check("in the next process", next.Plan())
	st.Members[0].Usable = false
	m.Handle(t0.Add(time.Second), st)
	check("when one dies during a migration", m.Plan())
}
