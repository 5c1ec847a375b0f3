// SPDX-License-Identifier: MIT

package modes

import (
	"slices"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	allNodes frame.MAC = 0x333300000001
	mdns     frame.MAC = 0x01005e0000fb
)

func TestGroupMembers(t *testing.T) {
	tests := []struct {
		name   string
		kind   Kind
		change func(*State)
		want   spread.MemberSet
	}{
		{name: "the active one and the next", kind: ActiveBackup, want: 0b011},
		{name: "the primary and the next", kind: ActiveBackup, change: func(st *State) {
			st.Settings.Primary = st.Members[2].Name
		}, want: 0b101},
		{name: "the primary that is down", kind: ActiveBackup, want: 0b111, change: func(st *State) {
			st.Settings.Primary, st.Members[2].Usable = st.Members[2].Name, false
		}},
		{name: "who is down stands by", kind: ActiveBackup, change: func(st *State) {
			st.Members[1].Usable = false
		}, want: 0b101},
		{name: "who leaves stands by", kind: ActiveBackup, change: func(st *State) {
			st.Members[1].Draining = true
		}, want: 0b101},
		{name: "anybody, where nobody is usable", kind: ActiveBackup, want: 0b111, change: func(st *State) {
			for i := range st.Members {
				st.Members[i].Usable = false
			}
		}},
		{name: "nobody may take over", kind: ActiveBackup, change: func(st *State) {
			st.Settings.MinMembers = 3
		}, want: 0b001},
		{name: "receives broadcasts, and next", kind: ELB, want: 0b011},
		{name: "nobody is usable", kind: ELB, want: 0b111, change: func(st *State) {
			for i := range st.Members {
				st.Members[i].Usable = false
			}
		}},
		{name: "the switch sends by any", kind: XOR, want: 0b111},
		{name: "the switch sends by any", kind: RoundRobin, want: 0b111},
		{name: "copies", kind: Broadcast, want: 0b111},
		{name: "any port may be agreed on", kind: LACP, want: 0b111},
	}
	for _, tt := range tests {
		t.Run(tt.kind.String()+": "+tt.name, func(t *testing.T) {
			st := state(tt.kind, 3)
			st.RxMode = spread.RxMode{Groups: []frame.MAC{mdns, allNodes}}
			if tt.change != nil {
				tt.change(&st)
			}
			pl := start(st).Plan()
			if pl.GroupMembers != tt.want || !slices.Equal(pl.Groups, st.RxMode.Groups) || pl.AllMulti ||
				pl.Promiscuous {
				t.Errorf("members %b, want %b; %v, all %v, promiscuous %v", pl.GroupMembers, tt.want, pl.Groups,
					pl.AllMulti, pl.Promiscuous)
			}
			st.RxMode.Groups[0] = 1
			if pl.Groups[0] == 1 {
				t.Error("the Plan shares memory with the state")
			}
		})
	}
}

