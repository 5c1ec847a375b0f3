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

// taught are the learning frames among sends: an address, and the member that showed it.
func taught(sends []spread.Send) map[frame.MAC]int {
	m := map[frame.MAC]int{}
	for _, s := range sends {
		var h frame.Headers
		if frame.Parse(s.Frame, &h); h.EtherType == frame.TypeRARP && h.Dst == frame.Broadcast {
			m[h.Src] = s.Member
		}
	}
	return m
}

// stations are MACs in a VLAN.
func stations(vlan uint16, macs ...frame.MAC) (all []frame.Station) {
	for _, m := range macs {
		all = append(all, frame.StationOf(m, vlan))
	}
	return all
}

// takers returns the members that accept frames for m.
func takers(pl *spread.Plan, st *State, m frame.MAC) (set spread.MemberSet) {
	for _, mem := range st.Members {
		if pl.Collecting.Has(mem.ID) && (mem.MAC == m || slices.Contains(pl.Filter[mem.ID], m)) {
			set = set.With(mem.ID)
		}
	}
	return set
}

func elbState(n int) State {
	st := state(ELB, n)
	st.Adapter = st.Members[0].MAC
	return st
}

func TestELBBegins(t *testing.T) {
	st := elbState(3)
	m, _ := New(st.Settings)
	eff := m.Handle(t0, st)
	pl := m.Plan()
	all := spread.MemberSet(0b111)
	if pl.Rule != spread.RuleShortest || !pl.PerMember || pl.Distributing != all || pl.Collecting != all ||
		pl.Multicast != 1 || pl.Active != 0 {
		t.Errorf("%+v", pl)
	}
	if eff.Tell != TellAll || !eff.Active {
		t.Errorf("%+v", eff)
	}
	want := map[frame.MAC]int{st.Members[0].MAC: 0, st.Members[1].MAC: 1, st.Members[2].MAC: 2}
	if d := cmp.Diff(want, taught(eff.Send)); d != "" {
		t.Errorf("learning frames, -want +got\n%s", d)
	}
	if eff := m.Handle(t0, st); len(eff.Send) > 0 || eff.Tell != 0 {
		t.Errorf("again: %+v", eff)
	}
}

func TestELBAdapterOfItsOwnMAC(t *testing.T) {
	st := elbState(3)
	st.Adapter = adapterMAC
	m := start(st)
	takes := takers(m.Plan(), &st, adapterMAC)
	if takes.Len() != 1 {
		t.Fatalf("taken in by %b, want one", takes)
	}
	was := takes.First()
	down := change(st, func(m []Member) { m[was].Usable = false })
	eff := m.Handle(t0, down)
	now := taught(eff.Send)[adapterMAC]
	if takes := takers(m.Plan(), &down, adapterMAC); !takes.Has(now) || now == was {
		t.Errorf("taught at %d, taken in by %b, was at %d", now, takes, was)
	}
}

// A member that joins is not usable for a moment. No peer sends to its MAC yet, so no frame is accepted twice by a
// switch that floods and is not known to.
func TestELBJoinerHasNoOverlap(t *testing.T) {
	st := elbState(3)
	joining := change(st, func(m []Member) { m[2].Usable = false })
	m, _ := New(joining.Settings)
	if home, ok := taught(m.Handle(t0, joining).Send)[st.Members[2].MAC]; ok {
		t.Errorf("its address was taught at %d before it came, a frame that can overtake its own", home)
	}
	m.Handle(t0, st)
	if got := takers(m.Plan(), &st, st.Members[2].MAC); got != 1<<2 {
		t.Errorf("taken in by %b", got)
	}
}

