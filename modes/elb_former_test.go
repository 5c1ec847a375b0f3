// SPDX-License-Identifier: MIT

package modes

import (
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
)

const otherMAC = frame.MAC(0x02000000ee01)

// renamed is a state in which a member's NIC has got another address.
func renamed(st State, id int, m frame.MAC) State {
	return change(st, func(list []Member) { list[id].MAC = m })
}

func TestELBFollowsANewMAC(t *testing.T) {
	st := elbState(3)
	m := start(st)
	before := st.Members[1].MAC
	next := renamed(st, 1, otherMAC)
	eff := m.Handle(t0, next)
	if got := taught(eff.Send); len(got) != 1 || got[otherMAC] != 1 {
		t.Errorf("learning frames %v, want one of the new address by member 1", got)
	}
	if eff.Tell&TellAddresses == 0 {
		t.Error("nobody is told where the adapter's addresses are")
	}
	if pl := m.Plan(); pl.MACs[1] != otherMAC {
		t.Errorf("the Plan has %v as member 1's address", pl.MACs[1])
	}
	for _, mac := range []frame.MAC{before, otherMAC} {
		if got := takers(m.Plan(), &next, mac); got != 1<<1 {
			t.Errorf("%v is taken in by %b, want by member 1", mac, got)
		}
	}
	// A member that dies leaves both to others.
	dead := change(next, func(list []Member) { list[1].Usable = false })
	m.Handle(t0, dead)
	m.Handle(t0.Add(Overlap), Tick{})
	for _, mac := range []frame.MAC{before, otherMAC} {
		if got := takers(m.Plan(), &dead, mac); got.Len() != 1 || got.Has(1) {
			t.Errorf("after its death %v is taken in by %b", mac, got)
		}
	}
	m.Handle(t0.Add(Overlap), next)
	m.Handle(t0.Add(2*Overlap), Tick{})

	if m.Deadline().After(t0.Add(formerTime)) {
		t.Errorf("the next deadline is %v", m.Deadline().Sub(t0))
	}
	m.Handle(t0.Add(formerTime), Tick{})
	if got := takers(m.Plan(), &next, before); got != 0 {
		t.Errorf("after %v the address from before is taken in by %b", formerTime, got)
	}
	if got := takers(m.Plan(), &next, otherMAC); got != 1<<1 {
		t.Errorf("after %v the new address is taken in by %b", formerTime, got)
	}
	if eff := m.Handle(t0.Add(formerTime), next); len(eff.Send) > 0 || eff.Tell != 0 {
		t.Errorf("and then somebody is told: %+v", eff)
	}
}

// The adapter's address stays where it was when the NIC that lent it gets another one, for good.
func TestELBDonorGetsAnotherMAC(t *testing.T) {
	st := elbState(3)
	m := start(st)
	next := renamed(st, 0, otherMAC)
	eff := m.Handle(t0, next)
	if _, moved := taught(eff.Send)[st.Adapter]; moved {
		t.Error("the adapter's address is taught anew, and is where it was")
	}
	for _, at := range []time.Time{t0, t0.Add(formerTime), t0.Add(10 * formerTime)} {
		m.Handle(at, Tick{})
		if got := takers(m.Plan(), &next, st.Adapter); got != 1 {
			t.Errorf("after %v the adapter's address is taken in by %b", at.Sub(t0), got)
		}
	}
}

// An address goes from one NIC to another, as when somebody swaps two: it is at home where it is now.
func TestELBSwappedMACs(t *testing.T) {
	st := elbState(3)
	m := start(st)
	a, b := st.Members[1].MAC, st.Members[2].MAC
	next := change(st, func(list []Member) { list[1].MAC, list[2].MAC = b, a })
	eff := m.Handle(t0, next)
	m.Handle(t0.Add(Overlap), Tick{})
	for mac, id := range map[frame.MAC]int{a: 2, b: 1} {
		if got := takers(m.Plan(), &next, mac); got != spread.MemberSet(0).With(id) || taught(eff.Send)[mac] != id {
			t.Errorf("%v is taken in by %b and taught by %d, want %d", mac, got, taught(eff.Send)[mac], id)
		}
	}
}

// A Wi-Fi NIC accepts its own MAC only: another member adopts its former one.
func TestELBFormerMACOfAWiFiNIC(t *testing.T) {
	st := change(elbState(3), func(list []Member) { list[1].OwnMAC = true })
	m := start(st)
	before := st.Members[1].MAC
	next := renamed(st, 1, otherMAC)
	eff := m.Handle(t0, next)
	got := takers(m.Plan(), &next, before)
	if got.Len() != 1 || got.Has(1) || !got.Has(taught(eff.Send)[before]) {
		t.Errorf("taken in by %b, taught %v", got, taught(eff.Send))
	}
}

func TestELBFormerMACsAreBounded(t *testing.T) {
	st := elbState(2)
	m := start(st)
	var last State
	for i := range 100 {
		last = renamed(st, 1, otherMAC+frame.MAC(i))
		m.Handle(t0.Add(time.Duration(i)*time.Millisecond), last)
	}
	m.Handle(t0.Add(time.Second), Tick{})
	if n := len(m.Plan().Filter[1]); n != maxFormer {
		t.Errorf("%d addresses from before are taken in, want %d", n, maxFormer)
	}
	m.Handle(t0.Add(time.Second), change(last, func(list []Member) { list[1].ID = 2 }))
	if n := len(m.(*elb).former); n != 0 {
		t.Errorf("%d are known of a member that has left", n)
	}
}

// Of two NICs with one address the one that can be used has it.
func TestELBTwins(t *testing.T) {
	st := elbState(3)
	twin := change(st, func(list []Member) { list[2].MAC, list[2].Usable = list[1].MAC, false })
	m := start(twin)
	mac := st.Members[1].MAC
	if got := takers(m.Plan(), &twin, mac); !got.Has(1) {
		t.Errorf("taken in by %b", got)
	}
	next := change(twin, func(list []Member) { list[1].Usable, list[2].Usable = false, true })
	eff := m.Handle(t0, next)
	m.Handle(t0.Add(Overlap), Tick{})
	if got := takers(m.Plan(), &next, mac); got != 1<<2 || taught(eff.Send)[mac] != 2 {
		t.Errorf("after the first has died taken in by %b, taught %v", got, taught(eff.Send))
	}
}

// Of former MACs of the same age the lowest goes first, not the one that a map yields first.
func TestFormerMACsOfOneMoment(t *testing.T) {
	for range 50 {
		f := formerMACs{}
		for m := range frame.MAC(maxFormer + 1) {
			f[m+1] = formerMAC{member: 1, until: t0}
		}
		f.bound(1)
		if _, ok := f[1]; ok || len(f) != maxFormer {
			t.Fatalf("%v stay, want all but the lowest", f)
		}
	}
}
