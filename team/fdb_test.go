// SPDX-License-Identifier: MIT

package team

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/frame"
	"nicteam/modes"
)

func TestLoopBehind(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	r.link(1, true)
	seen := func(m frame.MAC) Output {
		return r.do(FromDatapath{Control{Kind: ControlStation, Member: -1, Station: frame.StationOf(m, 0)}})
	}
	const vm = frame.MAC(0x0200_0000_1000)
	seen(adapterMAC)
	seen(linkOf(1).MAC)
	seen(frame.Broadcast)
	seen(0)
	if len(r.plan.Behind) != 0 {
		t.Errorf("took in what is no guest: %v", r.plan.Behind)
	}
	r.run(time.Second)
	seen(vm)
	if diff := cmp.Diff([]frame.MAC{vm}, r.plan.Behind); diff != "" {
		t.Errorf("a new guest is not known at once (-want +got):\n%s", diff)
	}
	// Many new ones at once make few Plans.
	plans := 0
	for i := range 100 {
		if seen(vm+frame.MAC(i)).Plan != nil {
			plans++
		}
	}
	r.run(fdbPublishGap)
	if plans > 1 || len(r.plan.Behind) != 100 {
		t.Errorf("%d Plans for 100 guests, %d known", plans, len(r.plan.Behind))
	}
	// Those that send are reported whenever the Plan asks for them; only the first does, and it stays all the time.
	for range 100 {
		r.run(10 * time.Second)
		if !slices.Contains(r.plan.Behind, vm) {
			t.Fatal("a guest that goes on sending was forgotten")
		}
		if slices.Contains(r.plan.Ageing, frame.StationOf(vm, 0)) {
			seen(vm)
		}
	}
	if diff := cmp.Diff([]frame.MAC{vm}, r.plan.Behind); diff != "" {
		t.Errorf("after their age (-want +got):\n%s", diff)
	}
	r.run(time.Hour)
	if len(r.plan.Behind) != 0 || !r.l.Deadline().IsZero() {
		t.Errorf("silent for an hour: %v, deadline %v", r.plan.Behind, r.l.Deadline())
	}
	// A guest cannot make us remember without end.
	for i := range 3 * maxStations {
		seen(vm + frame.MAC(i))
	}
	r.run(time.Second)
	if len(r.plan.Behind) != maxStations {
		t.Errorf("%d remembered, want %d", len(r.plan.Behind), maxStations)
	}
}

func TestLoopBehindIsForgottenInTime(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	r.link(1, true)
	r.do(FromDatapath{Control{Kind: ControlStation, Member: -1, Station: frame.StationOf(0x0200_0000_1000, 0)}})
	r.run(stationAge / 2)
	if len(r.plan.Behind) != 1 {
		t.Error("forgotten too early")
	}
	r.run(stationAge / 2)
	if len(r.plan.Behind) != 0 {
		t.Error("kept beyond its age")
	}
}

// says has the data path tell of a station.
func (r *rig) says(kind ControlKind, s frame.Station) Output {
	return r.do(FromDatapath{Control{Kind: kind, Member: -1, Station: s}})
}

// twoMembers is a rig whose active member is the first of two.
func twoMembers(t *testing.T) *rig {
	r := newRig(t, nil)
	for n := 1; n <= 2; n++ {
		r.join(n)
		r.link(n, true)
	}
	r.run(time.Second)
	return r
}

