// SPDX-License-Identifier: MIT

package modes

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

// wired is the mode 802.3ad with every member wired to a port of a switch, in virtual time. What crosses a wire
// arrives in order, a delay after it was sent.
type wired struct {
	t        failer
	now      time.Time
	m        Mode
	st       State
	switches []*lacp.System
	configs  []lacp.Config
	ports    [][]lacp.PortConfig
	at       [spread.MaxMembers]int // switch that a member's cable leads to, -1 none
	loop     map[int]int            // members by which what others send comes back to the team
	drop     func(id, to int) bool  // nil: nothing is lost. to is a switch, -1 for the team
	delay    time.Duration

	flying []flying
	sends  spread.MemberSet // by whom it does
	told   int
	active []string
	notes  []string
	said   []lacp.PDU // by the team
	asked  int        // markers by the team
}

type flying struct {
	at time.Time
	id int
	to int // switch, -1 team
	b  []byte
}

// wire makes a team of n members that are up, each wired to the first one of as many switches as it takes.
func wire(t failer, n, switches int, set func(*State)) *wired {
	w := &wired{t: t, now: t0, delay: 50 * time.Microsecond, st: state(LACP, n)}
	w.st.Settings.LACP = DefaultLACP()
	for i := range w.st.Members {
		w.st.Members[i].SpeedBps, w.st.Members[i].PortPriority = 1e9, DefaultPortPriority
	}
	if set != nil {
		set(&w.st)
	}
	m, err := New(w.st.Settings)
	if err != nil {
		t.Fatalf("%v", err)
	}
	w.m = m
	for k := range switches {
		w.configs = append(w.configs,
			lacp.Config{System: lacp.SystemID{Priority: 100, MAC: 0x02aa00000000 + frame.MAC(k)}, Fast: true})
		w.switches = append(w.switches, lacp.New(w.configs[k], nil))
		w.ports = append(w.ports, nil)
	}
	for i := range w.at {
		w.at[i] = -1
	}
	for _, mem := range w.st.Members {
		if switches > 0 {
			w.plug(mem.ID, 0)
		}
	}
	w.state(nil)
	return w
}

// plug leads a member's cable to a switch.
func (w *wired) plug(id, to int) {
	if was := w.at[id]; was >= 0 {
		w.ports[was] = slices.DeleteFunc(w.ports[was], func(p lacp.PortConfig) bool { return p.ID == id })
		w.configure(was)
	}
	if w.at[id] = to; to < 0 {
		return
	}
	m := find(&w.st, id)
	w.ports[to] = append(w.ports[to], lacp.PortConfig{ID: id, Name: fmt.Sprint("port", id), MAC: 0x02bb00000000 +
		frame.MAC(id), Number: uint16(id + 1), Priority: 1, Up: m != nil && m.Usable, SpeedBps: 1e9})
	slices.SortFunc(w.ports[to], func(a, b lacp.PortConfig) int { return a.ID - b.ID })
	w.configure(to)
}

func (w *wired) configure(k int) {
	w.fly(k, w.switches[k].Configure(w.now, w.configs[k], w.ports[k]))
}

// link gives a member's link a carrier or takes it, at both ends.
func (w *wired) link(id int, up bool) {
	if k := w.at[id]; k >= 0 {
		for i := range w.ports[k] {
			if w.ports[k][i].ID == id {
				w.ports[k][i].Up = up
			}
		}
		w.configure(k)
	}
	w.flying = slices.DeleteFunc(w.flying, func(f flying) bool { return f.id == id })
	w.state(func(st *State) { find(st, id).Usable = up })
}

// state hands the mode the State after a change.
func (w *wired) state(f func(*State)) {
	w.st = change(w.st, func([]Member) {})
	if f != nil {
		f(&w.st)
	}
	w.handle(w.st)
	w.st.Before, w.st.Memory = nil, nil
}

// leave takes a member out.
func (w *wired) leave(id int) {
	w.state(func(st *State) { st.Members = slices.DeleteFunc(st.Members, func(m Member) bool { return m.ID == id }) })
}

// drain has a member leave in order.
func (w *wired) drain(id int) { w.state(func(st *State) { find(st, id).Draining = true }) }

// handle hands the mode an event and looks whether what follows holds.
func (w *wired) handle(ev Event) {
	w.t.Helper()
	eff := w.m.Handle(w.now, ev)
	pl := w.m.Plan()
	check(w.t, pl)
	if w.sends = pl.Distributing; eff.Tell == TellAll {
		w.told++
	} else if eff.Tell != 0 {
		w.t.Fatalf("tells %b", eff.Tell)
	}
	if eff.Active {
		to := "none"
		if pl.Rule == spread.RuleSingle {
			to = names(pl.Active)
		}
		w.active = append(w.active, to+": "+eff.Reason)
	}
	for _, n := range eff.Notes {
		who := ""
		if n.Member >= 0 {
			who = " " + names(n.Member)
		}
		w.notes = append(w.notes, n.Event+who+": "+n.Reason)
	}
	for _, s := range eff.Send {
		if d, err := lacp.ParsePDU(s.Frame); err == nil {
			w.said = append(w.said, d)
			if _, ending := ev.(Ending); !ending {
				w.truth(pl, s.Member, d.Actor.State)
			}
		} else if m, err := lacp.ParseMarker(s.Frame); err == nil && !m.Response {
			w.asked++
		}
		if to, ok := w.loop[s.Member]; ok {
			w.flying = append(w.flying, flying{w.now.Add(w.delay), to, -1, s.Frame})
		}
		if k := w.at[s.Member]; k >= 0 && (w.drop == nil || !w.drop(s.Member, k)) {
			w.flying = append(w.flying, flying{w.now.Add(w.delay), s.Member, k, s.Frame})
		}
	}
	if _, ending := ev.(Ending); !ending {
		w.holds()
	}
}

