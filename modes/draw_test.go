// SPDX-License-Identifier: MIT

package modes

import (
	"fmt"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
	"nicteam/modes/spread"

	"pgregory.net/rapid"
)

var t0 = time.Unix(1_000_000, 0)

const adapterMAC = frametest.Adapter

// member returns a usable member.
func member(id int) Member {
	return Member{ID: id, Name: fmt.Sprintf("eth%d", id), MAC: 0x020000000000 + frame.MAC(id) + 1, Usable: true,
		Weight: 1}
}

// state returns n usable members.
func state(kind Kind, n int) State {
	st := State{Adapter: adapterMAC, Settings: Settings{Kind: kind, Balance: true, PacketsPerMember: 1, MinMembers: 1}}
	for id := range n {
		st.Members = append(st.Members, member(id))
	}
	return st
}

// change returns st with some members changed; the original stays as it is.
func change(st State, f func(m []Member)) State {
	st.Members = append([]Member(nil), st.Members...)
	f(st.Members)
	return st
}

func names(id int) string { return fmt.Sprintf("eth%d", id) }

// start returns the mode of the state's settings after it has seen the state.
func start(st State) Mode {
	m, err := New(st.Settings)
	if err != nil {
		panic(err)
	}
	m.Handle(t0, st)
	return m
}

// drawState draws a team of any shape.
func drawState(t *rapid.T) State {
	var st State
	st.Adapter = adapterMAC
	st.Settings = Settings{
		Kind:             rapid.SampledFrom([]Kind{ELB, RoundRobin, ActiveBackup, XOR, Broadcast}).Draw(t, "kind"),
		Balance:          rapid.Bool().Draw(t, "balance"),
		Hash:             rapid.SampledFrom(spread.HashPolicies()).Draw(t, "hash"),
		Salt:             rapid.Uint64().Draw(t, "salt"),
		MinMembers:       rapid.IntRange(0, 3).Draw(t, "min members"),
		PacketsPerMember: rapid.IntRange(0, 3).Draw(t, "packets"),
	}
	drawMembers(t, &st)
	return st
}

func drawMembers(t *rapid.T, st *State) {
	st.Members = nil
	for _, id := range rapid.SliceOfNDistinct(rapid.IntRange(0, spread.MaxMembers-1), 0, 6, rapid.ID).Draw(t, "ids") {
		m := member(id)
		m.Usable = rapid.IntRange(0, 3).Draw(t, "usable") > 0
		m.Suspect = rapid.IntRange(0, 3).Draw(t, "suspect") == 0
		m.Draining = rapid.IntRange(0, 5).Draw(t, "draining") == 0
		m.Weight = rapid.Float64Range(0.01, 100).Draw(t, "weight")
		m.SpeedBps = rapid.SampledFrom([]uint64{0, 1e9, 1e10}).Draw(t, "speed")
		st.Members = append(st.Members, m)
	}
	sortMembers(st.Members)
}

func sortMembers(m []Member) {
	for i := range m {
		for j := i; j > 0 && m[j].ID < m[j-1].ID; j-- {
			m[j], m[j-1] = m[j-1], m[j]
		}
	}
}

// moving returns the migration of a Plan, the zero value where no slot migrates.
func moving(pl *spread.Plan) spread.Migration {
	if m := pl.Migration(); m != nil {
		return *m
	}
	return spread.Migration{}
}

// slotsOf returns the members by slot, nil where a Plan has no slot table.
func slotsOf(pl *spread.Plan) []uint8 {
	if pl.Slots == nil {
		return nil
	}
	return pl.Slots.Members
}

// failer is a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Fatalf(string, ...any)
}
