// SPDX-License-Identifier: MIT

package modes

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
	"nicteam/modes/spread"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A suspicion changes one word of elb's Plan, shares the rest with the Plan before, and sends nothing.
func TestELBSuspicion(t *testing.T) {
	st := elbState(3)
	st.Behind = stations(0, 0x020000000500, 0x020000000501)
	m := start(st)
	for i := range 6 {
		m.Handle(t0, Received{Member: -1, Frame: frametest.ARP(st.Adapter, frametest.Reply, 0x020000aa0000+frame.MAC(i),
			netip.MustParseAddr("10.9.0.1"), netip.AddrFrom4([4]byte{10, 9, 1, byte(i)}))})
	}
	peers := Peers(t0, m)
	before := m.Plan()
	for _, c := range []struct {
		suspects []int
		want     spread.MemberSet
	}{{[]int{0}, 0b001}, {[]int{0, 2}, 0b101}, {[]int{0, 1, 2}, 0}, {[]int{1}, 0b010}, {nil, 0}} {
		next := change(st, func(m []Member) {
			for _, id := range c.suspects {
				m[id].Suspect = true
			}
		})
		if eff := m.Handle(t0, next); len(eff.Send) > 0 || eff.Tell != 0 || eff.Active {
			t.Errorf("suspects %v: %+v", c.suspects, eff)
		}
		pl := m.Plan()
		if pl.Suspect != c.want {
			t.Errorf("suspects %v: %b in the Plan", c.suspects, pl.Suspect)
		}
		if pl.Shortest != before.Shortest || &pl.Pins[0] != &before.Pins[0] || &pl.TeamMACs[0] != &before.TeamMACs[0] {
			t.Errorf("suspects %v: all of the Plan is new", c.suspects)
		}
		rest := *pl
		rest.Suspect = before.Suspect
		if d := cmp.Diff(*before, rest); d != "" {
			t.Errorf("suspects %v: -was +is\n%s", c.suspects, d)
		}
		m.Handle(t0, next)
		if m.Plan() != pl {
			t.Errorf("suspects %v: the same again made another Plan", c.suspects)
		}
	}
	if d := cmp.Diff(peers, Peers(t0, m), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("peers, -was +is\n%s", d)
	}
	dead := change(st, func(m []Member) { m[0].Usable, m[1].Suspect = false, true })
	if eff := m.Handle(t0, dead); m.Plan().Active != 2 || m.Plan().Suspect != 0b010 {
		t.Errorf("%d is active, %b suspect: %+v", m.Plan().Active, m.Plan().Suspect, eff)
	}
}

// The short way of a suspicion leads to the Plan that all of the State makes.
func TestELBSuspicionIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := drawState(t)
		st.Settings.Kind, st.Settings.Balance = ELB, true
		long := st
		long.Members = slices.Clone(st.Members)
		for i := range st.Members {
			st.Members[i].Suspect = false
		}
		m := start(st)
		m.Handle(t0.Add(Overlap), Tick{})
		m.Handle(t0.Add(Overlap), long)
		again := m.(*elb).draft()
		m.(*elb).publish(again)
		if m.Plan() == again {
			t.Errorf("%+v", cmp.Diff(again, m.Plan()))
		}
	})
}

// Other modes keep their tables whatever is suspect.
func TestSuspicionMovesNoSlots(t *testing.T) {
	for _, kind := range []Kind{XOR, RoundRobin, Broadcast} {
		st := state(kind, 3)
		m := start(st)
		before := m.Plan()
		eff := m.Handle(t0, change(st, func(m []Member) { m[1].Suspect = true }))
		if m.Plan() != before || len(eff.Send) > 0 || eff.Tell != 0 || !m.Deadline().IsZero() {
			t.Errorf("%v: %+v, %+v", kind, eff, m.Plan())
		}
	}
}

// closedBy plays a return of member 1 that begins at begin, and returns what of its slots is closed by time after it.
func closedBy(m Mode, begin time.Time) map[time.Duration]uint8 {
	closed := map[time.Duration]uint8{}
	for now := begin; now.Sub(begin) <= 10*time.Second; now = now.Add(100 * time.Millisecond) {
		if d := m.Deadline(); !d.IsZero() && !now.Before(d) {
			m.Handle(now, Tick{})
		}
		if c := m.Plan().Shortest.Closed[1]; now == begin || c != closed[lastKey(closed)] {
			closed[now.Sub(begin)] = c
		}
	}
	return closed
}

func lastKey(m map[time.Duration]uint8) (last time.Duration) {
	for k := range m {
		last = max(last, k)
	}
	return last
}

// A member that failed gets its slots step by step, and its pins last.
func TestELBReturn(t *testing.T) {
	st := elbState(3)
	st.Behind = stations(0)
	for i := range 50 {
		st.Behind = append(st.Behind, stations(0, frame.MAC(0x020000000500+i))...)
	}
	m := start(st)
	pins := m.Plan().Pins
	if m.Plan().Shortest.Closed != [spread.MaxMembers]uint8{} {
		t.Error("at the beginning members return")
	}
	m.Handle(t0, change(st, func(m []Member) { m[1].Usable = false }))
	without := m.Plan().Pins
	eff := m.Handle(t0, st)
	if !slices.Equal(m.Plan().Pins, without) || eff.Tell != 0 {
		t.Errorf("MACs behind the adapter move at once: %+v", eff)
	}
	want := map[time.Duration]uint8{}
	for i := range 10 {
		want[time.Duration(i)*returnStep] = uint8(256 - 256*(i+1)/10)
	}
	if d := cmp.Diff(want, closedBy(m, t0)); d != "" {
		t.Errorf("closed, -want +got\n%s", d)
	}
	if !slices.Equal(m.Plan().Pins, pins) {
		t.Error("MACs behind the adapter do not come back")
	}
	if d := m.Deadline(); !d.IsZero() {
		t.Errorf("nothing is left to do, and the deadline is %v", d)
	}
}

