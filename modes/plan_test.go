// SPDX-License-Identifier: MIT

package modes

import (
	"slices"
	"testing"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
	"nicteam/modes/spread"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// What every Plan has in common, whatever the mode.
func TestPlanInEveryMode(t *testing.T) {
	for _, kind := range []Kind{ActiveBackup, XOR, RoundRobin, Broadcast} {
		t.Run(kind.String(), func(t *testing.T) {
			st := state(kind, 3)
			st.Adapter = st.Members[1].MAC // the adapter has a member's MAC
			st.Behind = append(stations(0, 0x020000000500), stations(7, 0x020000000500, 0x020000000501)...)
			st.Settings.Salt, st.Settings.Hash = 99, spread.Layer23
			pl := start(st).Plan()
			a, b, c := st.Members[0].MAC, st.Members[1].MAC, st.Members[2].MAC
			if d := cmp.Diff([]frame.MAC{a, b, c, 0x020000000500, 0x020000000501}, pl.TeamMACs); d != "" {
				t.Errorf("own, -want +got\n%s", d)
			}
			if d := cmp.Diff([][]frame.MAC{{b}, nil, {b}, nil}, pl.Filter[:4]); d != "" {
				t.Errorf("filter, -want +got\n%s", d)
			}
			if !pl.Promiscuous || !slices.Equal(pl.Stations, st.Behind) ||
				!slices.Equal(pl.Behind, []frame.MAC{0x020000000500, 0x020000000501}) || pl.Adapter != b ||
				pl.Hash != (spread.Hash{Policy: spread.Layer23, Salt: 99}) {
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
		if pl.Slots != nil {
			keep.Slots = &spread.SlotTable{Members: slices.Clone(pl.Slots.Members),
				StandIns: slices.Clone(pl.Slots.StandIns)}
		}
		keep.Pins, keep.Later = slices.Clone(pl.Pins), slices.Clone(pl.Later)
		keep.TeamMACs = slices.Clone(pl.TeamMACs)
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
		var all, staying spread.MemberSet
		for _, m := range st.Members {
			all = all.With(m.ID)
			if m.Usable && !m.Draining {
				staying = staying.With(m.ID)
			}
		}
		// A switch that knows the members as one link sends by a port as soon as that has a carrier, whatever we wait
		// for.
		if pl.Collecting != all || pl.Multicast != all {
			t.Errorf("collecting %b, multicast %b, all %b", pl.Collecting, pl.Multicast, all)
		}
		want := map[Kind]spread.Rule{RoundRobin: spread.RuleRoundRobin, XOR: spread.RuleSlots,
			Broadcast: spread.RuleBroadcast}[st.Settings.Kind]
		if staying == 0 || staying.Len() < st.Settings.MinMembers {
			want, staying = spread.RuleNone, 0
		}
		if pl.Rule != want || pl.Distributing != staying {
			t.Errorf("spread %d, want %d; distributing %b, want %b", pl.Rule, want, pl.Distributing, staying)
		}
		for id, w := range pl.Weights {
			if (w != 0) != (pl.Distributing.Has(id) && pl.Rule != spread.RuleBroadcast) || w > spread.MaxShare {
				t.Errorf("member %d has share %d", id, w)
			}
		}
		if pl.Rule == spread.RuleSlots {
			for s, id := range pl.Slots.Members {
				if id == spread.NoMember || !pl.Distributing.Has(int(id)) {
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
	}{{down, false}, {st, true}, {st, false}, {change(st, func(m []Member) { m[0].Usable = false }), false},
		{down, false}, {st, true}} {
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
		if w := start(st).Plan().Weights[id]; w != spread.MaxShare {
			t.Errorf("member %d has share %d", id, w)
		}
	}
	st.Members[0].Weight = 1e-9
	if w := start(st).Plan().Weights[0]; w != 1 {
		t.Errorf("the least weight has share %d, want 1", w)
	}
}

// Whatever the Plan, a frame leaves only by members that distribute in it, and by one of them
// unless the Plan wants copies or has nobody.
func TestPickObeysThePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p spread.Picker
		st := drawState(t)
		for range 3 {
			drawMembers(t, &st)
			pl := start(st).Plan()
			var used spread.MemberSet
			for i := range 400 {
				b := frametest.IP{Src: "10.0.0.1", Dst: "10.0.0.2", Proto: 6, SrcPort: uint16(i), DstPort: 80,
					DstMAC: frame.MAC(i), TCI: uint16(i)}.Frame()
				var h frame.Headers
				frame.Parse(b, &h)
				got := p.Pick(pl, &h, b, len(b))
				if got&^pl.Distributing != 0 {
					t.Fatalf("by %b, distributing %b", got, pl.Distributing)
				}
				want := 1
				if pl.Rule == spread.RuleBroadcast {
					want = pl.Distributing.Len()
				}
				if pl.Distributing == 0 {
					want = 0
				}
				if got.Len() != want {
					t.Fatalf("by %b, distributing %b, spread %d", got, pl.Distributing, pl.Rule)
				}
				used |= got
				may := pl.Distributing
				if pl.Rule == spread.RuleSingle && pl.Next >= 0 { // who is about to take over
					may = may.With(pl.Next)
				}
				if o := spread.Other(pl, got); o >= 0 && (got.Has(o) || !may.Has(o)) || o < 0 && may&^got != 0 {
					t.Fatalf("refused by %b, other is %d, of %b", got, o, may)
				}
			}
			if pl.Rule == spread.RuleSingle && used != pl.Distributing {
				t.Fatalf("used %b, distributing %b", used, pl.Distributing)
			}
		}
	})
}

// With weights that do not differ by orders of magnitude every usable member carries something.
func TestEveryUsableMemberIsUsed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]Kind{RoundRobin, XOR, Broadcast}).Draw(t, "kind")
		st := state(kind, rapid.IntRange(1, 8).Draw(t, "members"))
		st.Settings.Salt = rapid.Uint64().Draw(t, "salt")
		st.Settings.PacketsPerMember = rapid.IntRange(0, 3).Draw(t, "packets")
		for i := range st.Members {
			st.Members[i].Weight = rapid.Float64Range(1, 5).Draw(t, "weight")
		}
		pl := start(st).Plan()
		var p spread.Picker
		var used spread.MemberSet
		for i := range 2000 {
			b := frametest.IP{Src: "10.0.0.1", Dst: "10.0.0.2", Proto: 17, SrcPort: uint16(2 * i), DstPort: 80}.Frame()
			var h frame.Headers
			frame.Parse(b, &h)
			used |= p.Pick(pl, &h, b, len(b))
		}
		if used != pl.Distributing || used.Len() != len(st.Members) {
			t.Errorf("used %b of %d members", used, len(st.Members))
		}
	})
}
