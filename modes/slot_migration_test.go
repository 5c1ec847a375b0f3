// SPDX-License-Identifier: MIT

package modes

import (
	"slices"
	"testing"
	"time"

	"nicteam/modes/spread"

	"pgregory.net/rapid"
)

// step is where the slots of two Plans differ.
func moved(a, b []uint8) (slots []int) {
	for s := range a {
		if a[s] != b[s] {
			slots = append(slots, s)
		}
	}
	return slots
}

func TestSlotsGoOverToOneThatJoins(t *testing.T) {
	st := state(XOR, 2)
	m := start(st)
	was := m.Plan()
	if moving(was).From != nil || !m.Deadline().IsZero() {
		t.Fatal("slots that nobody had go over")
	}
	st.Members = append(st.Members, member(2))
	m.Handle(t0, st)
	pl := m.Plan()
	if !slices.Equal(moving(pl).From, slotsOf(was)) || moving(pl).Mark != 1 || moving(pl).ID == 0 ||
		moving(pl).Pause != spread.DefaultSkew+queueTime || pl.Distributing != 0b111 {
		t.Errorf("%+v", pl)
	}
	gone := moved(moving(pl).From, slotsOf(pl))
	if len(gone) < 200 || len(gone) > 500 {
		t.Errorf("%d slots go over, want about a third of %d", len(gone), spread.SlotCount)
	}
	for _, s := range gone {
		if slotsOf(pl)[s] != 2 {
			t.Errorf("slot %d goes over to %d", s, slotsOf(pl)[s])
		}
	}
	if want := t0.Add(spread.MaxMigration); !m.Deadline().Equal(want) {
		t.Errorf("deadline %v, want %v", m.Deadline(), want)
	}
	m.Handle(t0.Add(spread.MaxMigration-1), Tick{})
	if m.Plan() != pl {
		t.Error("a tick before the end made another Plan")
	}
	m.Handle(t0.Add(spread.MaxMigration), Tick{})
	end := m.Plan()
	if moving(end).From != nil || moving(end).Mark != 0 || moving(end).ID != 0 ||
		!slices.Equal(slotsOf(end), slotsOf(pl)) || !m.Deadline().IsZero() {
		t.Errorf("at the end: %+v", end)
	}
}

func TestSlotsOfDeadMembersGoAtOnce(t *testing.T) {
	st := state(XOR, 3)
	m := start(st)
	was := m.Plan()
	m.Handle(t0, change(st, func(m []Member) { m[1].Usable = false }))
	pl := m.Plan()
	if moving(pl).From != nil || pl.Distributing != 0b101 || slices.Contains(slotsOf(pl), 1) {
		t.Errorf("%+v", pl)
	}
	for _, s := range moved(slotsOf(was), slotsOf(pl)) {
		if slotsOf(was)[s] != 1 {
			t.Errorf("slot %d of a survivor moved", s)
		}
	}
}

func TestSlotsLeaveInADrain(t *testing.T) {
	st := state(XOR, 3)
	m := start(st)
	was := m.Plan()
	m.Handle(t0, change(st, func(m []Member) { m[1].Draining = true }))
	pl := m.Plan()
	if !slices.Equal(moving(pl).From, slotsOf(was)) || slices.Contains(slotsOf(pl), 1) || pl.Distributing != 0b111 ||
		pl.Weights[1] != 0 {
		t.Errorf("%+v", pl)
	}
	m.Handle(t0.Add(drainMigration), Tick{})
	if pl := m.Plan(); moving(pl).From != nil || pl.Distributing != 0b101 || !pl.Collecting.Has(1) {
		t.Errorf("after it: %+v", pl)
	}
}

