// SPDX-License-Identifier: MIT

package modes

import (
	"slices"
	"testing"
	"time"

	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

func TestAggregationAgrees(t *testing.T) {
	w := wire(t, 3, 1, func(st *State) { st.Members[2].Weight = 2 })
	if pl := w.m.Plan(); pl.Distributing != 0 || pl.Collecting != 0 {
		t.Fatalf("before anybody answered: %+v", pl)
	}
	took := w.want(4*time.Second, 0, 1, 2)
	if took > 3200*time.Millisecond {
		t.Errorf("agreed after %v", took)
	}
	w.run(2 * spread.MaxMigration)
	pl := w.m.Plan()
	if pl.Rule != spread.RuleSlots || pl.Collecting != 0b111 || pl.Multicast != 0b111 || pl.Next != -1 ||
		pl.Weights[0] != spread.MaxShare/2 || pl.Weights[2] != spread.MaxShare {
		t.Errorf("%+v", pl)
	}
	w.run(time.Second)
	if w.told != 1 || len(w.active) != 0 {
		t.Errorf("told %d times, active %q", w.told, w.active)
	}
	noted(t, w.notes, "partner-changed eth1", "02:aa:00:00:00:00")
	noted(t, w.notes, "aggregator-changed:", "is active")
	g := Agreed(w.m)
	if g.Alone != -1 || g.Active != 1 || len(g.Ports) != 3 || g.System.MAC != adapterMAC ||
		g.Partner.System.MAC != 0x02aa00000000 || len(g.Memory.Ports) != 3 {
		t.Errorf("%+v", g)
	}
	if Agreed(newELB()) != nil || Agreed(newAggregation()) != nil {
		t.Error("modes agree that have nobody to agree with")
	}
}

func TestAggregationLosesALink(t *testing.T) {
	w := wire(t, 3, 1, nil)
	w.want(4*time.Second, 0, 1, 2)
	w.run(time.Second)
	was := w.m.Plan()
	w.link(1, false)
	pl := w.m.Plan()
	if pl.Distributing != 0b101 || moving(pl).From != nil {
		t.Errorf("%+v", pl)
	}
	for _, s := range moved(slotsOf(was), slotsOf(pl)) {
		if slotsOf(was)[s] != 1 {
			t.Errorf("slot %d of %d moved", s, slotsOf(was)[s])
		}
	}
	w.run(time.Second)
	w.link(1, true)
	w.want(4*time.Second, 0, 1, 2)
	if pl := w.m.Plan(); moving(pl).From == nil || !slices.Equal(slotsOf(pl), slotsOf(was)) {
		t.Error("the slots of one that is back do not go over in order")
	}
	w.run(spread.MaxMigration)
	if pl := w.m.Plan(); moving(pl).From != nil {
		t.Error("and do not end to")
	}
}

// TestAggregationLosesWhatItSends: by a member whose frames do not arrive nothing is sent, but the partner is told
// nothing, and goes on to send by it. If they arrive by none, all are used.
func TestAggregationLosesWhatItSends(t *testing.T) {
	w := wire(t, 3, 1, nil)
	w.want(4*time.Second, 0, 1, 2)
	w.run(time.Second)
	w.said = nil
	w.state(func(st *State) { st.Members[1].Lost = true })
	pl := w.m.Plan()
	if pl.Distributing != 0b101 || slices.Contains(slotsOf(pl), 1) || pl.Collecting != 0b111 || len(w.said) != 0 {
		t.Errorf("%+v, said %+v", pl, w.said)
	}
	if n := w.switches[0].Status().Ports[1]; !n.Distributing() {
		t.Error("the partner does not send by it")
	}
	w.run(5 * time.Second)
	w.state(func(st *State) {
		for i := range st.Members {
			st.Members[i].Lost = true
		}
	})
	w.want(time.Second, 0, 1, 2)
	w.state(func(st *State) { st.Members[0].Lost, st.Members[1].Lost = false, false })
	w.want(time.Second, 0, 1)
}

func TestAggregationNoticesSilence(t *testing.T) {
	w := wire(t, 2, 1, func(st *State) { st.Settings.LACP.Fast = true })
	w.want(4*time.Second, 0, 1)
	w.run(2500 * time.Millisecond)
	w.drop = func(id, to int) bool { return id == 1 && to == -1 }
	if took := w.want(5*time.Second, 0); took > 3100*time.Millisecond {
		t.Errorf("silence noticed after %v", took)
	}
	noted(t, w.notes, "partner-changed eth1", "silent")
}

// Slots migrate first, then the partner is told, and frames of the partner are accepted until the member is gone.
func TestAggregationDrain(t *testing.T) {
	w := wire(t, 3, 1, nil)
	w.want(4*time.Second, 0, 1, 2)
	w.run(time.Second)
	w.said = nil
	w.drain(1)
	pl := w.m.Plan()
	if pl.Distributing != 0b111 || moving(pl).From == nil || slices.Contains(slotsOf(pl), 1) || len(w.said) != 0 {
		t.Fatalf("%+v, said %+v", pl, w.said)
	}
	if took := w.want(time.Second, 0, 2); took != drainMigration {
		t.Errorf("slots went over in %v", took)
	}
	if len(w.said) != 1 || w.said[0].Actor.Port != 2 ||
		w.said[0].Actor.State&(lacp.Synchronization|lacp.Collecting|lacp.Distributing) != 0 {
		t.Errorf("said %+v", w.said)
	}
	w.run(2 * time.Second)
	if pl := w.m.Plan(); pl.Collecting != 0b111 || pl.Multicast != 0b111 || moving(pl).From != nil {
		t.Errorf("collecting %b, multicast %b", pl.Collecting, pl.Multicast)
	}
	if n := w.switches[0].Status().Ports[1]; n.Distributing() {
		t.Error("the partner sends to one that leaves")
	}
	w.leave(1)
	if pl := w.m.Plan(); pl.Collecting != 0b101 || pl.Distributing != 0b101 {
		t.Errorf("%+v", pl)
	}

	// A drain can be taken back.
	w.drain(0)
	w.want(time.Second, 2)
	w.state(func(st *State) { st.Members[0].Draining = false })
	w.want(3*time.Second, 0, 2)

	// The last one has nobody to leave its slots to.
	w.run(time.Second)
	w.leave(0)
	w.drain(2)
	if pl := w.m.Plan(); pl.Distributing != 0 || !pl.Collecting.Has(2) {
		t.Errorf("%+v", pl)
	}
}

func TestAggregationSaysFarewell(t *testing.T) {
	bye := func(said []lacp.PDU) (ports []uint16) {
		for _, d := range said {
			if d.Actor.State&(lacp.Synchronization|lacp.Collecting|lacp.Distributing) == 0 {
				ports = append(ports, d.Actor.Port)
			}
		}
		return ports
	}
	w := wire(t, 3, 1, nil)
	w.want(4*time.Second, 0, 1, 2)
	w.run(time.Second)
	w.said = nil
	w.leave(1)
	if got := bye(w.said); !slices.Equal(got, []uint16{2}) {
		t.Errorf("farewell of %v", got)
	}
	w.said = nil
	w.handle(Ending{})
	if got := bye(w.said); !slices.Equal(got, []uint16{1, 3}) {
		t.Errorf("farewell of %v", got)
	}
}

func TestAggregationMinMembers(t *testing.T) {
	w := wire(t, 3, 1, func(st *State) { st.Settings.MinMembers = 2 })
	w.want(4*time.Second, 0, 1, 2)
	w.link(0, false)
	w.want(0, 1, 2)
	w.link(1, false)
	w.want(0)
	if pl := w.m.Plan(); pl.Rule != spread.RuleNone || !pl.Collecting.Has(2) {
		t.Errorf("%+v", pl)
	}
	w.told = 0
	w.link(1, true)
	w.want(4*time.Second, 1, 2)
	if w.told != 1 {
		t.Errorf("told %d times", w.told)
	}
}

// Two partners: one aggregator is used; when it fails the other one replaces it at once.
func TestAggregationChangesOver(t *testing.T) {
	w := wire(t, 4, 2, nil)
	w.plug(2, 1)
	w.plug(3, 1)
	w.want(4*time.Second, 0, 1)
	w.run(5 * time.Second)
	w.told = 0
	w.link(0, false)
	w.want(0, 1)
	w.link(1, false)
	if took := w.want(time.Second, 2, 3); took > 50*time.Millisecond {
		t.Errorf("changed over in %v", took)
	}
	if w.told != 1 {
		t.Errorf("told %d times", w.told)
	}
	noted(t, w.notes, "aggregator-changed", "02:aa:00:00:00:01")
}

// What is better takes over without a gap, and what was takes in for a moment more what is under way to it, but not
// what is for groups.
func TestAggregationMakesBeforeItBreaks(t *testing.T) {
	w := wire(t, 3, 2, func(st *State) { st.Settings.LACP.Select = lacp.Count })
	w.plug(1, 1)
	w.link(2, false)
	w.plug(2, 1)
	w.want(4*time.Second, 0)
	w.run(5 * time.Second)
	w.link(2, true)
	none := 0
	w.until(10*time.Second, func() bool {
		if w.m.Plan().Distributing == 0 {
			none++
		}
		return !w.m.Plan().Distributing.Has(0)
	})
	if none != 0 {
		t.Error("nobody sent for a while")
	}
	pl := w.m.Plan()
	if pl.Distributing&0b001 != 0 || !pl.Collecting.Has(0) || pl.Multicast.Has(0) {
		t.Errorf("distributing %b, collecting %b, multicast %b", pl.Distributing, pl.Collecting, pl.Multicast)
	}
	w.want(3*time.Second, 1, 2)
	if pl := w.m.Plan(); pl.Collecting != 0b110 {
		t.Errorf("distributing %b, collecting %b", pl.Distributing, pl.Collecting)
	}
}

func TestAggregationIgnoresWhatIsNotForIt(t *testing.T) {
	w := wire(t, 2, 1, nil)
	w.want(4*time.Second, 0, 1)
	w.run(time.Second)
	pl := w.m.Plan()
	for _, ev := range []Event{Received{Member: -1, Frame: make([]byte, 124)}, Received{Member: 0, Frame: nil},
		Received{Member: 7, Frame: w.pdu()},
		Received{Member: 0, Frame: w.pdu()[:20]}, Measured{}, Announced{}, Flooded{Member: 1}} {
		if eff := w.m.Handle(w.now, ev); eff.Send != nil || eff.Tell != 0 || eff.Active || eff.Notes != nil {
			t.Errorf("%T: %+v", ev, eff)
		}
	}
	if w.m.Plan() != pl {
		t.Error("another Plan")
	}
}

// pdu is a LACPDU of somebody else.
func (w *wired) pdu() []byte {
	d := lacp.PDU{Version: 1, Actor: lacp.Info{System: lacp.SystemID{Priority: 1, MAC: 0x02cc00000000}, Key: 1, Port: 1,
		State: lacp.Activity | lacp.Aggregation}}
	return d.Frame(0x02cc00000001)
}
