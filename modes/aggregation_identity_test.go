// SPDX-License-Identifier: MIT

package modes

import (
	"slices"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

// numbers are the ports' numbers by member.
func numbers(w *wired) map[string]uint16 {
	n := map[string]uint16{}
	for _, p := range Agreed(w.m).Ports {
		n[find(&w.st, p.ID).Name] = p.Actor.Port
	}
	return n
}

// Whatever members and addresses do, the system and a NIC's port stay the same to partners.
func TestAggregationStaysTheSame(t *testing.T) {
	w := wire(t, 3, 1, nil)
	w.want(4*time.Second, 0, 1, 2)
	w.run(time.Second)
	w.state(func(st *State) {
		st.Adapter = 0x020000000999
		st.Members[0].MAC, st.Settings.Primary = 0x020000000998, "eth2"
	})
	w.want(0, 0, 1, 2)
	if g := Agreed(w.m); g.System.MAC != adapterMAC {
		t.Errorf("system %v", g.System.MAC)
	}
	was := numbers(w)
	gone := *find(&w.st, 0)
	w.leave(0)
	w.state(func(st *State) {
		other := gone
		other.ID, other.Name = 0, "eth9"
		back := gone
		back.ID = 5
		st.Members = append([]Member{other}, append(st.Members, back)...)
	})
	n := numbers(w)
	if n["eth0"] != was["eth0"] || n["eth1"] != was["eth1"] || n["eth9"] == was["eth0"] || n["eth9"] == 0 {
		t.Errorf("numbers %v, were %v", n, was)
	}
	w.state(func(st *State) { st.Settings.LACP.System = 0x02dddddddddd })
	if g := Agreed(w.m); g.System.MAC != 0x02dddddddddd {
		t.Errorf("system %v", g.System.MAC)
	}
	w.state(func(st *State) { st.Settings.LACP.System = 0 })
	if g := Agreed(w.m); g.System.MAC != 0x02dddddddddd {
		t.Errorf("system %v", g.System.MAC)
	}
}

func TestAggregationSettings(t *testing.T) {
	w := wire(t, 2, 1, func(st *State) {
		st.Settings.LACP = LACPSettings{Fast: true, Active: false, System: 0x02dddddddddd, SystemPriority: 7,
			Key: 3, Select: lacp.Count}
		st.Members[1].PortPriority = 9
	})
	w.want(4*time.Second, 0, 1)
	g := Agreed(w.m)
	if g.System != (lacp.SystemID{Priority: 7, MAC: 0x02dddddddddd}) || g.Key != 3<<6|9 {
		t.Errorf("%+v", g)
	}
	a := g.Ports[1].Actor
	if a.PortPriority != 9 || a.State.Has(lacp.Activity) || !a.State.Has(lacp.ShortTimeout) || a.Port != 2 {
		t.Errorf("%+v", a)
	}
}

// A process in the place of one that died: no partner notices, and frames move at once.
func TestAggregationGoesOnInAnotherProcess(t *testing.T) {
	for _, balance := range []bool{true, false} {
		w := wire(t, 3, 1, func(st *State) { st.Settings.Balance = balance })
		w.until(4*time.Second, func() bool { return w.m.Plan().Distributing != 0 })
		w.run(10 * time.Second)
		if !balance {
			w.link(0, false)
			w.run(5 * time.Second)
			w.link(0, true)
			w.run(5 * time.Second)
		}
		set := w.m.Plan().Distributing
		memory := Agreed(w.m).Memory
		m, err := New(w.st.Settings)
		if err != nil {
			t.Fatal(err)
		}
		w.m, w.now = m, w.now.Add(300*time.Millisecond)
		w.state(func(st *State) {
			st.Memory, st.Adapter = &memory, 0x020000000999
			slices.Reverse(st.Members)
			for i := range st.Members {
				st.Members[i].ID = i
			}
		})
		if got := w.m.Plan().Distributing; got != set || Agreed(w.m).System.MAC != adapterMAC {
			t.Fatalf("balance %v: %b distribute, want %b; %s", balance, got, set, w.words())
		}
	}
}

// Carriers become known one after the other; whoever is first does not work for all because of that.
func TestAggregationAwaitsWhoWasActive(t *testing.T) {
	for _, comes := range []bool{true, false} {
		w := wire(t, 3, 1, off)
		w.want(4*time.Second, 0)
		w.link(0, false)
		w.run(5 * time.Second)
		w.link(0, true)
		w.run(5 * time.Second)
		w.want(0, 1)
		memory := Agreed(w.m).Memory
		w.m, _ = New(w.st.Settings)
		w.state(func(st *State) {
			st.Memory = &memory
			for i := range st.Members {
				st.Members[i].Usable = i == 0
			}
		})
		w.want(0)
		if !comes {
			w.want(4*time.Second, 0)
			continue
		}
		w.state(func(st *State) { find(st, 2).Usable = true })
		w.want(0)
		w.state(func(st *State) { find(st, 1).Usable = true })
		w.want(0, 1)
		w.run(5 * time.Second)
		w.want(0, 1)
	}
}

func TestAggregationIsNotNoticedToBegin(t *testing.T) {
	w := wire(t, 3, 1, nil)
	w.want(4*time.Second, 0, 1, 2)
	w.run(10 * time.Second)
	memory := Agreed(w.m).Memory
	m, _ := New(w.st.Settings)
	w.m = m
	w.state(func(st *State) { st.Memory = &memory })
	w.until(10*time.Second, func() bool {
		for _, p := range w.switches[0].Status().Ports {
			if !p.Distributing() {
				t.Fatalf("port %d of the switch notices: %v", p.ID, p.Why)
			}
		}
		return false
	})
	w.want(0, 0, 1, 2)
}

// One that worked alone does so in the next process, and the other way round with the mode before.
func TestAggregationGoesOnAlone(t *testing.T) {
	w := wire(t, 3, 0, nil)
	w.want(4*time.Second, 0)
	w.state(func(st *State) { st.Settings.Active = "eth1" })
	w.want(0, 1)
	w.state(func(st *State) { st.Settings.Active = "" })
	memory, before := Agreed(w.m).Memory, w.m.Plan()
	begin := func(f func(*State)) {
		w.m, _ = New(w.st.Settings)
		w.state(f)
	}
	begin(func(st *State) { st.Memory = &memory })
	w.want(0, 0)
	begin(func(st *State) { st.Memory, st.Before = &memory, before })
	w.want(0, 1)
	noted(t, w.active[len(w.active)-1:], "eth1: nobody answers, eth1 was active before")
	// Of a memory that has numbers only nothing else is known.
	for i := range memory.Ports {
		memory.Ports[i] = lacp.PortMemory{Name: memory.Ports[i].Name, Number: 40 + uint16(i)}
	}
	begin(func(st *State) { st.Memory = &memory })
	w.want(0)
	if n := numbers(w); n["eth0"] != 40 || n["eth2"] != 42 {
		t.Errorf("numbers %v", n)
	}
}

// Members accept what they did in the mode before for a moment longer.
func TestAggregationAfterAnotherMode(t *testing.T) {
	w := wire(t, 2, 0, nil)
	before := &spread.Plan{Rule: spread.RuleShortest, Collecting: 0b11, Multicast: 0b01}
	before.Filter[1] = []frame.MAC{0x020000000777}
	w.m, _ = New(w.st.Settings)
	w.state(func(st *State) { st.Before = before })
	pl := w.m.Plan()
	if pl.Collecting != 0b11 || pl.Multicast != 0 || !slices.Equal(pl.Filter[1], before.Filter[1]) {
		t.Errorf("collecting %b, multicast %b, filter %v", pl.Collecting, pl.Multicast, pl.Filter[1])
	}
	w.run(Overlap)
	if pl := w.m.Plan(); pl.Collecting != 0 || slices.Equal(pl.Filter[1], before.Filter[1]) {
		t.Errorf("collecting %b, filter %v", pl.Collecting, pl.Filter[1])
	}
}

// Markers go by the members that slots leave, under the Plan that has their Mark.
func TestAggregationAsksByMarkers(t *testing.T) {
	w := wire(t, 3, 1, nil)
	w.want(4*time.Second, 0, 1, 2)
	w.run(2 * time.Second)
	w.asked = 0
	w.drain(1)
	pl := w.m.Plan()
	if w.asked != 1 || moving(pl).Mark != 1 || moving(pl).Cleared[1] != 0 {
		t.Fatalf("asked %d times, mark %d, cleared %v", w.asked, moving(pl).Mark, moving(pl).Cleared[1])
	}
	w.run(4 * w.delay)
	if pl := w.m.Plan(); moving(pl).Mark != 1 || moving(pl).Cleared[1] != 1 || moving(pl).ID == 0 || w.asked != 1 {
		t.Errorf("answered: mark %d, cleared %v, asked %d times", moving(pl).Mark, moving(pl).Cleared[1], w.asked)
	}
	w.run(markerInterval)
	if pl := w.m.Plan(); moving(pl).Mark != 2 || moving(pl).Cleared[1] != 2 || w.asked != 2 {
		t.Errorf("again: mark %d, cleared %v, asked %d times", moving(pl).Mark, moving(pl).Cleared[1], w.asked)
	}
}

// The answer to a marker of the turn before says nothing of this one, in which none could be sent any more.
func TestAggregationAsksNotTooOften(t *testing.T) {
	w := wire(t, 3, 1, nil)
	w.want(4*time.Second, 0, 1, 2)
	w.run(2 * time.Second)
	w.asked = 0
	w.state(func(st *State) { st.Members[0].Weight = 0.2 })
	first := moving(w.m.Plan()).ID
	w.run(4*markerInterval - time.Millisecond)
	w.delay = 20 * time.Millisecond
	w.run(2 * time.Millisecond)
	w.drain(0)
	w.run(drainMigration/2 + time.Millisecond)
	if pl := w.m.Plan(); moving(pl).ID == first || moving(pl).From == nil || w.asked != 5 {
		t.Fatalf("turn %d after %d, asked %d times", moving(pl).ID, first, w.asked)
	}
	w.run(20 * time.Millisecond)
	if pl := w.m.Plan(); moving(pl).From == nil || w.asked != 5 || moving(pl).Cleared[0] != 0 {
		t.Errorf("asked %d times, cleared %v", w.asked, moving(pl).Cleared[0])
	}
}