func TestELBHeir(t *testing.T) {
	st := elbState(4)
	m := start(st)
	dead := st.Members[2].MAC
	down := change(st, func(m []Member) { m[2].Usable = false })
	eff := m.Handle(t0, down)
	pl := m.Plan()
	if pl.Distributing != 0b1011 {
		t.Errorf("distributing %b", pl.Distributing)
	}
	heir, ok := taught(eff.Send)[dead]
	if !ok || len(eff.Send) != 1 || heir == 2 {
		t.Fatalf("learning frames %v", taught(eff.Send))
	}
	if eff.Tell&TellAddresses != 0 {
		t.Error("nobody needs a new address, and all were told")
	}
	// What came before the cut may still wait in the dead member's socket.
	if got := takers(pl, &down, dead); got != spread.MemberSet(0).With(2).With(heir) {
		t.Errorf("during the overlap taken in by %b", got)
	}
	if want := t0.Add(Overlap); !m.Deadline().Equal(want) {
		t.Errorf("deadline %v, want %v", m.Deadline(), want)
	}
	later := t0.Add(Overlap)
	m.Handle(later, Tick{})
	if got := takers(m.Plan(), &down, dead); got != spread.MemberSet(0).With(heir) {
		t.Errorf("after the overlap taken in by %b", got)
	}
	// It comes back and takes its address home.
	eff = m.Handle(later, st)
	if d := cmp.Diff(map[frame.MAC]int{dead: 2}, taught(eff.Send)); d != "" {
		t.Errorf("learning frames, -want +got\n%s", d)
	}
	if got := takers(m.Plan(), &st, dead); got != spread.MemberSet(0).With(2).With(heir) {
		t.Errorf("on its way home taken in by %b", got)
	}
	m.Handle(later.Add(Overlap), Tick{})
	if got := takers(m.Plan(), &st, dead); got != 1<<2 {
		t.Errorf("home again, taken in by %b", got)
	}
	// The switch's port may not have forwarded yet.
	var again []time.Duration
	for at := m.Deadline(); !at.IsZero(); at = m.Deadline() {
		if learning := taught(m.Handle(at, Tick{}).Send); len(learning) > 0 {
			again = append(again, at.Sub(later))
			if d := cmp.Diff(map[frame.MAC]int{dead: 2}, learning); d != "" {
				t.Errorf("learning frames %v later, -want +got\n%s", at.Sub(later), d)
			}
		}
		if at.Sub(later) > time.Minute {
			t.Fatal("there is no end of what is left to do")
		}
	}
	if d := cmp.Diff([]time.Duration{relearnFirst, relearnSecond}, again); d != "" {
		t.Errorf("learning frames later, -want +got\n%s", d)
	}
}

// While a dead member's NIC is opened again its adopter goes on accepting its MAC. When it is back with another MAC, no
// member accepts the old one, and the addresses are announced.
func TestELBHeirOfAVacantMember(t *testing.T) {
	st := elbState(3)
	m := start(st)
	dead := st.Members[2].MAC
	heir := taught(m.Handle(t0, change(st, func(m []Member) { m[2].Usable = false })).Send)[dead]
	m.Handle(t0.Add(Overlap), Tick{})
	vacant := st
	vacant.Members, vacant.Vacant = st.Members[:2], []frame.MAC{dead}
	eff := m.Handle(t0.Add(time.Second), vacant)
	pl := m.Plan()
	if got := takers(pl, &vacant, dead); got != spread.MemberSet(0).With(heir) || len(eff.Send) > 0 || eff.Tell != 0 {
		t.Errorf("taken in by %b, want %d; %+v", got, heir, eff)
	}
	if (pl.Collecting | pl.Distributing).Has(2) || len(pl.Filter[2]) > 0 || !slices.Contains(pl.TeamMACs, dead) {
		t.Errorf("%+v", pl)
	}
	eff = m.Handle(t0.Add(2*time.Second), change(st, func(m []Member) {
		m[2].MAC, m[2].Usable = 0x0200000000ee, false
	}))
	if eff.Tell&TellAddresses == 0 {
		t.Error("nobody takes in what is for the old address, and nobody is told")
	}
}

// Removing a member without a drain announces the addresses; after a drain that was done before.
func TestELBMemberTakenOut(t *testing.T) {
	for _, drain := range []bool{false, true} {
		st := elbState(3)
		m := start(st)
		if drain {
			if eff := m.Handle(t0, change(st, func(m []Member) { m[2].Draining = true })); eff.Tell&TellAddresses == 0 {
				t.Error("nobody was told of a drain")
			}
		}
		st.Members = st.Members[:2]
		if eff := m.Handle(t0.Add(time.Second), st); eff.Tell&TellAddresses != 0 == drain {
			t.Errorf("drain %v: told %b", drain, eff.Tell)
		}
	}
}

