// SPDX-License-Identifier: MIT

package relay

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/team"
)

func TestActivePlanLookups(t *testing.T) {
	u := NewActivePlan(&spread.Plan{TeamMACs: []frame.MAC{5, 1, 3}, Behind: []frame.MAC{2, 7}})
	for m := range frame.MAC(9) {
		if got, want := u.IsOwn(m), m == 1 || m == 3 || m == 5; got != want {
			t.Errorf("IsOwn(%d) = %v", m, got)
		}
		if got, want := u.isBehind(m), m == 2 || m == 7; got != want {
			t.Errorf("isBehind(%d) = %v", m, got)
		}
	}
}

const (
	behindMAC   = frame.MAC(0x0200000000dd)
	strangerMAC = frame.MAC(0x0200000000cc)
)

// perMember is the Plan of three members whose addresses are on the wire: the adapter's is at home with member 0, that
// of a dead fourth with member 1, stations behind are pinned to member 2, and groups are member 0's.
func perMember() *spread.Plan {
	pl := &spread.Plan{Rule: spread.RuleShortest, Adapter: adapterMAC, PerMember: true, Multicast: 1, Collecting: 7,
		Distributing: 7,
		TeamMACs:     []frame.MAC{adapterMAC, memberMAC(0), memberMAC(1), memberMAC(2), memberMAC(3), behindMAC},
		Behind:       []frame.MAC{behindMAC}, Promiscuous: true}
	for id := range 3 {
		pl.MACs[id] = memberMAC(id)
	}
	pl.Filter[0] = []frame.MAC{adapterMAC}
	pl.Filter[1] = []frame.MAC{memberMAC(3)}
	for range spread.SlotCount {
		pl.Pins = append(pl.Pins, 2)
	}
	return pl
}

func TestEachAddressIsAcceptedByOneMember(t *testing.T) {
	const nobody = -1
	for _, tt := range []struct {
		name   string
		dst    frame.MAC
		change func(pl *spread.Plan)
		by     int
		whose  Accepted
		astray bool // at members that it is not for
	}{
		{name: "adapter", dst: adapterMAC, by: 0, whose: ForUs, astray: true},
		{name: "member", dst: memberMAC(1), by: 1, whose: ForUs, astray: true},
		{name: "inherited", dst: memberMAC(3), by: 1, whose: ForUs, astray: true},
		{name: "behind", dst: behindMAC, by: 2, whose: ForOthers},
		{name: "behind, nobody pinned", dst: behindMAC, by: nobody, change: func(pl *spread.Plan) { pl.Pins = nil }},
		{name: "group", dst: frame.Broadcast, by: 0, whose: ForOthers},
		{name: "unknown", dst: strangerMAC, by: 0, whose: ForOthers},
		{name: "unknown, nobody behind", dst: strangerMAC, by: nobody, change: func(pl *spread.Plan) {
			pl.Promiscuous = false
		}},
		{name: "orphan", dst: memberMAC(3), by: nobody, astray: true, change: func(pl *spread.Plan) {
			pl.Filter[1] = nil
		}},
		{name: "of one that may not receive", dst: memberMAC(1), by: nobody, astray: true,
			change: func(pl *spread.Plan) { pl.Collecting = 5 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pl := perMember()
			if tt.change != nil {
				tt.change(pl)
			}
			u := NewActivePlan(pl)
			for id := range 3 {
				want := ForNobody
				if id == tt.by {
					want = tt.whose
				}
				if got, _ := u.Accept(id, tt.dst, false); got != want {
					t.Errorf("member %d: %v, want %v", id, got, want)
				}
				astray := tt.astray && tt.dst != memberMAC(id)
				if got := u.IsFlooded(id, tt.dst); id != tt.by && got != astray {
					t.Errorf("member %d: astray %v, want %v", id, got, astray)
				}
			}
		})
	}
}

// Where the members have no addresses of their own on the wire, all of them accept the adapter's.
func TestAcceptWithOneAddress(t *testing.T) {
	type verdict struct {
		Whose  Accepted
		Drop   team.Drop
		Astray bool
	}
	for _, tt := range []struct {
		name   string
		dst    frame.MAC
		change func(pl *spread.Plan)
		want   verdict
	}{
		{name: "adapter", dst: adapterMAC, want: verdict{Whose: ForUs}},
		{name: "own", dst: memberMAC(1), want: verdict{Whose: ForUs}},
		{name: "another member's", dst: memberMAC(2), want: verdict{Drop: team.DropNotOurs}},
		{name: "behind", dst: behindMAC, want: verdict{Whose: ForOthers}},
		{name: "unknown", dst: strangerMAC, want: verdict{Whose: ForOthers}},
		{name: "unknown, nobody behind", dst: strangerMAC, want: verdict{Drop: team.DropNotOurs},
			change: func(pl *spread.Plan) { pl.Promiscuous = false }},
		{name: "group", dst: frame.Broadcast, want: verdict{Whose: ForOthers}},
		{name: "group where not wanted", dst: frame.Broadcast, want: verdict{Drop: team.DropStandby},
			change: func(pl *spread.Plan) { pl.Multicast = 1 }},
		{name: "adapter, at a standby", dst: adapterMAC, want: verdict{Drop: team.DropStandby, Astray: true},
			change: func(pl *spread.Plan) { pl.Collecting = 1 }},
		{name: "own, at a standby", dst: memberMAC(1), want: verdict{Drop: team.DropStandby},
			change: func(pl *spread.Plan) { pl.Collecting = 1 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pl := perMember()
			pl.PerMember, pl.Multicast = false, pl.Collecting
			for id := range 3 {
				pl.Filter[id] = []frame.MAC{adapterMAC}
			}
			if tt.change != nil {
				tt.change(pl)
			}
			u := NewActivePlan(pl)
			var got verdict
			got.Whose, got.Drop = u.Accept(1, tt.dst, false)
			got.Astray = got.Whose == ForNobody && u.IsFlooded(1, tt.dst)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