func TestRxMode(t *testing.T) {
	many := make([]frame.MAC, spread.MaxGroups+1)
	for i := range many {
		many[i] = 0x01005e000000 + frame.MAC(i)
	}
	tests := []struct {
		name   string
		rx     spread.RxMode
		behind []frame.Station
		filter bool        // members filter VLANs
		want   spread.Plan // Groups, AllMulti, Promiscuous
	}{
		{name: "nothing"},
		{name: "list", rx: spread.RxMode{Groups: many[:spread.MaxGroups]},
			want: spread.Plan{Groups: many[:spread.MaxGroups]}},
		{name: "too long a list", rx: spread.RxMode{Groups: many}, want: spread.Plan{AllMulti: true}},
		{name: "allmulti", rx: spread.RxMode{Groups: many[:1], AllMulti: true}, want: spread.Plan{AllMulti: true}},
		{name: "promiscuous", rx: spread.RxMode{Promiscuous: true}, want: spread.Plan{Promiscuous: true}},
		{name: "VLANs", rx: spread.RxMode{VLANs: true}},
		{name: "VLANs on NICs that filter them", rx: spread.RxMode{VLANs: true}, filter: true,
			want: spread.Plan{Promiscuous: true}},
		{name: "none on NICs that filter VLANs", filter: true},
		{name: "guests", behind: []frame.Station{frame.StationOf(0x020000000500, 0)},
			want: spread.Plan{Promiscuous: true}},
	}
	for _, kind := range []Kind{ELB, ActiveBackup, XOR, RoundRobin, Broadcast, LACP} {
		for _, tt := range tests {
			t.Run(kind.String()+": "+tt.name, func(t *testing.T) {
				st := state(kind, 2)
				st.RxMode, st.Behind = tt.rx, tt.behind
				for i := range st.Members {
					st.Members[i].VLANFilter = tt.filter
				}
				pl := start(st).Plan()
				if d := cmp.Diff(tt.want, spread.Plan{Groups: pl.Groups, AllMulti: pl.AllMulti,
					Promiscuous: pl.Promiscuous}); d != "" {
					t.Errorf("-want +got\n%s", d)
				}
			})
		}
	}
}

// Whoever takes the place of a member that receives groups had them in its NIC's filter before, whatever happens to one
// member at a time.
func TestGroupsAreThereBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]Kind{ELB, ActiveBackup}).Draw(t, "kind")
		st := state(kind, rapid.IntRange(2, 6).Draw(t, "members"))
		st.Settings.Primary = rapid.SampledFrom([]string{"", st.Members[1].Name}).Draw(t, "primary")
		st.Settings.PrimaryReselect = rapid.SampledFrom([]Reselect{ReselectAlways, ReselectBetter,
			ReselectFailure}).Draw(t, "reselect")
		now := time.Unix(1, 0)
		m := start(st)
		for range rapid.IntRange(1, 12).Draw(t, "events") {
			was := m.Plan()
			i := rapid.IntRange(0, len(st.Members)-1).Draw(t, "member")
			st.Members = slices.Clone(st.Members)
			st.Members[i].Usable = !st.Members[i].Usable
			now = now.Add(time.Second)
			m.Handle(now, st)
			if pl := m.Plan(); pl.Multicast&^was.GroupMembers != 0 {
				t.Fatalf("%s usable %v: groups by %b, filtered in by %b before", st.Members[i].Name,
					st.Members[i].Usable, pl.Multicast, was.GroupMembers)
			}
		}
	})
}

// Two members of elb watch each other's MAC; none watches one that it has itself, or cannot accept.
func TestWatchedAddresses(t *testing.T) {
	tests := []struct {
		name   string
		kind   Kind
		change func(*State)
		want   map[int]int // member: whose address
	}{
		{name: "the active one and the next", kind: ELB, want: map[int]int{0: 1, 1: 0}},
		{name: "the next is dead", kind: ELB, change: func(st *State) {
			st.Members[1].Usable = false
		}, want: map[int]int{0: 2, 2: 0}},
		{name: "one is left", kind: ELB, change: func(st *State) {
			st.Members[1].Usable, st.Members[2].Usable = false, false
		}},
		{name: "one takes in its own only", kind: ELB, change: func(st *State) { st.Members[1].OwnMAC = true }},
		{name: "members stand by with the adapter's address anyway", kind: ActiveBackup},
		{name: "a switch that knows the team", kind: XOR},
	}
	for _, tt := range tests {
		t.Run(tt.kind.String()+": "+tt.name, func(t *testing.T) {
			st := state(tt.kind, 3)
			if tt.change != nil {
				tt.change(&st)
			}
			pl := start(st).Plan()
			for id := range st.Members {
				want := frame.MAC(0)
				if other, ok := tt.want[id]; ok {
					want = st.Members[other].MAC
				}
				if pl.Watched[id] != want {
					t.Errorf("member %d watches %v, want %v", id, pl.Watched[id], want)
				}
			}
		})
	}
}