func TestELBFloodingSwitchHasNoOverlap(t *testing.T) {
	st := elbState(3)
	st.Flooding = true
	m := start(st)
	down := change(st, func(m []Member) { m[1].Usable = false })
	for i, next := range []State{down, st} {
		m.Handle(t0, next)
		for _, mem := range st.Members {
			if got := takers(m.Plan(), &next, mem.MAC); got.Len() != 1 {
				t.Errorf("step %d: %v is taken in by %b", i, mem.MAC, got)
			}
		}
	}
	// The next thing is a step of the return of who came home.
	if d := m.Deadline(); !d.Equal(t0.Add(returnStep)) {
		t.Errorf("deadline %v", d)
	}
}

func TestELBFollowsTheActiveMember(t *testing.T) {
	st := elbState(3)
	m := start(st)
	eff := m.Handle(t0, change(st, func(m []Member) { m[0].Usable = false }))
	if pl := m.Plan(); pl.Multicast != 1<<1 || pl.Active != 1 {
		t.Errorf("multicast %b, single %d", pl.Multicast, pl.Active)
	}
	if !eff.Active || eff.Tell != TellGroups || eff.Reason != "eth0 is not usable, eth1 is the first usable member" {
		t.Errorf("%+v", eff)
	}
	none := change(st, func(m []Member) { m[0].Usable, m[1].Usable, m[2].Usable = false, false, false })
	m.Handle(t0, none)
	if pl := m.Plan(); pl.Rule != spread.RuleNone || pl.Distributing != 0 {
		t.Errorf("%+v", pl)
	}
	if eff := m.Handle(t0, st); eff.Tell != TellAll {
		t.Errorf("back, and told %b", eff.Tell)
	}
}

// A Wi-Fi station accepts frames for its own MAC only.
func TestELBOwnMACIsNoHeir(t *testing.T) {
	st := change(elbState(3), func(m []Member) { m[1].OwnMAC, m[2].OwnMAC = true, true })
	st.Behind = stations(0, 0x020000000500, 0x020000000501, 0x020000000502, 0x020000000503)
	m := start(st)
	for _, b := range m.Plan().Behind {
		if got := m.Plan().Pin(b); got != 0 {
			t.Errorf("%v is pinned to %d", b, got)
		}
	}
	eff := m.Handle(t0, change(st, func(m []Member) { m[1].Usable = false }))
	if got := taught(eff.Send); got[st.Members[1].MAC] != 0 || eff.Tell&TellAddresses != 0 {
		t.Errorf("taught %v, told %b", got, eff.Tell)
	}
	// No member is left to adopt the MAC: the addresses are announced instead.
	down := change(st, func(m []Member) { m[0].Usable = false })
	m = start(st)
	eff = m.Handle(t0, down)
	if len(taught(eff.Send)) != 0 || eff.Tell&TellAddresses == 0 {
		t.Errorf("taught %v, told %b", taught(eff.Send), eff.Tell)
	}
	if eff := m.Handle(t0, down); eff.Tell != 0 {
		t.Errorf("told again: %b", eff.Tell)
	}
}

func TestELBDrain(t *testing.T) {
	st := elbState(3)
	m := start(st)
	drain := change(st, func(m []Member) { m[0].Draining = true })
	eff := m.Handle(t0, drain)
	pl := m.Plan()
	if pl.Distributing != 0b110 || !pl.Collecting.Has(0) || pl.Multicast != 1<<1 {
		t.Errorf("distributing %b, collecting %b, multicast %b", pl.Distributing, pl.Collecting, pl.Multicast)
	}
	if got := takers(pl, &drain, st.Adapter); got != 1 {
		t.Errorf("the leaver's address is taken in by %b", got)
	}
	if eff.Tell&TellAddresses == 0 {
		t.Error("hosts were not told another address than the leaver's")
	}
	// When it has gone its address is the adapter's only.
	left := drain
	left.Members = drain.Members[1:]
	eff = m.Handle(t0.Add(time.Second), left)
	if got := taught(eff.Send); len(got) != 1 || got[st.Adapter] == 0 {
		t.Errorf("taught %v", got)
	}
}