// A guest that was heard elsewhere is not claimed back by a failover, in the VLAN that it was heard in, and is
// announced again once it has sent from here again.
func TestGuestThatMovedIsNotClaimed(t *testing.T) {
	const vm = frame.MAC(0x0200_0000_1000)
	plain, in5, in7 := frame.StationOf(vm, 0), frame.StationOf(vm, 5), frame.StationOf(vm, 7)
	r := twoMembers(t)
	// A failover from the first to the second, and back again.
	announced := func() (all []frame.Station) {
		t.Helper()
		for n := 1; n <= 2; n++ {
			out := r.link(n, false)
			if out.Tell&modes.TellBehind == 0 {
				t.Fatal("no failover")
			}
			all = nil
			for _, b := range out.Stations {
				all = append(all, b.Station)
			}
			r.run(time.Second)
			r.link(n, true)
			r.run(time.Second)
		}
		return all
	}
	for _, s := range []frame.Station{plain, in5, in7} {
		r.says(ControlStation, s)
	}
	r.run(time.Second)
	if diff := cmp.Diff([]frame.Station{plain, in5, in7}, announced()); diff != "" {
		t.Errorf("at home (-want +got):\n%s", diff)
	}
	out := r.says(ControlStationMoved, in5)
	if out.Plan == nil || slices.Contains(out.Plan.Stations, in5) || !slices.Contains(out.Plan.Behind, vm) {
		t.Fatalf("one that moved away in a VLAN is not forgotten there at once: %+v", out.Plan)
	}
	if diff := cmp.Diff([]frame.Station{plain, in7}, announced()); diff != "" {
		t.Errorf("moved away in a VLAN (-want +got):\n%s", diff)
	}
	r.says(ControlStationMoved, plain)
	r.says(ControlStationMoved, in7)
	r.run(fdbPublishGap)
	if got := announced(); len(got) != 0 || len(r.plan.Behind) != 0 || r.plan.Promiscuous {
		t.Errorf("moved away, and %v announced, %v behind", got, r.plan.Behind)
	}
	if out := r.says(ControlStation, plain); out.Plan == nil || !slices.Contains(out.Plan.Behind, vm) {
		t.Fatal("one that came back is not known at once")
	}
	if diff := cmp.Diff([]frame.Station{plain}, announced()); diff != "" {
		t.Errorf("back (-want +got):\n%s", diff)
	}
}

// Who speaks from both sides, as a forger has it, does not have the table go to and fro.
func TestContestedGuest(t *testing.T) {
	s := frame.StationOf(0x0200_0000_1000, 0)
	r := twoMembers(t)
	const seconds = 100
	plans := 0
	for range seconds * 10 {
		for range 20 {
			for _, kind := range []ControlKind{ControlStationMoved, ControlStation} {
				if r.says(kind, s).Plan != nil {
					plans++
				}
			}
		}
		r.run(100 * time.Millisecond)
	}
	if most := 2*maxStationMoves*(seconds/int(stationMoveWindow/time.Second)+1) + 1; plans > most {
		t.Errorf("%d Plans in %d s, want %d at most", plans, seconds, most)
	}
	if !slices.Contains(r.plan.Stations, s) {
		t.Error("one that goes on sending is not known")
	}
	if len(r.l.fdb.moved) > 1 {
		t.Errorf("%d remembered as contested", len(r.l.fdb.moved))
	}
}

// What is remembered of guests is bounded, whatever they do.
func TestGuestsInManyVLANs(t *testing.T) {
	r := twoMembers(t)
	const vm = frame.MAC(0x0200_0000_1000)
	for round := range 3 {
		for v := range uint16(4094) {
			r.says(ControlStation, frame.StationOf(vm, v+1))
		}
		r.run(fdbPublishGap)
		if n := len(r.plan.Stations); n != maxVLANsPerMAC || len(r.plan.Behind) != 1 {
			t.Fatalf("round %d: one MAC has %d stations", round, n)
		}
		for _, s := range r.plan.Stations {
			r.says(ControlStationMoved, s)
		}
		r.run(stationMoveWindow)
		if n := len(r.plan.Stations) + len(r.l.fdb.vlans); n != 0 {
			t.Fatalf("round %d: %d are left", round, n)
		}
	}
	r.says(ControlStation, frame.StationOf(vm, 1))
	r.run(stationAge)
	if n := len(r.plan.Stations) + len(r.l.fdb.vlans); n != 0 {
		t.Errorf("%d are left after their age", n)
	}
}
