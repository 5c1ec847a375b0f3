// SPDX-License-Identifier: MIT

package modes

import (
	"slices"
	"testing"
	"time"

	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

func TestAggregationAlone(t *testing.T) {
	w := wire(t, 3, 0, nil)
	if took := w.want(4*time.Second, 0); took > 3*time.Second {
		t.Errorf("waited %v for an answer", took)
	}
	pl := w.m.Plan()
	if pl.Rule != spread.RuleSingle || pl.Active != 0 || pl.Next != 1 || pl.Collecting != 0b001 ||
		pl.Multicast != 0b001 || w.told != 1 {
		t.Errorf("%+v, told %d times", pl, w.told)
	}
	if g := Agreed(w.m); g.Alone != 0 || g.Ports[0].Why != aloneWhy || g.Ports[1].Why == aloneWhy {
		t.Errorf("%+v", g)
	}
	w.link(0, false)
	w.want(0, 1)
	if pl := w.m.Plan(); !pl.Collecting.Has(0) || pl.Multicast != 0b010 || w.told != 2 {
		t.Errorf("collecting %b, multicast %b, told %d times", pl.Collecting, pl.Multicast, w.told)
	}
	w.run(Overlap)
	if pl := w.m.Plan(); pl.Collecting != 0b010 {
		t.Errorf("collecting %b", pl.Collecting)
	}
	// One that comes up is no reason to wait again.
	w.link(0, true)
	w.want(0, 1)
	w.drain(1)
	w.want(0, 0)
	if pl := w.m.Plan(); !pl.Collecting.Has(1) {
		t.Error("a drain ends receiving")
	}
	w.leave(1)
	w.leave(0)
	w.want(0, 2)
	w.link(2, false)
	w.want(0)
	w.link(2, true)
	w.want(0, 2)
	want := []string{
		"eth0: nobody answers, eth0 is the first usable member",
		"eth1: nobody answers, eth0 is not usable, eth1 is the first usable member",
		"eth0: nobody answers, eth1 is leaving, eth0 is the first usable member",
		"eth2: nobody answers, eth0 has left, eth2 is the first usable member",
		"none: nobody answers, eth2 is not usable, no member is usable",
		"eth2: nobody answers, eth2 is the first usable member",
	}
	if !slices.Equal(w.active, want) {
		t.Errorf("active %q", w.active)
	}
}

func TestAggregationAloneEndsWithAnAnswer(t *testing.T) {
	w := wire(t, 2, 1, nil)
	w.drop, w.flying = func(int, int) bool { return true }, nil
	w.want(4*time.Second, 0)
	w.run(time.Minute)
	w.want(0, 0)
	w.drop, w.active = nil, nil
	w.want(5*time.Second, 0, 1)
	if want := []string{"none: a partner answers"}; !slices.Equal(w.active, want) || Agreed(w.m).Alone != -1 {
		t.Errorf("active %q", w.active)
	}

	// Silence begins it anew, but not before every port has waited.
	w.drop = func(id, to int) bool { return true }
	w.want(91 * time.Second)
	if took := w.want(4*time.Second, 0); took < 2900*time.Millisecond {
		t.Errorf("alone again after %v", took)
	}
	noted(t, w.active, "eth0: nobody answers")
}

// A member that hears its own team works alone only where all do: a switch without LACP may pass LACPDUs on.
func TestAggregationAloneOnALoop(t *testing.T) {
	w := wire(t, 3, 0, nil)
	w.loop = map[int]int{0: 1, 1: 0}
	w.run(time.Minute)
	w.want(0, 2)
	w.link(2, false)
	w.want(time.Second, 0)
	w.run(time.Minute)
	w.want(0, 0)
	w.link(2, true)
	w.run(time.Minute)
	w.want(0, 2)
}

func TestAggregationWithoutFallback(t *testing.T) {
	w := wire(t, 2, 0, func(st *State) { st.Settings.LACP.Fallback = false })
	w.run(time.Minute)
	w.want(0)
	if g := Agreed(w.m); g.Alone != -1 || len(g.Hints) == 0 {
		t.Errorf("%+v", g)
	}
	w.state(func(st *State) { st.Settings.LACP.Fallback = true })
	w.want(0, 0)
	w.state(func(st *State) { st.Settings.LACP.Fallback = false })
	w.want(0)
}

// A port that LACP cannot use can work alone, and counts for nothing where somebody answers another one.
func TestAggregationHalfDuplex(t *testing.T) {
	half := func(st *State) { st.Members[0].HalfDuplex = true }
	w := wire(t, 1, 0, half)
	w.want(0, 0)
	w = wire(t, 2, 1, half)
	w.want(4*time.Second, 1)
	if p := Agreed(w.m).Ports[0]; p.Why != "half duplex: LACP cannot use it" {
		t.Errorf("%+v", p)
	}
}

func off(st *State) { st.Settings.Balance = false }

func TestAggregationWithBalanceOff(t *testing.T) {
	w := wire(t, 3, 1, off)
	w.want(4*time.Second, 0)
	w.run(5 * time.Second)
	pl := w.m.Plan()
	if pl.Rule != spread.RuleSingle || pl.Next != -1 || pl.Collecting != 0b001 || pl.Multicast != 0b001 || w.told != 1 {
		t.Errorf("%+v, told %d times", pl, w.told)
	}
	for _, p := range Agreed(w.m).Ports[1:] {
		if p.Selected != lacp.Standby || p.Mux != lacp.MuxAttached || p.Actor.State.Has(lacp.Synchronization) ||
			!p.Heard {
			t.Errorf("%s does not stand by: %+v", names(p.ID), p)
		}
	}
	w.link(0, false)
	if took := w.want(time.Second, 1); took > 10*time.Millisecond {
		t.Errorf("the next one took over after %v", took)
	}
	w.run(time.Second)
	w.link(0, true)
	w.run(5 * time.Second)
	w.want(0, 1)

	// By hand, while both work: nobody sends for no moment.
	w.state(func(st *State) { st.Settings.Active = "eth2" })
	w.until(time.Second, func() bool {
		if w.m.Plan().Distributing == 0 {
			t.Fatal("a change between two that work left nobody")
		}
		return w.m.Plan().Distributing == 0b100
	})
	w.want(0, 2)
	if pl := w.m.Plan(); !pl.Collecting.Has(1) {
		t.Error("the old one does not receive what is under way")
	}
	w.run(time.Second)
	if pl := w.m.Plan(); pl.Collecting != 0b100 || w.told != 3 {
		t.Errorf("collecting %b, told %d times", pl.Collecting, w.told)
	}

	w.drain(2)
	w.want(time.Second, 0)
	if pl := w.m.Plan(); !pl.Collecting.Has(2) {
		t.Error("a drain ends receiving")
	}
	w.leave(2)
	w.run(time.Second)
	want := []string{
		"eth0: eth0 is the first usable member",
		"eth1: eth0 is not usable, eth1 is the first usable member",
		"eth2: eth2 was chosen by hand",
		"eth0: eth2 is leaving, eth0 is the first usable member",
	}
	if !slices.Equal(w.active, want) {
		t.Errorf("active %q", w.active)
	}
}

// One by which nobody answers is not chosen as long as somebody does by another one.
func TestAggregationWithBalanceOffPassesOverTheSilent(t *testing.T) {
	w := wire(t, 3, 1, func(st *State) { off(st); st.Settings.LACP.Fast = true })
	w.drop, w.flying = func(id, to int) bool { return id == 0 }, nil
	w.want(4*time.Second, 1)
	w.run(5 * time.Second)
	w.drop = func(id, to int) bool { return id <= 1 }
	if took := w.want(5*time.Second, 2); took > 3100*time.Millisecond {
		t.Errorf("took over after %v", took)
	}
	noted(t, w.active, "eth2: eth1: partner silent for 3 s, eth2 is the first usable member")
}

func TestAggregationWithBalanceOffAndTwoSwitches(t *testing.T) {
	w := wire(t, 2, 2, off)
	w.plug(1, 1)
	w.want(4*time.Second, 0)
	w.run(5 * time.Second)
	w.state(func(st *State) { st.Settings.Active = "eth1" })
	if took := w.want(time.Second, 1); took > 50*time.Millisecond {
		t.Errorf("took over after %v", took)
	}
	if w.told != 2 {
		t.Errorf("told %d times", w.told)
	}
}

// Balance changes while the protocol goes on.
func TestAggregationChangesBalance(t *testing.T) {
	w := wire(t, 3, 1, nil)
	w.want(4*time.Second, 0, 1, 2)
	w.run(time.Second)
	w.state(off)
	w.want(0, 0)
	w.run(time.Second)
	if pl := w.m.Plan(); pl.Rule != spread.RuleSingle || pl.Collecting != 0b001 {
		t.Errorf("%+v", pl)
	}
	w.state(func(st *State) { st.Settings.Balance = true })
	if took := w.want(time.Second, 0, 1, 2); took > 10*time.Millisecond {
		t.Errorf("took %v", took)
	}
	w.run(2 * spread.MaxMigration)
	if pl := w.m.Plan(); pl.Rule != spread.RuleSlots || moving(pl).From != nil {
		t.Errorf("%+v", pl)
	}
}

// The member with the adapter's address goes on sending LACPDUs, and so draws what is for the adapter to itself.
func TestAggregationAloneReceivesByTheAdaptersAddress(t *testing.T) {
	w := wire(t, 3, 0, func(st *State) { st.Adapter, st.Settings.Active = st.Members[2].MAC, "eth1" })
	w.want(4*time.Second, 1)
	w.run(time.Second)
	if pl := w.m.Plan(); pl.Collecting != 0b110 || pl.Multicast != 0b010 {
		t.Errorf("collecting %b, multicast %b", pl.Collecting, pl.Multicast)
	}
	w.state(func(st *State) { st.Flooding = true })
	w.run(time.Second)
	if pl := w.m.Plan(); pl.Collecting != 0b010 {
		t.Errorf("where the switch floods: collecting %b", pl.Collecting)
	}
}