func TestELBAfterAnotherMode(t *testing.T) {
	st := elbState(3)
	st.Before = &spread.Plan{Collecting: 0b110}
	st.Before.Filter[2] = []frame.MAC{st.Adapter}
	m := start(st)
	if got := takers(m.Plan(), &st, st.Adapter); got != 0b101 {
		t.Errorf("taken in by %b", got)
	}
	m.Handle(t0.Add(Overlap), Tick{})
	if got := takers(m.Plan(), &st, st.Adapter); got != 1 {
		t.Errorf("after the overlap taken in by %b", got)
	}
}

func TestELBPinsBehind(t *testing.T) {
	st := elbState(3)
	m := start(st)
	for i := range 200 {
		st.Behind = append(st.Behind, stations(0, frame.MAC(0x020000000500+i))...)
	}
	eff := m.Handle(t0, st)
	if eff.Tell != 0 {
		t.Errorf("all pins are told of though none has moved: %+v", eff)
	}
	for mac, id := range taught(eff.Send) {
		if id == m.Plan().Active || id != m.Plan().Pin(mac) {
			t.Errorf("%v is taught by %d, pinned to %d", mac, id, m.Plan().Pin(mac))
		}
	}
	if again := m.Handle(t0, st); len(again.Send) > 0 {
		t.Errorf("pins are taught again: %+v", again)
	}
	var n [3]int
	before := map[frame.MAC]int{}
	for _, b := range m.Plan().Behind {
		before[b] = m.Plan().Pin(b)
		n[before[b]]++
	}
	for id, c := range n {
		if c < 40 {
			t.Errorf("member %d has %d of 200", id, c)
		}
	}
	if got := len(taught(eff.Send)); got != 200-n[m.Plan().Active] {
		t.Errorf("%d of %d pins taught", got, 200-n[m.Plan().Active])
	}
	eff = m.Handle(t0, change(st, func(m []Member) { m[1].Usable = false }))
	if eff.Tell&TellBehind == 0 {
		t.Error("switches were not told of the moved pins")
	}
	for b, was := range before {
		if is := m.Plan().Pin(b); was != 1 && is != was || is == 1 {
			t.Errorf("%v was pinned to %d and is to %d", b, was, is)
		}
	}
}

