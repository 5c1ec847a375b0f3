// SPDX-License-Identifier: MIT

package modes

import (
	"strings"
	"testing"
	"time"

	"nicteam/modes/spread"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func abState(n int, f func(*Settings)) State {
	st := state(ActiveBackup, n)
	if f != nil {
		f(&st.Settings)
	}
	return st
}

func TestActiveBackupChooses(t *testing.T) {
	type step struct {
		do     func(*State)
		active int
		reason string // a part of it; "" no change
	}
	usable := func(id int, up bool) func(*State) {
		return func(st *State) { *st = change(*st, func(m []Member) { m[id].Usable = up }) }
	}
	doubt := func(id int, suspect bool) func(*State) {
		return func(st *State) { *st = change(*st, func(m []Member) { m[id].Suspect = suspect }) }
	}
	set := func(f func(*Settings)) func(*State) { return func(st *State) { f(&st.Settings) } }
	drain := func(id int) func(*State) {
		return func(st *State) { *st = change(*st, func(m []Member) { m[id].Draining = true }) }
	}
	primary := func(r Reselect) func(*Settings) {
		return func(s *Settings) { s.Primary, s.PrimaryReselect = "eth1", r }
	}
	for _, c := range []struct {
		name  string
		set   func(*Settings)
		steps []step
	}{
		{"in the order of ids, and no way back", nil, []step{
			{nil, 0, "eth0 is the first usable member"},
			{usable(0, false), 1, "eth0 is not usable, eth1 is the first usable member"},
			{usable(0, true), 1, ""},
			{usable(1, false), 0, "eth1 is not usable"},
			{usable(0, false), 2, "eth2 is the first"},
			{usable(2, false), -1, "eth2 is not usable, no member is usable"},
			{usable(2, false), -1, ""},
			{usable(2, true), 2, "eth2 is the first usable member"},
		}},
		{"primary always", primary(ReselectAlways), []step{
			{nil, 1, "eth1 is the primary"},
			{usable(1, false), 0, "eth1 is not usable"},
			{usable(1, true), 1, "the primary eth1 is usable"},
		}},
		{"primary on failure", primary(ReselectFailure), []step{
			{nil, 1, "eth1 is the primary"},
			{usable(1, false), 0, "eth1 is not usable"},
			{usable(1, true), 0, ""},
			{usable(0, false), 1, "eth0 is not usable, eth1 is the primary"},
		}},
		{"primary when better", primary(ReselectBetter), []step{
			{usable(1, false), 0, "first"},
			{usable(1, true), 0, ""},
			{func(st *State) { *st = change(*st, func(m []Member) { m[1].SpeedBps = 10 }) }, 1, "faster than eth0"},
		}},
		{"by hand", primary(ReselectAlways), []step{
			{nil, 1, "primary"},
			{set(func(s *Settings) { s.Active = "eth2" }), 2, "eth2 was chosen by hand"},
			{usable(2, false), 1, "eth2 is not usable, eth1 is the primary"},
			{usable(2, true), 2, "by hand"},
			{set(func(s *Settings) { s.Active = "" }), 1, "the primary eth1 is usable"},
			{set(func(s *Settings) { s.Active = "eth9" }), 1, ""},
		}},
		{"drain", nil, []step{
			{nil, 0, "first"},
			{drain(0), 1, "eth0 is leaving, eth1 is the first usable member"},
			{func(st *State) { st.Members = st.Members[1:] }, 1, ""},
			{func(st *State) { st.Members = st.Members[1:] }, 2, "eth1 has left, eth2"},
		}},
		{"another NIC under the same id", nil, []step{
			{nil, 0, "first"},
			{func(st *State) {
				*st = change(*st, func(m []Member) { m[0].Name, m[0].MAC = "eth7", 0x0200_0000_0077 })
			}, 0, "eth0 has left, eth7 is the first"},
		}},
		{"renamed", nil, []step{
			{nil, 0, "first"},
			{func(st *State) { *st = change(*st, func(m []Member) { m[0].Name = "eth7" }) }, 0, ""},
		}},
		{"suspect", primary(ReselectAlways), []step{
			{doubt(1, true), 0, "eth0 is the first usable member"},
			{doubt(0, true), 0, ""},
			{doubt(2, true), 0, ""},
			{doubt(1, false), 1, "the primary eth1 is usable"},
			{doubt(1, true), 1, ""},
			{usable(1, false), 0, "eth1 is not usable, eth0 is the first usable member"},
			{doubt(0, false), 0, ""},
			{set(func(s *Settings) { s.Active = "eth2" }), 0, ""},
			{doubt(2, false), 2, "by hand"},
			{doubt(2, true), 2, ""},
			{doubt(0, true), 2, ""},
			{usable(1, true), 2, ""},
			{usable(2, false), 1, "eth2 is not usable, eth1 is the primary"},
		}},
		{"suspect first", nil, []step{
			{doubt(0, true), 1, "eth1 is the first usable member that is not suspect"},
			{doubt(0, false), 1, ""},
		}},
		{"min_members", func(s *Settings) { s.MinMembers = 2 }, []step{
			{nil, 0, "first"},
			{usable(2, false), 0, ""},
			{usable(1, false), -1, "1 usable, min_members is 2"},
			{usable(1, true), 0, "first"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := abState(3, c.set)
			m, err := New(st.Settings)
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range c.steps {
				if s.do != nil {
					s.do(&st)
				}
				eff := m.Handle(t0.Add(time.Duration(i)*time.Second), st)
				pl := m.Plan()
				want := spread.MemberSet(0)
				if s.active >= 0 {
					want = want.With(s.active)
				}
				if pl.Distributing != want || s.active >= 0 && (pl.Rule != spread.RuleSingle ||
					pl.Active != s.active) || s.active < 0 && pl.Rule != spread.RuleNone {
					t.Errorf("step %d: distributing %b, single %d, want %d", i, pl.Distributing, pl.Active, s.active)
				}
				if eff.Active != (s.reason != "") || !strings.Contains(eff.Reason, s.reason) ||
					!eff.Active && eff.Reason != "" {
					t.Errorf("step %d: %+v, want reason %q", i, eff, s.reason)
				}
				if tell := eff.Tell == TellAll; tell != (eff.Active && s.active >= 0) {
					t.Errorf("step %d: announce %v", i, tell)
				}
			}
		})
	}
}

// After a planned change the old member receives unicast frames for a moment; group-addressed
// ones, which reach both, come by the new one only.
func TestOverlap(t *testing.T) {
	st := abState(3, nil)
	m := start(st)
	st.Settings.Active = "eth1"
	m.Handle(t0, st)
	pl := m.Plan()
	if pl.Collecting != 0b011 || pl.Multicast != 0b010 || pl.Distributing != 0b010 {
		t.Fatalf("collecting %b, multicast %b, distributing %b", pl.Collecting, pl.Multicast, pl.Distributing)
	}
	if got := m.Deadline(); got != t0.Add(Overlap) {
		t.Fatalf("deadline %v", got)
	}
	m.Handle(t0.Add(Overlap-1), Tick{})
	if m.Plan() != pl {
		t.Error("a tick before the deadline made another Plan")
	}
	m.Handle(t0.Add(Overlap), Tick{})
	if pl := m.Plan(); pl.Collecting != 0b010 || !m.Deadline().IsZero() {
		t.Errorf("after the overlap: collecting %b, deadline %v", pl.Collecting, m.Deadline())
	}
}

// Where every member took frames in before this mode came, the switch goes on for a moment to send by all of them.
func TestOverlapAfterAnotherMode(t *testing.T) {
	st := abState(3, nil)
	st.Before = &spread.Plan{Collecting: 0b111}
	m := start(st)
	if pl := m.Plan(); pl.Collecting != 0b111 || pl.Multicast != 0b001 || pl.Distributing != 0b001 ||
		m.Deadline() != t0.Add(Overlap) {
		t.Errorf("collecting %b, multicast %b, distributing %b, deadline %v", pl.Collecting, pl.Multicast,
			pl.Distributing, m.Deadline())
	}
	m.Handle(t0.Add(Overlap), Tick{})
	if pl := m.Plan(); pl.Collecting != 0b001 || !m.Deadline().IsZero() {
		t.Errorf("after the overlap: collecting %b, deadline %v", pl.Collecting, m.Deadline())
	}
}

// In elb one member accepts each MAC. The switch may have flooded unnoticed, so members in the overlap after it accept
// no more than they did.
func TestOverlapAfterELB(t *testing.T) {
	e := elbState(3)
	before := start(e).Plan()
	st := abState(3, func(s *Settings) { s.Primary = "eth1" })
	st.Adapter, st.Before = e.Adapter, before
	m := start(st)
	if got := takers(m.Plan(), &st, st.Adapter); got != 0b011 {
		t.Errorf("the adapter's address is taken in by %b, want its home and the active member", got)
	}
	if pl := m.Plan(); pl.Collecting != 0b111 {
		t.Errorf("collecting %b", pl.Collecting)
	}
	m.Handle(t0.Add(Overlap), Tick{})
	if got := takers(m.Plan(), &st, st.Adapter); got != 0b010 {
		t.Errorf("after the overlap taken in by %b", got)
	}
}

func TestOverlapIsSkipped(t *testing.T) {
	for _, c := range []struct {
		name string
		f    func(*State)
	}{
		{"on a flooding switch", func(st *State) { st.Settings.Active = "eth1"; st.Flooding = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := abState(2, nil)
			m := start(st)
			st = change(st, func([]Member) {})
			c.f(&st)
			m.Handle(t0, st)
			if pl := m.Plan(); pl.Collecting != 0b10 || !m.Deadline().IsZero() {
				t.Errorf("collecting %b, deadline %v", pl.Collecting, m.Deadline())
			}
		})
	}
	t.Run("flooding seen during it", func(t *testing.T) {
		st := abState(2, nil)
		m := start(st)
		st.Settings.Active = "eth1"
		m.Handle(t0, st)
		st.Flooding = true
		m.Handle(t0.Add(1), st)
		if pl := m.Plan(); pl.Collecting != 0b10 {
			t.Errorf("collecting %b", pl.Collecting)
		}
	})
	t.Run("not without link: what came before it was lost still waits in the socket", func(t *testing.T) {
		st := abState(2, nil)
		m := start(st)
		m.Handle(t0, change(st, func(m []Member) { m[0].Usable = false }))
		if pl := m.Plan(); pl.Collecting != 0b11 || pl.Multicast != 0b10 || pl.Distributing != 0b10 {
			t.Errorf("collecting %b, multicast %b, distributing %b", pl.Collecting, pl.Multicast, pl.Distributing)
		}
		m.Handle(t0.Add(Overlap), Tick{})
		if pl := m.Plan(); pl.Collecting != 0b10 {
			t.Errorf("after the overlap: collecting %b", pl.Collecting)
		}
	})
	t.Run("two changes in a row keep both", func(t *testing.T) {
		st := abState(3, nil)
		m := start(st)
		st.Settings.Active = "eth1"
		m.Handle(t0, st)
		st.Settings.Active = "eth2"
		m.Handle(t0.Add(1), st)
		if pl := m.Plan(); pl.Collecting != 0b111 || pl.Multicast != 0b100 {
			t.Errorf("collecting %b, multicast %b", pl.Collecting, pl.Multicast)
		}
	})
	t.Run("there and back", func(t *testing.T) {
		st := abState(2, nil)
		m := start(st)
		st.Settings.Active = "eth1"
		m.Handle(t0, st)
		st.Settings.Active = "eth0"
		m.Handle(t0.Add(Overlap/2), st)
		if pl := m.Plan(); pl.Collecting != 0b11 || pl.Multicast != 0b01 || m.Deadline() != t0.Add(Overlap/2+Overlap) {
			t.Errorf("collecting %b, multicast %b, deadline %v", pl.Collecting, pl.Multicast, m.Deadline())
		}
	})
}

// The member that was active receives through its whole drain, a standby one has nothing to receive.
func TestDrain(t *testing.T) {
	st := abState(3, nil)
	m := start(st)
	st = change(st, func(m []Member) { m[0].Draining = true; m[2].Draining = true })
	m.Handle(t0, st)
	if pl := m.Plan(); pl.Collecting != 0b011 || pl.Multicast != 0b010 || pl.Distributing != 0b010 ||
		!m.Deadline().IsZero() {
		t.Errorf("collecting %b, multicast %b, distributing %b, deadline %v", pl.Collecting, pl.Multicast,
			pl.Distributing, m.Deadline())
	}
	m.Handle(t0.Add(time.Hour), st)
	if pl := m.Plan(); pl.Collecting != 0b011 {
		t.Errorf("an hour later: collecting %b", pl.Collecting)
	}
	st.Members = st.Members[1:2]
	m.Handle(t0.Add(time.Hour), st)
	if pl := m.Plan(); pl.Collecting != 0b010 {
		t.Errorf("gone: collecting %b", pl.Collecting)
	}
}

func TestNext(t *testing.T) {
	for _, c := range []struct {
		name string
		f    func(*State)
		want int
	}{
		{"first", nil, 1},
		{"not usable ones are left out", func(st *State) { st.Members[1].Usable = false }, 2},
		{"draining ones too", func(st *State) { st.Members[1].Draining = true }, 2},
		{"the primary before the others", func(st *State) {
			st.Settings.Active, st.Settings.Primary = "eth0", "eth2"
		}, 2},
		{"nobody", func(st *State) { st.Members = st.Members[:1] }, -1},
		{"min_members", func(st *State) { st.Settings.MinMembers = 3 }, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := abState(3, nil)
			if c.f != nil {
				c.f(&st)
			}
			pl := start(st).Plan()
			if pl.Active != 0 || pl.Next != c.want {
				t.Errorf("active %d, next %d, want 0 and %d", pl.Active, pl.Next, c.want)
			}
		})
	}
}

// slowActive says who may be active after a State, from the rules as a user reads them.
func slowActive(st State, before int) int {
	may := map[string]Member{}
	for _, m := range st.Members {
		if m.Usable && !m.Draining {
			may[m.Name] = m
		}
	}
	if len(may) == 0 || len(may) < st.Settings.MinMembers {
		return -1
	}
	trusted := map[string]Member{}
	for name, m := range may {
		if !m.Suspect || m.ID == before {
			trusted[name] = m
		}
	}
	if len(trusted) == 0 {
		trusted = may
	}
	if m, ok := trusted[st.Settings.Active]; ok {
		return m.ID
	}
	p, primary := trusted[st.Settings.Primary]
	for _, m := range may {
		if m.ID == before {
			if primary && (st.Settings.PrimaryReselect == ReselectAlways ||
				st.Settings.PrimaryReselect == ReselectBetter && p.SpeedBps > m.SpeedBps) {
				return p.ID
			}
			return before
		}
	}
	if primary {
		return p.ID
	}
	first := spread.MaxMembers
	for _, m := range trusted {
		first = min(first, m.ID)
	}
	return first
}

// Any history of states and ticks: never more than one distributes, it is the one that the
// rules name, group-addressed frames come by it alone, nobody receives beside it for longer than
// the overlap or a drain, and what a Plan names is there.
func TestActiveBackupKeepsItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var st State
		st.Adapter = adapterMAC
		m := newActiveBackup()
		now, active, changed := t0, -1, t0
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 150).Draw(t, "ms")) * time.Millisecond)
			if d := m.Deadline(); !d.IsZero() && !now.Before(d) {
				m.Handle(now, Tick{})
			} else {
				drawMembers(t, &st)
				st.Settings = Settings{Kind: ActiveBackup,
					MinMembers: rapid.IntRange(0, 2).Draw(t, "min"),
					Primary:    rapid.SampledFrom([]string{"", "eth1", "eth2"}).Draw(t, "primary"),
					Active:     rapid.SampledFrom([]string{"", "", "eth0", "eth3"}).Draw(t, "by hand"),
				}
				st.Settings.PrimaryReselect = Reselect(rapid.IntRange(0, 2).Draw(t, "reselect"))
				st.Flooding = rapid.IntRange(0, 4).Draw(t, "flooding") == 0
				eff := m.Handle(now, st)
				want := slowActive(st, active)
				if eff.Active != (want != active) {
					t.Fatalf("active was %d, is to be %d: %+v", active, want, eff)
				}
				if eff.Active {
					changed = now
				}
				active = want
			}
			pl := m.Plan()
			var one, usable, draining spread.MemberSet
			if active >= 0 {
				one = one.With(active)
			}
			for _, m := range st.Members {
				if m.Usable {
					usable = usable.With(m.ID)
				}
				if m.Draining {
					draining = draining.With(m.ID)
				}
			}
			switch {
			case pl.Distributing != one, active >= 0 && pl.Active != active:
				t.Fatalf("distributing %b, active %d", pl.Distributing, active)
			case pl.Multicast != one:
				t.Fatalf("multicast %b, active %d", pl.Multicast, active)
			case pl.Collecting&one != one, pl.Distributing&^usable != 0:
				t.Fatalf("collecting %b, usable %b", pl.Collecting, usable)
			case !now.Before(changed.Add(Overlap)) && pl.Collecting&^one&^draining != 0:
				t.Fatalf("collecting %b, active %d, since %v", pl.Collecting, active, now.Sub(changed))
			case st.Flooding && pl.Collecting != one:
				t.Fatalf("collecting %b on a flooding switch", pl.Collecting)
			}
		}
	})
}

// A frame that the mode did not ask for changes nothing.
func TestReceivedIsIgnored(t *testing.T) {
	for _, kind := range []Kind{ActiveBackup, XOR, RoundRobin, Broadcast} {
		m := start(state(kind, 2))
		pl := m.Plan()
		eff := m.Handle(t0, Received{Member: 1, Frame: make([]byte, 60)})
		if d := cmp.Diff(Effects{}, eff); d != "" || m.Plan() != pl {
			t.Errorf("%v: %s", kind, d)
		}
		m.Handle(t0, Tick{})
		if m.Plan() != pl {
			t.Errorf("%v: a tick made another Plan", kind)
		}
	}
}