// While slots go over, nothing else moves them but death.
func TestSlotsGoOverOneAfterTheOther(t *testing.T) {
	one, two, three, four := state(XOR, 1), state(XOR, 2), state(XOR, 3), state(XOR, 4)
	m := start(one)
	m.Handle(t0, two)
	first := m.Plan()
	m.Handle(t0.Add(time.Millisecond), three)
	pl := m.Plan()
	if !slices.Equal(slotsOf(pl), slotsOf(first)) || !slices.Equal(moving(pl).From, moving(first).From) ||
		moving(pl).ID != moving(first).ID {
		t.Error("slots were sent elsewhere on their way")
	}
	if pl.Distributing != 0b111 || pl.Weights[2] != 0 {
		t.Errorf("the third one: distributing %b, weights %v", pl.Distributing, pl.Weights)
	}
	m.Handle(t0.Add(spread.MaxMigration), Tick{})
	second := m.Plan()
	if !slices.Equal(moving(second).From, slotsOf(first)) || moving(second).ID == moving(first).ID ||
		!slices.Contains(slotsOf(second), 2) {
		t.Errorf("the third one's turn did not come: %+v", second)
	}
	m.Handle(t0.Add(2*spread.MaxMigration), Tick{})
	if moving(m.Plan()).From != nil {
		t.Error("the second turn does not end")
	}

	// One that is leaving does not wait for long.
	m.Handle(t0.Add(time.Second), four)
	m.Handle(t0.Add(time.Second), change(four, func(m []Member) { m[0].Draining = true }))
	if d := m.Deadline().Sub(t0.Add(time.Second)); d != drainMigration/2 {
		t.Errorf("its turn comes after %v", d)
	}
	m.Handle(m.Deadline(), Tick{})
	m.Handle(m.Deadline(), Tick{})
	if pl := m.Plan(); moving(pl).From != nil || pl.Distributing != 0b1110 {
		t.Errorf("after the drain: %+v", pl)
	}
}

func TestSlotsStayWithAnotherModeThatHashesAlike(t *testing.T) {
	st := state(XOR, 3)
	st.Before = start(state(XOR, 2)).Plan()
	if pl := start(st).Plan(); !slices.Equal(moving(pl).From, slotsOf(st.Before)) {
		t.Errorf("%+v", pl)
	}
	st.Settings.Salt++
	if pl := start(st).Plan(); moving(pl).From != nil {
		t.Error("slots of another hash went over")
	}
}

// Marks and what they clear, as slots_moving.go has it.
func TestMarkers(t *testing.T) {
	var m slotMigration
	w := func(ids ...int) (w [spread.MaxMembers]uint32) {
		for _, id := range ids {
			w[id] = spread.MaxShare
		}
		return w
	}
	put := func() *spread.Plan {
		pl := emptyPlan()
		m.fill(pl, 0, 0)
		return pl
	}
	a, ab := w(0, 1), w(0, 1, 2)
	m.retarget(t0, &a, 0b11, 0)
	if m.nextMarkers(t0) != 0 {
		t.Error("asks for nothing")
	}
	m.retarget(t0, &ab, 0b111, 0)
	if got := m.nextMarkers(t0); got != 0b11 {
		t.Errorf("asks %b, want the old members", got)
	}
	if pl := put(); moving(pl).Mark != 1 || moving(pl).Cleared != [spread.MaxMembers]uint32{} {
		t.Errorf("mark %d, cleared %v", moving(pl).Mark, moving(pl).Cleared)
	}
	m.markerAnswered(1)
	if pl := put(); moving(pl).Cleared[1] != 1 || moving(pl).Cleared[0] != 0 {
		t.Errorf("cleared %v", moving(pl).Cleared)
	}
	if m.nextMarkers(t0.Add(markerInterval-1)) != 0 {
		t.Error("asks too soon")
	}
	// Only who has answered is asked again; a late answer is to the mark that was asked under.
	if got := m.nextMarkers(t0.Add(markerInterval)); got != 0b10 {
		t.Errorf("asks %b", got)
	}
	m.markerAnswered(0)
	if pl := put(); moving(pl).Mark != 2 || moving(pl).Cleared[0] != 1 || moving(pl).Cleared[1] != 1 {
		t.Errorf("mark %d, cleared %v", moving(pl).Mark, moving(pl).Cleared)
	}
	m.markerAnswered(1)
	m.markerAnswered(2)
	if pl := put(); moving(pl).Cleared[1] != 2 || moving(pl).Cleared[2] != 0 {
		t.Errorf("cleared %v", moving(pl).Cleared)
	}
	m.retarget(t0.Add(spread.MaxMigration), &ab, 0b111, 0)
	if m.markerAnswered(0); m.nextMarkers(t0.Add(time.Hour)) != 0 || !m.markerDeadline().IsZero() {
		t.Error("asks when nothing goes over")
	}
}