// Who returns, and who gets all at once.
func TestELBWhoReturns(t *testing.T) {
	usable := func(id int, up bool) func(*State) {
		return func(st *State) { st.Members[id].Usable = up }
	}
	type step = func(*State)
	for _, c := range []struct {
		name    string
		begin   step
		steps   []step
		returns spread.MemberSet
	}{
		{"after a failure", nil, []step{usable(1, false), usable(1, true)}, 0b010},
		{"after two failures", nil, []step{usable(1, false), usable(1, true), usable(1, false), usable(1, true)},
			0b010},
		{"one of two that failed", nil, []step{usable(1, false), usable(2, false), usable(2, true)}, 0b100},
		{"the first time", usable(1, false), []step{usable(1, true)}, 0},
		{"nobody else is usable", usable(2, false), []step{usable(1, false), usable(0, false), usable(1, true)}, 0},
		{"all failed", nil, []step{usable(0, false), usable(1, false), usable(2, false), usable(1, true),
			usable(2, true)}, 0b100},
		{"the others fail while it returns", nil, []step{usable(1, false), usable(1, true), usable(0, false),
			usable(2, false)}, 0},
		{"the others leave while it returns", nil, []step{usable(1, false), usable(1, true), func(st *State) {
			st.Members[0].Draining, st.Members[2].Draining = true, true
		}}, 0},
		{"it leaves while it returns", nil, []step{usable(1, false), usable(1, true), func(st *State) {
			st.Members[1].Draining = true
		}}, 0},
		{"it was leaving", nil, []step{func(st *State) { st.Members[1].Draining = true }, usable(1, false),
			func(st *State) { st.Members[1].Draining = false }, usable(1, true)}, 0},
		{"opened anew after its failure", nil, []step{usable(1, false), func(st *State) {
			st.Vacant = []frame.MAC{st.Members[1].MAC}
			st.Members = slices.Delete(st.Members, 1, 2)
		}, func(st *State) { st.Vacant, st.Members = nil, elbState(3).Members }}, 0b010},
		{"opened anew", nil, []step{func(st *State) {
			st.Vacant = []frame.MAC{st.Members[1].MAC}
			st.Members = slices.Delete(st.Members, 1, 2)
		}, func(st *State) { st.Vacant, st.Members = nil, elbState(3).Members }}, 0},
		{"removed after its failure, and added again", nil, []step{usable(1, false), func(st *State) {
			st.Members = slices.Delete(st.Members, 1, 2)
		}, func(st *State) { st.Members = elbState(3).Members }}, 0},
		{"another NIC in its place", nil, []step{usable(1, false), func(st *State) {
			st.Members[1].Name, st.Members[1].MAC, st.Members[1].Usable = "eth7", 0x020000000077, true
		}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := elbState(3)
			if c.begin != nil {
				c.begin(&st)
			}
			m := start(st)
			for _, do := range c.steps {
				st.Members = slices.Clone(st.Members)
				do(&st)
				m.Handle(t0, st)
			}
			var got spread.MemberSet
			for id, closed := range m.Plan().Shortest.Closed {
				if closed > 0 {
					got = got.With(id)
				}
			}
			if got != c.returns {
				t.Errorf("%b return, want %b", got, c.returns)
			}
			if len(m.(*elb).returns.failed) > 3 || len(m.(*elb).returns.since) != c.returns.Len() {
				t.Errorf("%+v", m.(*elb).returns)
			}
		})
	}
}

// Members that come back together, as after the restart of a switch, return in the same steps.
func TestELBReturnTogether(t *testing.T) {
	st := elbState(4)
	m := start(st)
	both := change(st, func(m []Member) { m[1].Usable, m[2].Usable = false, false })
	m.Handle(t0, both)
	both = change(both, func(m []Member) { m[1].Usable = true })
	m.Handle(t0, both)
	m.Handle(t0.Add(returnStep-time.Millisecond), st)
	plans, last := 0, m.Plan()
	for now := t0.Add(returnStep); now.Sub(t0) < 10*time.Second; now = now.Add(10 * time.Millisecond) {
		if d := m.Deadline(); !d.IsZero() && !now.Before(d) {
			m.Handle(now, Tick{})
		}
		if m.Plan().Shortest.Closed != last.Shortest.Closed {
			plans, last = plans+1, m.Plan()
		}
	}
	if plans != returnSteps-1 {
		t.Errorf("%d steps, want %d", plans, returnSteps-1)
	}
}

// The next process goes on with a return.
func TestELBReturnSurvives(t *testing.T) {
	st := elbState(3)
	m := start(st)
	both := change(st, func(m []Member) { m[1].Usable, m[2].Usable = false, false })
	m.Handle(t0, both)
	st = change(both, func(m []Member) { m[1].Usable = true })
	m.Handle(t0, st)
	at := t0.Add(3*returnStep + time.Millisecond)
	m.Handle(at, Tick{})
	next, err := New(st.Settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := Resume(at, next, st, CheckpointOf(m)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(m.Plan(), next.Plan()); d != "" {
		t.Errorf("-was +is\n%s", d)
	}
	if !next.Deadline().Equal(m.Deadline()) {
		t.Errorf("deadline %v, was %v", next.Deadline(), m.Deadline())
	}
	next.Handle(at, change(st, func(m []Member) { m[2].Usable = true }))
	if c := next.Plan().Shortest.Closed; c[1] == 0 || c[2] == 0 {
		t.Errorf("closed %s", fmt.Sprint(c[:3]))
	}
}