// truth fails where a PDU says what the Plan does not have.
func (w *wired) truth(pl *spread.Plan, id int, s lacp.State) {
	w.t.Helper()
	alone := Agreed(w.m).Alone
	if s.Has(lacp.Collecting) && !pl.Collecting.Has(id) {
		w.t.Fatalf("%s says that it collects, and does not", names(id))
	}
	if !s.Has(lacp.Distributing) && pl.Distributing.Has(id) && id != alone && find(&w.st, id) != nil {
		w.t.Fatalf("%s says that it does not distribute, and does", names(id))
	}
}

// holds fails where the Plan is not what the protocol allows.
func (w *wired) holds() {
	w.t.Helper()
	g, pl := Agreed(w.m), w.m.Plan()
	for i := range g.Ports {
		p := &g.Ports[i]
		if pl.Distributing.Has(p.ID) && p.ID != g.Alone && !(p.Distributing() && p.Aggregator == g.Active) {
			w.t.Fatalf("%s distributes: aggregator %d of %d, %v, %q", names(p.ID), p.Aggregator, g.Active, p.Mux, p.Why)
		}
		if p.Collecting() && !pl.Collecting.Has(p.ID) {
			w.t.Fatalf("%s does not collect", names(p.ID))
		}
		if p.Collecting() && p.Aggregator == g.Active && !pl.Multicast.Has(p.ID) {
			w.t.Fatalf("%s does not take in what is for groups", names(p.ID))
		}
	}
	var there spread.MemberSet
	for _, m := range w.st.Members {
		there = there.With(m.ID)
	}
	if (pl.Collecting|pl.Distributing)&^there != 0 || pl.Multicast&^pl.Collecting != 0 {
		w.t.Fatalf("collecting %b, distributing %b, multicast %b of %b", pl.Collecting, pl.Distributing, pl.Multicast,
			there)
	}
}

// fly has what a switch wants sent be on its way.
func (w *wired) fly(k int, out lacp.Out) {
	for _, s := range out.Send {
		if w.at[s.Port] == k && (w.drop == nil || !w.drop(s.Port, -1)) {
			w.flying = append(w.flying, flying{w.now.Add(w.delay), s.Port, -1, s.Frame})
		}
	}
}

// run lets time pass.
func (w *wired) run(d time.Duration) { w.until(d, func() bool { return false }) }

// until lets time pass until something holds, and returns how much that was; d at most.
func (w *wired) until(d time.Duration, holds func() bool) time.Duration {
	w.t.Helper()
	begin, end := w.now, w.now.Add(d)
	for n := 0; !holds(); n++ {
		if n > 200_000 {
			w.t.Fatalf("it does not come to rest")
		}
		next, who := end.Add(1), -3
		if len(w.flying) > 0 && !w.flying[0].at.After(next) {
			next, who = w.flying[0].at, -2
		}
		if t := w.m.Deadline(); !t.IsZero() && t.Before(next) {
			next, who = t, -1
		}
		for k, s := range w.switches {
			if t := s.Deadline(); !t.IsZero() && t.Before(next) {
				next, who = t, k
			}
		}
		if who != -3 && next.After(w.now) {
			w.now = next
		}
		switch who {
		case -3:
			w.now = end
			return w.now.Sub(begin)
		case -2:
			f := w.flying[0]
			w.flying = w.flying[1:]
			switch {
			case f.to >= 0:
				w.fly(f.to, w.switches[f.to].Receive(w.now, f.id, f.b))
			case find(&w.st, f.id) != nil:
				w.handle(Received{Member: f.id, Frame: f.b})
			}
		case -1:
			w.handle(Tick{})
		default:
			w.fly(who, w.switches[who].Tick(w.now))
		}
	}
	return w.now.Sub(begin)
}

// sent reports whether exactly these members distribute.
func (w *wired) sent(ids ...int) func() bool {
	var set spread.MemberSet
	for _, id := range ids {
		set = set.With(id)
	}
	return func() bool { return w.m.Plan().Distributing == set }
}

// want fails unless exactly these members distribute within a time.
func (w *wired) want(d time.Duration, ids ...int) time.Duration {
	w.t.Helper()
	took := w.until(d, w.sent(ids...))
	if !w.sent(ids...)() {
		w.t.Fatalf("after %v %b distribute, want %v; %s", d, w.m.Plan().Distributing, ids, w.words())
	}
	return took
}

// words say what every port is at.
func (w *wired) words() string {
	var out []string
	for _, p := range Agreed(w.m).Ports {
		out = append(out, fmt.Sprintf("%s: %v %v %q", names(p.ID), p.Receive, p.Mux, p.Why))
	}
	return strings.Join(out, ", ")
}

// noted fails unless one of the lines has all the words.
func noted(t failer, lines []string, words ...string) {
	t.Helper()
	if !slices.ContainsFunc(lines, func(l string) bool {
		return !slices.ContainsFunc(words, func(s string) bool { return !strings.Contains(l, s) })
	}) {
		t.Fatalf("no line has %q:\n%s", words, strings.Join(lines, "\n"))
	}
}
