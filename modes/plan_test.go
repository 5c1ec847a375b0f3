package modes

import (
	"slices"
	"testing"

	"nicteam/internal/frame"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMemberSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.IntRange(0, MaxMembers-1), 0, MaxMembers, rapid.ID).Draw(t, "ids")
		var s MemberSet
		for _, id := range ids {
			s = s.With(id)
		}
		least := -1
		for id := range MaxMembers {
			if s.Has(id) != slices.Contains(ids, id) {
				t.Errorf("%b has %d: %v", s, id, s.Has(id))
			}
			if s.Has(id) && least < 0 {
				least = id
			}
			if s.Without(id).Has(id) {
				t.Errorf("%b without %d has it", s, id)
			}
		}
		if s.Len() != len(ids) || s.First() != least {
			t.Errorf("%b: length %d, first %d", s, s.Len(), s.First())
		}
	})
}

// What every Plan has in common, whatever the mode.
func TestPlanInEveryMode(t *testing.T) {
	for _, kind := range []Kind{ActiveBackup, XOR, RoundRobin, Broadcast} {
		t.Run(kind.String(), func(t *testing.T) {
			st := state(kind, 3)
			st.Adapter = st.Members[1].MAC // the adapter has a member's MAC
			st.Behind = append(stations(0, 0x020000000500), stations(7, 0x020000000500, 0x020000000501)...)
			st.Settings.Salt, st.Settings.Hash = 99, Layer23
			pl := start(st).Plan()
			a, b, c := st.Members[0].MAC, st.Members[1].MAC, st.Members[2].MAC
			if d := cmp.Diff([]frame.MAC{a, b, c, 0x020000000500, 0x020000000501}, pl.Own); d != "" {
				t.Errorf("own, -want +got\n%s", d)
			}
			if d := cmp.Diff([][]frame.MAC{{b}, nil, {b}, nil}, pl.Filter[:4]); d != "" {
				t.Errorf("filter, -want +got\n%s", d)
			}
			if !pl.Promiscuous || !slices.Equal(pl.Stations, st.Behind) || !slices.Equal(pl.Behind, []frame.MAC{0x020000000500, 0x020000000501}) || pl.Adapter != b || pl.Salt != 99 || pl.Hash != Layer23 {
				t.Errorf("%+v", pl)
			}
			st.Behind[0] = 1
			if pl.Stations[0] == 1 {
				t.Error("the Plan shares memory with the state")
			}
			st.Behind = nil
			if pl := start(st).Plan(); pl.Promiscuous {
				t.Error("promiscuous for nobody")
			}
		})
	}
}

// A published Plan never changes; when nothing changed it stays the same one.
func TestPlanIsImmutable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := drawState(t)
		m := start(st)
		pl := m.Plan()
		keep := *pl
		keep.Slots = slices.Clone(pl.Slots)
		keep.Own = slices.Clone(pl.Own)
		m.Handle(t0, st)
		if m.Plan() != pl {
			t.Error("the same state made another Plan")
		}
		drawMembers(t, &st)
		m.Handle(t0, st)
		if d := cmp.Diff(&keep, pl); d != "" {
			t.Errorf("-was +is\n%s", d)
		}
	})
}

// Modes for a switch that knows the group: all usable members receive everything, those that
// stay send, nobody sends when they are too few.
func TestSpreaders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := drawState(t)
		st.Settings.Balance = true
		if st.Settings.Kind == ActiveBackup || st.Settings.Kind == ELB {
			st.Settings.Kind = XOR
		}
		pl := start(st).Plan()
		var all, staying MemberSet
		for _, m := range st.Members {
			all = all.With(m.ID)
			if m.Usable && !m.Draining {
				staying = staying.With(m.ID)
			}
		}
		// A switch that knows the members as one link sends by a port as soon as that has a carrier, whatever we wait for.
		if pl.Collecting != all || pl.Multicast != all {
			t.Errorf("collecting %b, multicast %b, all %b", pl.Collecting, pl.Multicast, all)
		}
		want := map[Kind]Spread{RoundRobin: SpreadRoundRobin, XOR: SpreadSlots, Broadcast: SpreadBroadcast}[st.Settings.Kind]
		if staying == 0 || staying.Len() < st.Settings.MinMembers {
			want, staying = SpreadNone, 0
		}
		if pl.Spread != want || pl.Distributing != staying {
			t.Errorf("spread %d, want %d; distributing %b, want %b", pl.Spread, want, pl.Distributing, staying)
		}
		for id, w := range pl.Weights {
			if (w != 0) != (pl.Distributing.Has(id) && pl.Spread != SpreadBroadcast) || w > MaxShare {
				t.Errorf("member %d has share %d", id, w)
			}
		}
		if pl.Spread == SpreadSlots {
			for s, id := range pl.Slots {
				if id == NoMember || !pl.Distributing.Has(int(id)) {
					t.Fatalf("slot %d is with %d", s, id)
				}
			}
		}
	})
}

func TestSpreaderAnnouncesWhenItBegins(t *testing.T) {
	st := state(XOR, 2)
	m, _ := New(st.Settings)
	down := change(st, func(m []Member) { m[0].Usable, m[1].Usable = false, false })
	for i, c := range []struct {
		st   State
		want bool
	}{{down, false}, {st, true}, {st, false}, {change(st, func(m []Member) { m[0].Usable = false }), false}, {down, false}, {st, true}} {
		if eff := m.Handle(t0, c.st); (eff.Tell == TellAll) != c.want {
			t.Errorf("step %d: announce %v", i, eff.Tell)
		}
	}
}

func TestSharesOfOddWeights(t *testing.T) {
	st := state(RoundRobin, 4)
	zero := 0.0
	st.Members[0].Weight = 0
	st.Members[1].Weight = -3
	st.Members[2].Weight = zero / zero
	st.Members[3].Weight = 1 / zero
	for id := range 4 {
		if w := start(st).Plan().Weights[id]; w != MaxShare {
			t.Errorf("member %d has share %d", id, w)
		}
	}
	st.Members[0].Weight = 1e-9
	if w := start(st).Plan().Weights[0]; w != 1 {
		t.Errorf("the least weight has share %d, want 1", w)
	}
}