// Whatever happens: a slot names only who may send; it moves only if it must, that is, its member may not send or the
// shares are others; while slots go over none goes anywhere else; and it ends in time.
func TestGoingOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := state(XOR, rapid.IntRange(1, 5).Draw(t, "members"))
		m, err := New(st.Settings)
		if err != nil {
			t.Fatal(err)
		}
		now := t0
		was := m.Plan()
		var since time.Time
		var dead spread.MemberSet
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			ev := Event(Tick{})
			if rapid.Bool().Draw(t, "wait") {
				now = now.Add(time.Duration(rapid.IntRange(1, 150).Draw(t, "ms")) * time.Millisecond)
				if d := m.Deadline(); !d.IsZero() && d.Before(now) {
					now = d
				}
			} else {
				dead = 0
				st = change(st, func(m []Member) {
					i := rapid.IntRange(0, len(m)-1).Draw(t, "which")
					switch rapid.IntRange(0, 3).Draw(t, "what") {
					case 0:
						m[i].Usable = !m[i].Usable
					case 1:
						m[i].Draining = !m[i].Draining
					case 2:
						m[i].Weight = rapid.Float64Range(0.1, 10).Draw(t, "weight")
					}
				})
				ev = st
			}
			for _, mem := range st.Members {
				if !mem.Usable {
					dead = dead.With(mem.ID)
				}
			}
			m.Handle(now, ev)
			pl := m.Plan()
			check(t, pl)
			if pl.Distributing&dead != 0 {
				t.Fatalf("%b may not send, %b do", dead, pl.Distributing)
			}
			if pl.Rule == spread.RuleSlots && was.Rule == spread.RuleSlots {
				for s := range slotsOf(pl) {
					from := slotsOf(pl)[s]
					if moving(pl).From != nil {
						from = moving(pl).From[s]
					}
					at := slotsOf(was)[s]
					if moving(was).From != nil && moving(pl).ID == moving(was).ID {
						at = moving(was).From[s]
					}
					if from != at && !dead.Has(int(at)) {
						t.Fatalf("slot %d went from %d to %d at once", s, at, from)
					}
					if moving(pl).ID != 0 && moving(pl).ID == moving(was).ID && slotsOf(pl)[s] != slotsOf(was)[s] &&
						!dead.Has(int(slotsOf(was)[s])) {
						t.Fatalf("slot %d was sent elsewhere on its way", s)
					}
				}
			}
			if moving(pl).From == nil {
				since = time.Time{}
			} else if moving(pl).ID != moving(was).ID {
				since = now
			}
			if !since.IsZero() && !now.Before(since.Add(spread.MaxMigration)) {
				t.Fatalf("slots still go over after %v", now.Sub(since))
			}
			was = pl
		}
		for range 4 {
			if d := m.Deadline(); !d.IsZero() {
				m.Handle(d, Tick{})
			}
		}
		pl := m.Plan()
		if moving(pl).From != nil || !m.Deadline().IsZero() {
			t.Fatal("it does not end")
		}
		if pl.Rule == spread.RuleSlots && !slices.Equal(slotsOf(pl), spread.AssignSlots(&pl.Weights)) {
			t.Fatal("slots are not where shares have them")
		}
	})
}

// check looks for what no Plan may have.
func check(t interface{ Fatalf(string, ...any) }, pl *spread.Plan) {
	if (pl.Rule == spread.RuleNone) != (pl.Distributing == 0) {
		t.Fatalf("spread %d with %b distributing", pl.Rule, pl.Distributing)
	}
	if pl.Rule == spread.RuleSingle && pl.Distributing != spread.MemberSet(0).With(pl.Active) {
		t.Fatalf("single %d with %b distributing", pl.Active, pl.Distributing)
	}
	if pl.Rule != spread.RuleSlots {
		if slotsOf(pl) != nil || moving(pl).From != nil || pl.Weights != [spread.MaxMembers]uint32{} {
			t.Fatalf("slots with spread %d", pl.Rule)
		}
		return
	}
	for id, w := range pl.Weights {
		if w > 0 && !pl.Distributing.Has(id) {
			t.Fatalf("%d has a share and may not send", id)
		}
	}
	for s, id := range slotsOf(pl) {
		if id == spread.NoMember || !pl.Distributing.Has(int(id)) || pl.Weights[id] == 0 {
			t.Fatalf("slot %d is %d's, of %b with shares %v", s, id, pl.Distributing, pl.Weights)
		}
	}
	if moving(pl).From == nil {
		if moving(pl).Mark != 0 || moving(pl).ID != 0 || moving(pl).Pause != 0 {
			t.Fatalf("mark %d, turn %d, skew %v of nothing", moving(pl).Mark, moving(pl).ID, moving(pl).Pause)
		}
		return
	}
	if moving(pl).Mark == 0 || moving(pl).ID == 0 || moving(pl).Pause <= 0 ||
		slices.Equal(moving(pl).From, slotsOf(pl)) {
		t.Fatalf("mark %d, turn %d, skew %v", moving(pl).Mark, moving(pl).ID, moving(pl).Pause)
	}
	for s, id := range moving(pl).From {
		if !pl.Distributing.Has(int(id)) {
			t.Fatalf("slot %d comes from %d, which may not send", s, id)
		}
	}
}