// Who is new in a VLAN is taught there, and once.
func TestELBTeachesInVLANs(t *testing.T) {
	st := elbState(3)
	m := start(st)
	mac := frame.MAC(0x020000000500)
	for m.Plan().Pin(mac) == m.Plan().Active {
		mac++
	}
	by := func(vlans ...uint16) (sends []spread.Send) {
		for _, v := range vlans {
			sends = append(sends, spread.Send{Member: m.Plan().Pin(mac), Frame: frame.RARP(mac, v)})
		}
		return sends
	}
	st.Behind = stations(7, mac)
	if diff := cmp.Diff(by(7), m.Handle(t0, st).Send); diff != "" {
		t.Errorf("new (-want +got):\n%s", diff)
	}
	st.Behind = []frame.Station{frame.StationOf(mac, 0), frame.StationOf(mac, 7),
		frame.StationOf(mac, 9|frame.ServiceTag)}
	if diff := cmp.Diff(by(0, 9|frame.ServiceTag), m.Handle(t0, st).Send); diff != "" {
		t.Errorf("in more VLANs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]frame.MAC{mac}, m.Plan().Behind); diff != "" {
		t.Errorf("the Plan's MACs (-want +got):\n%s", diff)
	}
}

// Guests whose member is back are announced once more: when it has returned, and they are pinned there again.
func TestELBAnnouncesGuestsThatComeHomeAgain(t *testing.T) {
	for _, guests := range []int{0, 1} {
		st := elbState(3)
		for i := range guests {
			st.Behind = append(st.Behind, stations(7, frame.MAC(0x020000000500+i))...)
		}
		m := start(st)
		m.Handle(t0, change(st, func(m []Member) { m[1].Usable = false }))
		m.Handle(t0, st)
		told := 0
		for now := t0; now.Before(t0.Add(time.Minute)); now = now.Add(100 * time.Millisecond) {
			if d := m.Deadline(); !d.IsZero() && !now.Before(d) {
				if m.Handle(now, Tick{}).Tell&TellBehind != 0 {
					told++
				}
			}
		}
		if told != guests {
			t.Errorf("%d guests were announced %d times more", guests, told)
		}
	}
}

// Whatever happens: one member accepts every MAC of ours, and another one besides only
// while an overlap runs; whoever may send is usable and stays.
func TestELBHomes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := elbState(1)
		st.Settings.Salt = rapid.Uint64().Draw(t, "salt")
		m, _ := New(st.Settings)
		now := t0
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			drawMembers(t, &st)
			if len(st.Members) > 0 && rapid.Bool().Draw(t, "keep") {
				st.Adapter = st.Members[0].MAC
			}
			st.Flooding = rapid.Bool().Draw(t, "flooding")
			eff := m.Handle(now, st)
			pl := m.Plan()
			usable, staying := sets(&st)
			if pl.Distributing&^staying != 0 || staying != 0 && pl.Distributing != staying {
				t.Fatalf("distributing %b, staying %b", pl.Distributing, staying)
			}
			for _, s := range eff.Send {
				if !usable.Has(s.Member) {
					t.Fatalf("a frame leaves by %d, which is not usable", s.Member)
				}
			}
			if pl.Multicast.Len() > 1 {
				t.Fatalf("multicast %b", pl.Multicast)
			}
			if staying == 0 {
				continue
			}
			if !st.Flooding {
				now = now.Add(Overlap)
				m.Handle(now, Tick{})
				pl = m.Plan()
			}
			for _, mem := range st.Members {
				if got := takers(pl, &st, mem.MAC); got.Len() != 1 || mem.Usable && got.First() != mem.ID {
					t.Fatalf("%v of member %d is taken in by %b, usable %b", mem.MAC, mem.ID, got, usable)
				}
			}
			if got := takers(pl, &st, st.Adapter); got.Len() != 1 {
				t.Fatalf("the adapter's is taken in by %b", got)
			}
			if d := m.Deadline(); !d.IsZero() && (d.Before(now) || d.After(now.Add(relearnSecond))) {
				t.Fatalf("deadline %v at %v", d, now)
			}
		}
		// An overlap ends, who came home is taught again twice, and who is back after a failure gets its part in steps.
		for range 3 + returnSteps {
			if d := m.Deadline(); !d.IsZero() {
				for _, s := range m.Handle(d, Tick{}).Send {
					if usable, _ := sets(&st); !usable.Has(s.Member) {
						t.Fatalf("a frame leaves by %d, which is not usable", s.Member)
					}
				}
			}
		}
		if d := m.Deadline(); !d.IsZero() {
			t.Fatalf("deadline %v with nothing to do", d)
		}
	})
}

// TestELBAsksWhomTheHostKnows: whoever has talked to the host before elb steers asks nothing and is asked nothing, so
// steering has the stack ask.
func TestELBAsksWhomTheHostKnows(t *testing.T) {
	st := elbState(2)
	m, _ := New(st.Settings)
	for _, tt := range []struct {
		name  string
		steer bool
		want  Tell
	}{{"begins without", false, TellAll}, {"turned on", true, TellAsk}, {"still on", true, 0}, {"off", false, 0},
		{"on again", true, TellAsk}} {
		st.Settings.ReceiveBalance = tt.steer
		if eff := m.Handle(t0, st); eff.Tell != tt.want {
			t.Errorf("%s: tells %b, want %b", tt.name, eff.Tell, tt.want)
		}
	}
	m, _ = New(st.Settings)
	if eff := m.Handle(t0, st); eff.Tell != TellAll|TellAsk {
		t.Errorf("begins with it: tells %b", eff.Tell)
	}
}
