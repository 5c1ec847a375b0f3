// SPDX-License-Identifier: MIT

package team

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// agreed is a mode that agrees what a test says.
type agreed struct {
	modes.Mode // of which it has what makes it one

	states   []modes.State
	ended    int
	effects  modes.Effects // of the next event, once
	plan     *spread.Plan
	agree    *modes.Agreement
	deadline time.Time
}

func (a *agreed) Handle(_ time.Time, ev modes.Event) modes.Effects {
	eff := a.effects
	a.effects = modes.Effects{}
	switch ev := ev.(type) {
	case modes.State:
		a.states = append(a.states, ev)
	case modes.Ending:
		a.ended++
		eff.Send = append(eff.Send, spread.Send{Member: 0, Frame: []byte("farewell")})
	}
	return eff
}

func (a *agreed) Plan() *spread.Plan  { return a.plan }
func (a *agreed) Deadline() time.Time { return a.deadline }

// lacpRig is a team in 802.3ad whose mode is a fake one; every mode that it is given is in modes.
type lacpRig struct {
	*rig
	modes []*agreed
}

func newLACPRig(t testing.TB, memory *lacp.Memory, change func(*settings.Config)) *lacpRig {
	t.Helper()
	c := settings.DefaultConfig()
	c.Team, c.Mode, c.LinkWatch = "team0", modes.LACP, []string{"carrier"}
	if change != nil {
		change(&c)
	}
	g := &lacpRig{}
	l, err := NewLoop(c, LoopOptions{Adapter: adapterMAC, Memory: memory,
		NewMode: func(s modes.Settings) (modes.Mode, error) {
			if s.Kind == modes.Broadcast {
				return nil, errors.New("not today")
			}
			m := &agreed{plan: &spread.Plan{Active: -1, Next: -1}}
			if s.Kind == modes.LACP {
				m.agree = &modes.Agreement{Alone: -1}
			}
			g.modes = append(g.modes, m)
			return m, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	l.agreementOf = func(m modes.Mode) *modes.Agreement { return m.(*agreed).agree }
	g.rig = &rig{t: t, l: l, now: time.Unix(1_700_000_000, 0)}
	return g
}

// last is the mode in force.
func (g *lacpRig) last() *agreed { return g.modes[len(g.modes)-1] }

// working is a port that distributes.
func working(id int) lacp.PortStatus {
	healthy := lacp.Activity | lacp.Aggregation | lacp.Synchronization | lacp.Collecting | lacp.Distributing
	return lacp.PortStatus{ID: id, Aggregator: 1, Selected: lacp.InUse, Receive: lacp.ReceiveCurrent,
		Periodic: lacp.PeriodicSlow, Mux: lacp.MuxDistributing, Heard: true,
		ActorChurn: lacp.NoChurn, PartnerChurn: lacp.NoChurn,
		Actor: lacp.Info{System: lacp.SystemID{Priority: 65535, MAC: adapterMAC}, Key: 9, PortPriority: 255,
			Port: uint16(id + 1), State: healthy},
		Partner: lacp.Info{System: lacp.SystemID{Priority: 100, MAC: 0x0200_0000_00bb}, Key: 21, PortPriority: 1,
			Port: uint16(id + 11), State: healthy | lacp.ShortTimeout},
		Counters: lacp.Counters{PDUsIn: 5, PDUsOut: 6, MarkersIn: 1, MarkersOut: 2, Bad: 3}}
}

// agrees has the mode in force agree this with as many ports, of which those in set may send.
func (g *lacpRig) agrees(set spread.MemberSet, ports ...lacp.PortStatus) {
	a := &modes.Agreement{Alone: -1}
	a.System, a.Ports = lacp.SystemID{Priority: 65535, MAC: adapterMAC}, ports
	if set != 0 {
		a.Active, a.Key, a.Partner = 1, 9, ports[set.First()].Partner
	}
	a.Memory = lacp.Memory{System: a.System}
	for _, p := range ports {
		a.Memory.Ports = append(a.Memory.Ports, lacp.PortMemory{Name: fmt.Sprintf("eth%d", p.ID+1),
			Number: uint16(p.ID + 1), Mux: p.Mux, Heard: p.Heard})
	}
	m := g.last()
	m.agree = a
	m.plan = &spread.Plan{Rule: spread.RuleSlots, Active: -1, Next: -1, Distributing: set, Collecting: set,
		Multicast: set}
	if set == 0 {
		m.plan.Rule = spread.RuleNone
	}
}

// two has eth1 and eth2 join with a link and agree.
func (g *lacpRig) two() {
	for n := 1; n <= 2; n++ {
		g.join(n)
		g.link(n, true)
	}
	g.agrees(3, working(0), working(1))
	g.do(Tick{})
	g.events()
}

// silent is a port that waits for a partner.
func silent(id int) lacp.PortStatus {
	p := working(id)
	p.Selected, p.Mux, p.Receive, p.Heard, p.Why = lacp.Unselected, lacp.MuxDetached, lacp.ReceiveDefaulted,
		false, "nobody answers"
	p.Partner = lacp.Info{State: lacp.ShortTimeout}
	p.Actor.State = lacp.Activity | lacp.Aggregation | lacp.Defaulted
	return p
}

// standing is a port of an aggregator that stands by.
func standing(id int) lacp.PortStatus {
	p := working(id)
	p.Aggregator, p.Selected, p.Mux, p.Why = 2, lacp.Standby, lacp.MuxAttached, "aggregator 2 stands by"
	return p
}

// TestStateOfPorts: a member that has a link and stays is at fault when it neither sends nor stands by; one that could
// take over at once is not.
func TestStateOfPorts(t *testing.T) {
	attached := working(1)
	attached.Mux, attached.Why = lacp.MuxAttached, "partner not in sync"
	loop := func(id int) lacp.PortStatus {
		p := silent(id)
		p.Looped, p.Why = true, "hears its own system"
		return p
	}
	alone := func(g *lacpRig) {
		g.last().agree.Alone, g.last().plan.Rule, g.last().plan.Active = 0, spread.RuleSingle, 0
	}
	half := standing(1)
	half.Why = "half duplex: LACP cannot use it"
	for _, tt := range []struct {
		name          string
		set           spread.MemberSet
		one, two      lacp.PortStatus
		change        func(g *lacpRig)
		state, reason string // of the team
		word, why     string // of eth2
		warnings      []string
	}{
		{name: "both work", set: 3, one: working(0), two: working(1), state: "up", word: "up"},
		{name: "one stands by", set: 1, one: working(0), two: standing(1), state: "up", word: "standby",
			why: "aggregator 2 stands by"},
		{name: "nobody answers one", set: 1, one: working(0), two: silent(1), state: "degraded",
			reason: "eth2: nobody answers", word: "down", why: "nobody answers"},
		{name: "not in sync", set: 1, one: working(0), two: attached, state: "degraded",
			reason: "eth2: partner not in sync", word: "down", why: "partner not in sync"},
		{name: "half duplex", set: 1, one: working(0), two: half, state: "degraded",
			reason: "eth2: half duplex: LACP cannot use it", word: "down", why: "half duplex: LACP cannot use it",
			change: func(g *lacpRig) {
				g.do(LinkChanged{monitor.LinkState{Index: 12, Up: true, At: g.now,
					Link: monitor.Link{Carrier: true, Duplex: "half"}}})
			}},
		{name: "nobody answers", one: silent(0), two: silent(1), state: "down",
			reason: "eth1: nobody answers; eth2: nobody answers", word: "down", why: "nobody answers"},
		{name: "one works alone", set: 1, one: silent(0), two: silent(1), state: "degraded",
			reason: "eth1: nobody answers; no LACPDU has come", word: "standby", why: "nobody answers",
			warnings: []string{"no LACPDU has come"},
			change: func(g *lacpRig) {
				a := g.last().agree
				a.Alone, a.Hints = 0, []string{"no LACPDU has come"}
				g.last().plan.Rule, g.last().plan.Active = spread.RuleSingle, 0
			}},
		{name: "a loop", set: 1, one: silent(0), two: loop(1), change: alone, state: "degraded",
			reason: "eth1: nobody answers; eth2: hears its own system", word: "down", why: "hears its own system"},
		{name: "both hear themselves", set: 1, one: loop(0), two: loop(1), change: alone, state: "degraded",
			reason: "eth1: hears its own system", word: "standby", why: "hears its own system"},
		{name: "a hint", set: 3, one: working(0), two: working(1), state: "degraded", reason: "one; other", word: "up",
			warnings: []string{"one", "other"},
			change:   func(g *lacpRig) { g.last().agree.Hints = []string{"one", "other"} }},
		{name: "no carrier", set: 1, one: working(0), two: silent(1), state: "degraded", reason: "eth2: carrier lost",
			word: "down", why: "carrier lost",
			change: func(g *lacpRig) { g.link(2, false) }},
		{name: "leaves", set: 1, one: working(0), two: attached, state: "up", word: "draining", why: "leaves the team",
			change: func(g *lacpRig) { g.do(Drain{Name: "eth2"}) }},
		{name: "too few agree", one: working(0), two: silent(1), state: "down",
			reason: "1 of 2 members agreed with their partner, min_members is 2", word: "down", why: "nobody answers",
			change: func(g *lacpRig) { g.l.cfg.MinMembers = 2 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newLACPRig(t, nil, nil)
			g.two()
			g.agrees(tt.set, tt.one, tt.two)
			if tt.change != nil {
				tt.change(g)
			}
			g.do(Tick{})
			s := g.l.Status()
			if s.State != tt.state || s.Reason != tt.reason {
				t.Errorf("team %s (%s), want %s (%s)", s.State, s.Reason, tt.state, tt.reason)
			}
			if active := map[bool]string{true: "eth1"}[g.last().agree.Alone == 0]; s.Active != active {
				t.Errorf("active is %q, want %q", s.Active, active)
			}
			if m := s.Members[1]; m.State != tt.word || m.Reason != tt.why {
				t.Errorf("eth2 %s (%s), want %s (%s)", m.State, m.Reason, tt.word, tt.why)
			}
			if d := cmp.Diff(append([]string{}, tt.warnings...), s.Warnings); d != "" {
				t.Errorf("warnings (-want +got):\n%s", d)
			}
			g.agrees(3, working(0), working(1))
			if g.do(Tick{}); len(g.l.Status().Warnings) != 0 {
				t.Errorf("warnings stand that no hint is for: %q", g.l.Status().Warnings)
			}
		})
	}
}

func TestLACPStatusGolden(t *testing.T) {
	g := newLACPRig(t, nil, func(c *settings.Config) {
		c.LACP.Fast, c.LACP.System, c.LACP.Select = true, 0x0200_0000_00aa, lacp.Count
	})
	g.two()
	g.agrees(1, working(0), silent(1))
	g.do(Tick{})
	s := g.l.Status()
	s.Since = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	golden(t, "lacp.json", s)

	var doc map[string]any
	b, _ := json.Marshal(s)
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	of := doc["lacp"].(map[string]any)
	wantKeys(t, of, "aggregator actor partner")
	wantKeys(t, of["actor"].(map[string]any), "system system_priority key")
	member := doc["members"].([]any)[0].(map[string]any)["lacp"].(map[string]any)
	wantKeys(t, member, "actor partner aggregator receive periodic mux counters")
	wantKeys(t, member["partner"].(map[string]any), "system system_priority key port port_priority state")
	wantKeys(t, member["counters"].(map[string]any), "lacpdu_rx lacpdu_tx marker_rx marker_tx bad")

	g.do(Change{Config: func() settings.Config { c := g.l.Config(); c.Mode = modes.XOR; return c }()})
	if b, _ := json.Marshal(g.l.Status()); strings.Contains(string(b), `"lacp":`) {
		t.Errorf("another mode tells of LACP: %s", b)
	}
}

// TestMembersAsLACPKnowsThem: the mode hears of duplex, priority and speed, and of each change of them.
func TestMembersAsLACPKnowsThem(t *testing.T) {
	g := newLACPRig(t, nil, func(c *settings.Config) {
		c.Members = []settings.MemberConfig{{Name: "eth1", Weight: 1, PortPriority: 7}}
	})
	g.two()
	seen := func() []modes.Member { s := g.last().states; return s[len(s)-1].Members }
	if m := seen(); m[0].PortPriority != 7 || m[1].PortPriority != modes.DefaultPortPriority || m[0].HalfDuplex {
		t.Errorf("%+v", m)
	}
	n := len(g.last().states)
	report := func(speed uint64, duplex string) {
		g.do(LinkChanged{monitor.LinkState{Index: 11, Up: true, At: g.now,
			Link: monitor.Link{Exists: true, AdminUp: true, Carrier: true, SpeedBps: speed, Duplex: duplex}}})
	}
	report(1e9, "half")
	if m := seen(); len(g.last().states) != n+1 || !m[0].HalfDuplex {
		t.Errorf("duplex changed: %d states, %+v", len(g.last().states)-n, m[0])
	}
	report(1e8, "half")
	report(1e8, "half")
	if m := seen(); len(g.last().states) != n+2 || m[0].SpeedBps != 1e8 {
		t.Errorf("speed changed: %d states, %+v", len(g.last().states)-n, m[0])
	}
	g.events()
	c := g.l.Config()
	c.Members[1].PortPriority, c.LACP.Fast = 1, true
	g.do(Change{Config: c})
	g.wantEvents("a change", "setting-changed: lacp_rate=fast, was slow",
		"setting-changed eth2: port_priority=1, was 255")
	if m := seen(); m[1].PortPriority != 1 || !g.last().states[len(g.last().states)-1].Settings.LACP.Fast {
		t.Errorf("after the change: %+v", m)
	}
	if d := cmp.Diff(c.Members, g.l.Config().Members); d != "" {
		t.Errorf("configuration (-want +got):\n%s", d)
	}
}

func TestNotesAreEvents(t *testing.T) {
	g := newLACPRig(t, nil, nil)
	g.two()
	g.last().effects = modes.Effects{Notes: []modes.Note{
		{Event: "partner-changed", Member: 1, Reason: "it fell silent"},
		{Event: "aggregator-changed", Member: -1, Reason: "2 instead of 1"}}}
	g.do(FromDatapath{Control{Kind: ControlFrame, Member: 1, Frame: []byte("PDU")}})
	g.wantEvents("notes", "partner-changed eth2: it fell silent", "aggregator-changed: 2 instead of 1")
}

// TestFarewell: another mode in the place of 802.3ad is a farewell, balance off is none; refused changes are nothing.
func TestFarewell(t *testing.T) {
	g := newLACPRig(t, nil, nil)
	g.two()
	set := func(change func(*settings.Config)) Output {
		c := g.l.Config()
		change(&c)
		return g.do(Change{Config: c})
	}
	first := g.last()
	if out := set(func(c *settings.Config) { c.Mode = modes.Broadcast }); out.Err == nil || first.ended != 0 {
		t.Errorf("a mode that cannot be made: %v, %d farewells", out.Err, first.ended)
	}
	n := len(first.states)
	set(func(c *settings.Config) { c.Balance = false })
	if g.last() != first || first.ended != 0 || len(first.states) != n+1 || first.states[n].Settings.Balance {
		t.Fatalf("balance off: %d modes, %d farewells, %d states more", len(g.modes), first.ended, len(first.states)-n)
	}
	out := set(func(c *settings.Config) { c.Mode = modes.XOR })
	if first.ended != 1 || len(out.Send) != 1 || string(out.Send[0].Frame) != "farewell" {
		t.Errorf("%d farewells, sent %v", first.ended, out.Send)
	}
	// Who we are is all that is left: partners think nothing of us.
	want := &lacp.Memory{System: first.agree.System,
		Ports: []lacp.PortMemory{{Name: "eth1", Number: 1}, {Name: "eth2", Number: 2}}}
	if d := cmp.Diff(want, out.Memory); d != "" {
		t.Errorf("remembered after a farewell (-want +got):\n%s", d)
	}
	set(func(c *settings.Config) { c.Mode = modes.LACP })
	if d := cmp.Diff(want, g.last().states[0].Memory); d != "" {
		t.Errorf("802.3ad again goes on with (-want +got):\n%s", d)
	}
}

// TestEnd: after the farewell the mode handles nothing more, until a Resume.
func TestEnd(t *testing.T) {
	g := newLACPRig(t, nil, nil)
	g.two()
	old := g.last()
	out := g.do(End{})
	if old.ended != 1 || len(out.Send) != 1 {
		t.Errorf("%d farewells, sent %v", old.ended, out.Send)
	}
	n := len(old.states)
	old.deadline = g.now.Add(-time.Second)
	old.effects = modes.Effects{Send: []spread.Send{{Frame: []byte("more")}}}
	g.do(End{})
	g.link(2, false)
	out = g.do(FromDatapath{Control{Kind: ControlFrame, Member: 1, Frame: []byte("PDU")}})
	if g.do(Tick{}); old.ended != 1 || len(old.states) != n || len(out.Send) != 0 || !g.l.Deadline().IsZero() {
		t.Errorf("after the end: %d farewells, %d states more, sent %v, deadline %v", old.ended, len(old.states)-n,
			out.Send, g.l.Deadline())
	}
	out = g.do(Resume{})
	m := g.last()
	if m == old || len(m.states) != 1 || m.states[0].Memory.Own("eth2") != 2 || m.states[0].Memory.Ports[0].Mux != 0 ||
		out.Plan != m.plan {
		t.Errorf("resumed: another mode %v, %+v, plan %v", m != old, m.states, out.Plan)
	}
	if out = g.do(Resume{}); g.last() != m {
		t.Error("resumed twice")
	}
}

// TestMemory: it is in the first State, given out when it changes, and that of members that have not joined yet
// stays in it: a process may die at any moment.
func TestMemory(t *testing.T) {
	before := &lacp.Memory{System: lacp.SystemID{Priority: 65535, MAC: adapterMAC}, Ports: []lacp.PortMemory{
		{Name: "eth1", Number: 1, Mux: lacp.MuxDistributing, Heard: true},
		{Name: "eth2", Number: 2, Mux: lacp.MuxDistributing, Heard: true}}}
	g := newLACPRig(t, before, nil)
	g.last().agree.Memory = lacp.Memory{System: before.System}
	if out := g.do(Tick{}); out.Memory != nil {
		t.Errorf("nothing has changed, remembered is %+v", out.Memory)
	}
	if m := g.last().states[0].Memory; cmp.Diff(before, m) != "" {
		t.Errorf("handed over: %+v", m)
	}
	g.join(1)
	g.link(1, true)
	changed := working(0)
	changed.Mux = lacp.MuxCollecting
	g.agrees(0, changed)
	out := g.do(Tick{})
	want := &lacp.Memory{System: before.System,
		Ports: []lacp.PortMemory{{Name: "eth1", Number: 1, Mux: lacp.MuxCollecting, Heard: true}, before.Ports[1]}}
	if d := cmp.Diff(want, out.Memory); d != "" {
		t.Errorf("before eth2 has joined (-want +got):\n%s", d)
	}
	g.run(4 * time.Second)
	out = g.do(Tick{})
	want.Ports[1] = lacp.PortMemory{Name: "eth2", Number: 2}
	if d := cmp.Diff(want, out.Memory); d != "" {
		t.Errorf("when eth2 was given up (-want +got):\n%s", d)
	}
	if out = g.do(Tick{}); out.Memory != nil {
		t.Errorf("remembered without a change: %+v", out.Memory)
	}
	if before.Ports[1].Mux != lacp.MuxDistributing {
		t.Error("what was handed in was changed")
	}
	g.join(2)
	g.do(Leave{Name: "eth2"})
	if out = g.do(Tick{}); g.l.lastMemory.Own("eth2") != 0 {
		t.Errorf("eth2 has left, remembered is %+v", g.l.lastMemory)
	}

	g = newLACPRig(t, before, func(c *settings.Config) { c.Mode = modes.XOR })
	g.do(Tick{})
	if m := g.last().states[0].Memory; m == nil || m.Ports[0].Mux != 0 || m.Own("eth1") != 1 {
		t.Errorf("a team that did not speak LACP goes on with %+v", m)
	}
}

// TestActiveOfLACP: with balance off the one member stands for the team, and may be chosen.
func TestActiveOfLACP(t *testing.T) {
	g := newLACPRig(t, nil, func(c *settings.Config) { c.Balance = false })
	g.two()
	g.agrees(1, working(0), standing(1))
	g.last().plan.Rule, g.last().plan.Active = spread.RuleSingle, 0
	g.do(Tick{})
	if s := g.l.Status(); s.Active != "eth1" {
		t.Errorf("active is %q", s.Active)
	}
	c := g.l.Config()
	c.Active = "eth2"
	if out := g.do(Change{Config: c}); out.Err != nil {
		t.Errorf("eth2 is refused: %v", out.Err)
	}
	c.Balance, c.Active = true, "eth1"
	g.do(Change{Config: c})
	g.wantProblem(api.Conflict, "in mode 802.3ad no member stands for all")
}

func TestLACPSettingsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*settings.Config){
		"ad_select":   func(c *settings.Config) { c.LACP.Select = 4 },
		"lacp_key":    func(c *settings.Config) { c.LACP.Key = 1024 },
		"lacp_system": func(c *settings.Config) { c.LACP.System = 0x0180_c200_0002 },
	} {
		g := newLACPRig(t, nil, nil)
		c := g.l.Config()
		change(&c)
		g.do(Change{Config: c})
		g.wantProblem(api.Usage, name)
	}
}
