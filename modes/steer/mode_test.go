// SPDX-License-Identifier: MIT

package steer

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
	"nicteam/modes/spread"
)

var t0 = time.Unix(1_000_000, 0)

const adapterMAC = frametest.Adapter

// State is what the mode of these tests plans by.
type State struct {
	Adapter  frame.MAC
	Members  []Member
	Settings struct {
		ReceiveBalance bool
		Rebalance      time.Duration
		Active         string
	}
}

// Member is a member of the team.
type Member struct {
	ID       int
	Name     string
	MAC      frame.MAC
	Usable   bool
	Draining bool
	Suspect  bool
	Closed   uint8
	Weight   float64
	SpeedBps uint64
}

// The other events of the mode.
type (
	Tick     struct{}
	Received struct {
		Member int // -1: the adapter sent it
		Frame  []byte
	}
	Measured struct {
		RxBytes *spread.RxBytes
		Flows   *spread.FlowTable
	}
	Announced   struct{}
	AddressLeft struct {
		IP   netip.Addr
		VLAN uint16
	}
	AddressHeld    AddressLeft
	AddressClaimed AddressLeft
)

func member(id int) Member {
	return Member{ID: id, Name: fmt.Sprintf("eth%d", id), MAC: 0x020000000000 + frame.MAC(id) + 1, Usable: true,
		Weight: 1}
}

// state returns n usable members.
func state(n int) State {
	st := State{Adapter: adapterMAC}
	for id := range n {
		st.Members = append(st.Members, member(id))
	}
	return st
}

// change returns st with some members changed; the original stays as it is.
func change(st State, f func(m []Member)) State {
	st.Members = slices.Clone(st.Members)
	f(st.Members)
	return st
}

// mode makes Plans as elb does: all usable members distribute, and one of them stays active as long as it is usable.
type mode struct {
	b      Balancer
	plan   *spread.Plan
	active int
}

func newMode() *mode { return &mode{active: -1} }

func (m *mode) Handle(now time.Time, ev any) []spread.Send {
	switch ev := ev.(type) {
	case State:
		m.replan(&ev)
		return m.b.Apply(now, m.plan, Settings{Balance: ev.Settings.ReceiveBalance, Rebalance: ev.Settings.Rebalance})
	case Tick:
		return m.b.Tick(now)
	case Received:
		if ev.Member < 0 {
			return m.b.Transmit(now, ev.Frame)
		}
		m.b.Receive(now, ev.Frame)
	case Measured:
		return m.b.Measure(now, ev.RxBytes, ev.Flows)
	case Announced:
		m.b.Announced(now)
	case AddressLeft:
		m.b.ForgetAddress(now, ev.VLAN, ev.IP)
	case AddressHeld:
		m.b.HaveAddress(ev.VLAN, ev.IP)
	case AddressClaimed:
		m.b.Unbind(ev.VLAN, ev.IP)
	}
	return nil
}

func (m *mode) Deadline() time.Time { return m.b.Deadline() }

func (m *mode) replan(st *State) {
	pl := &spread.Plan{Rule: spread.RuleShortest, PerMember: true, Shortest: &spread.Shortest{}, Adapter: st.Adapter,
		TeamMACs: []frame.MAC{st.Adapter}}
	most := 0.0
	for _, mem := range st.Members {
		pl.MACs[mem.ID] = mem.MAC
		pl.TeamMACs = append(pl.TeamMACs, mem.MAC)
		if mem.Usable && !mem.Draining {
			pl.Distributing = pl.Distributing.With(mem.ID)
			most = max(most, mem.Weight)
		}
	}
	slices.Sort(pl.TeamMACs)
	if !pl.Distributing.Has(m.active) {
		m.active = pl.Distributing.First()
	}
	for _, mem := range st.Members {
		if !pl.Distributing.Has(mem.ID) {
			continue
		}
		if mem.Name == st.Settings.Active {
			m.active = mem.ID
		}
		if mem.Suspect {
			pl.Suspect = pl.Suspect.With(mem.ID)
		}
		pl.Shortest.Closed[mem.ID] = mem.Closed
		pl.Weights[mem.ID] = uint32(math.Round(mem.Weight / most * spread.MaxShare))
		if pl.Shortest.Rates[mem.ID] = mem.SpeedBps; mem.SpeedBps == 0 {
			pl.Shortest.Rates[mem.ID] = 1e9
		}
	}
	pl.Pins = spread.AssignSlots(&pl.Weights)
	pl.Active = m.active
	m.plan = pl
}

// Peers lists the peers of a mode.
func Peers(now time.Time, m *mode) []Peer { return m.b.Peers(now) }
