// SPDX-License-Identifier: MIT

package modes

import (
	"slices"
	"testing"
	"time"

	"nicteam/modes/lacp"
	"nicteam/modes/spread"

	"pgregory.net/rapid"
)

// Whatever happens to members, cables, switches and settings: no Plan has a port send that the protocol does not let
// send, no PDU says what is not so (wired looks at both after every event), slots go over in time and by the rules, and
// when all is well again all work again.
func TestAggregationAlways(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := wire(t, rapid.IntRange(1, 4).Draw(t, "members"), 2, func(st *State) {
			st.Settings.Balance = rapid.Bool().Draw(t, "balance")
			st.Settings.LACP.Fast = rapid.Bool().Draw(t, "fast")
			st.Settings.LACP.Fallback = rapid.Bool().Draw(t, "fallback")
			st.Settings.LACP.Select = rapid.SampledFrom(lacp.Selects()).Draw(t, "select")
		})
		lost := spread.MemberSet(0)
		w.drop = func(id, _ int) bool { return lost.Has(id) }
		watch := overWatch{t: t, was: w.m.Plan()}
		some := func() *Member {
			return &w.st.Members[rapid.IntRange(0, len(w.st.Members)-1).Draw(t, "which")]
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			m := some()
			switch rapid.IntRange(0, 10).Draw(t, "what") {
			case 0, 1:
				w.link(m.ID, !m.Usable)
			case 2:
				w.state(func(st *State) { m := find(st, m.ID); m.Draining = !m.Draining })
			case 3:
				w.plug(m.ID, rapid.IntRange(0, 1).Draw(t, "switch"))
			case 4:
				if lost ^= 1 << m.ID; lost.Has(m.ID) {
					w.flying = slices.DeleteFunc(w.flying, func(f flying) bool { return f.id == m.ID })
				}
			case 5:
				w.state(func(st *State) { find(st, m.ID).Weight = rapid.Float64Range(0.1, 10).Draw(t, "weight") })
			case 6:
				w.state(func(st *State) { find(st, m.ID).HalfDuplex = !m.HalfDuplex })
			case 7:
				w.state(func(st *State) {
					st.Settings.Balance = rapid.Bool().Draw(t, "balance")
					st.Settings.MinMembers = rapid.IntRange(0, 2).Draw(t, "min members")
					st.Settings.LACP.Fallback = rapid.Bool().Draw(t, "fallback")
					st.Settings.Active = rapid.SampledFrom([]string{"", "eth0", "eth1"}).Draw(t, "active")
				})
			case 8:
				w.state(func(st *State) {
					find(st, m.ID).SpeedBps = rapid.SampledFrom([]uint64{0, 1e9, 1e10}).Draw(t, "speed")
				})
			}
			watch.see(w)
			d := rapid.SampledFrom([]time.Duration{0, 20 * time.Microsecond, time.Millisecond, 60 * time.Millisecond,
				time.Second, 5 * time.Second, 95 * time.Second}).Draw(t, "wait")
			w.until(d, func() bool { watch.see(w); return false })
		}

		lost = 0
		w.state(func(st *State) {
			st.Settings.Balance, st.Settings.MinMembers = true, 0
			for i := range st.Members {
				st.Members[i].Draining, st.Members[i].HalfDuplex, st.Members[i].SpeedBps = false, false, 1e9
			}
		})
		all := []int{}
		for _, m := range w.st.Members {
			w.plug(m.ID, 0)
			w.link(m.ID, true)
			all = append(all, m.ID)
		}
		w.run(100 * time.Second)
		w.want(0, all...)
		if pl := w.m.Plan(); moving(pl).From != nil || !slices.Equal(slotsOf(pl), spread.AssignSlots(&pl.Weights)) ||
			Agreed(w.m).Alone != -1 {
			t.Fatalf("at rest: %+v", pl)
		}
	})
}

// overWatch looks at how slots go over.
type overWatch struct {
	t     *rapid.T
	was   *spread.Plan
	began time.Time // the turn that goes on
}

func (o *overWatch) see(w *wired) {
	pl, was := w.m.Plan(), o.was
	if o.was = pl; pl == was {
		if moving(pl).From != nil && w.now.After(o.began.Add(spread.MaxMigration)) {
			o.t.Fatalf("slots still go over after %v", w.now.Sub(o.began))
		}
		return
	}
	if moving(pl).From != nil && moving(pl).ID != moving(was).ID {
		o.began = w.now
	}
	if pl.Rule != spread.RuleSlots || was.Rule != spread.RuleSlots {
		return
	}
	for s := range slotsOf(pl) {
		from, at := slotsOf(pl)[s], slotsOf(was)[s]
		if moving(pl).From != nil {
			from = moving(pl).From[s]
		}
		same := moving(pl).From != nil && moving(was).From != nil && moving(pl).ID == moving(was).ID
		if moving(was).From != nil && same {
			at = moving(was).From[s]
		}
		if from != at && pl.Distributing.Has(int(at)) {
			o.t.Fatalf("slot %d went from %d to %d at once", s, at, from)
		}
		if same && slotsOf(pl)[s] != slotsOf(was)[s] && pl.Distributing.Has(int(slotsOf(was)[s])) {
			o.t.Fatalf("slot %d was sent elsewhere on its way", s)
		}
	}
	if moving(pl).From != nil && moving(was).From != nil && moving(pl).ID == moving(was).ID &&
		(moving(pl).Mark < moving(was).Mark || moving(pl).Mark > moving(was).Mark+1) {
		o.t.Fatalf("mark %d after %d", moving(pl).Mark, moving(was).Mark)
	}
}
