// SPDX-License-Identifier: MIT

package tui

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
	"nicteam/monitor/chart"
)

// hostNICs are those of a host with every kind of line in the list.
func hostNICs() []Choice {
	nic := func(name, kind string, link bool, addresses ...string) Choice {
		return Choice{ListedNIC: api.ListedNIC{Name: name, Kind: kind, Up: true, Link: link, SpeedBps: 1e9,
			Duplex: "full", MTU: 1500, MAC: "02:00:00:00:00:01", Addresses: addresses}}
	}
	list := []Choice{nic("eth1", "device", true, "fe80::1/64", "10.9.0.1/24", "fd09::1/64"),
		nic("eth2", "device", true, "fe80::2/64"),
		nic("enp130s0f1np1", "device", false), nic("tap0", "tun", true), nic("eth9", "device", true),
		nic("br0", "bridge", true, "192.168.1.1/24")}
	list[0].Manager, list[0].SSH, list[0].Driver = "NetworkManager", true, "igc"
	list[1].Driver, list[1].SpeedBps = "ixgbe", 1e10
	list[2].Driver, list[2].Up = "mlx5_core", false
	list[3].SpeedBps = 0
	list[4].Owner, list[4].Why, list[4].Fix = "team team7", "it is a member of team team7", "nicteam remove team7 eth9"
	list[5].Why, list[5].Fix = "it is a bridge itself", "choose one of: eth1, eth2"
	return list
}

// fakePlan is a host that says what a choice would change.
type fakePlan struct {
	asked []string
	err   error
	lines []string
}

func (f *fakePlan) plan(_ context.Context, nics []string) ([]string, error) {
	f.asked = append(f.asked, strings.Join(nics, " "))
	if f.err != nil && len(f.lines) == 0 {
		return nil, f.err
	}
	return append([]string{"warning: chronyd is bound to eth1"}, append(f.lines, "would take over "+
		strings.Join(nics, ", "))...), f.err
}

func picking(t *testing.T, width, height int, nics []Choice) (pickModel, *fakePlan) {
	t.Helper()
	f := &fakePlan{}
	o := PickOptions{Team: "team0", Choices: nics, Plan: f.plan,
		Reread: func(context.Context) ([]Choice, error) { return nics[1:], nil }}
	o.Screen.Width, o.Screen.Height = width, height
	return newPickModel(t.Context(), o), f
}

// typed gives the model keys, carries out what it asks for, and returns the last thing that it asked the library for.
func typed(t *testing.T, m pickModel, keys ...string) (pickModel, tea.Msg) {
	t.Helper()
	var last tea.Msg
	for _, k := range press(keys...) {
		next, cmd := m.Update(k)
		m, last = next.(pickModel), nil
		if cmd == nil {
			continue
		}
		switch msg := cmd().(type) {
		case planMsg, nicsMsg:
			next, _ = m.Update(msg)
			m = next.(pickModel)
		default:
			last = msg
		}
	}
	return m, last
}

// TestPickScreens holds the screens to golden files.
func TestPickScreens(t *testing.T) {
	var b strings.Builder
	for _, c := range []struct {
		width, height int
		glyphs        chart.Glyphs
		keys          string
	}{
		{80, 24, chart.Braille, ""},
		{80, 24, chart.Braille, "space down space"},
		{80, 16, chart.Braille, "end space"},
		{80, 24, chart.Braille, "space down space enter"},
		{60, 16, chart.ASCII, "down space"},
		{40, 10, chart.Braille, "down down down down"},
		{30, 5, chart.ASCII, "space"},
		{120, 14, chart.Braille, "/ e t h"},
	} {
		m, _ := picking(t, c.width, c.height, hostNICs())
		m.list.glyphs = c.glyphs
		m, _ = typed(t, m, strings.Fields(c.keys)...)
		fmt.Fprintf(&b, "%d×%d %v, keys %s\n%s\n", c.width, c.height, c.glyphs, c.keys, m.grid())
	}
	file := filepath.Join("testdata", "pick.txt")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPickKeys: what every key does.
func TestPickKeys(t *testing.T) {
	for _, c := range []struct {
		name string
		keys string
		want string // on the screen
		not  string
	}{
		{"opens", "", "> [ ] eth1", "[x]"},
		{"chooses", "space", "> [x] eth1", ""},
		{"chooses no longer", "space space", "> [ ] eth1", "[x]"},
		{"down and up", "down down up space", "> [x] eth2", ""},
		{"letters too", "j x", "> [x] eth2", ""},
		{"not above the first", "up up", "> [ ] eth1", ""},
		{"not below the last", "end down down", ">  -  br0", ""},
		{"one that cannot", "end space", "br0 cannot be a member: it is a bridge itself", "[x]"},
		{"its fix", "end", "choose one of: eth1, eth2", ""},
		{"owner", "down down down down", "it is a member of team team7; nicteam remove team7", ""},
		{"session", "", "your SSH session goes by it; managed by NetworkManager", ""},
		{"filter", "/ e t h 2", "> [ ] eth2", "eth1"},
		{"filter by what it says", "/ s s h enter", "> [ ] eth1", "eth2"},
		{"filter by why", "/ b r i d g e", ">  -  br0", "] eth1"},
		{"nothing matches", "/ z z", "no NIC matches zz", "eth1"},
		{"filter cleared", "/ z z esc", "> [ ] eth1", "filter:"},
		{"filter cleared later", "/ e t h 2 enter esc", "  [ ] eth2", "match"},
		{"filter typed", "/ z backspace t a p", "> [ ] tap0", ""},
		{"chosen in a filter", "/ e t h 2 enter space esc", "  [x] eth2", ""},
		{"nothing chosen", "enter", "space chooses a NIC first", "would"},
		{"plan", "space enter", "would take over eth1", "LINK"},
		{"plan in the order of choosing", "down space up space enter", "would take over eth2, eth1", ""},
		{"plan warns", "space enter", "warning: chronyd is bound to eth1", ""},
		{"plan names the session", "space enter", "Create team0 of eth1: your SSH session goes by eth1", ""},
		{"back", "space enter esc", "> [x] eth1", "would"},
		{"read again", "r", "> [ ] eth2", "eth1"},
		{"what is gone is not chosen", "space r", "0 chosen", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, _ := picking(t, 80, 24, hostNICs())
			m, _ = typed(t, m, strings.Fields(c.keys)...)
			got := m.grid().String()
			if !strings.Contains(got, c.want) || c.not != "" && strings.Contains(got, c.not) {
				t.Errorf("want %q, not %q:\n%s", c.want, c.not, got)
			}
		})
	}
}

// TestPickResult: a choice is returned after Enter on its plan, and by nothing else.
func TestPickResult(t *testing.T) {
	for keys, want := range map[string]string{
		"space enter enter":                      "eth1",
		"down space up space enter enter":        "eth2 eth1",
		"space enter esc down space enter enter": "eth1 eth2",
		"q":                                      "",
		"esc":                                    "",
		"space q":                                "",
		"space enter q":                          "",
		"space enter esc esc":                    "",
		"space ctrl+c":                           "",
		"end space enter q":                      "",
		"enter enter q":                          "",
	} {
		m, _ := picking(t, 80, 24, hostNICs())
		m, last := typed(t, m, strings.Fields(keys)...)
		if got := strings.Join(m.result, " "); got != want {
			t.Errorf("%s: %q, want %q", keys, got, want)
		}
		switch last.(type) {
		case tea.QuitMsg, tea.InterruptMsg:
		default:
			t.Errorf("%s: does not end, %T", keys, last)
		}
	}
}

// TestPlanThatCannotBe: a choice that is refused is not made, and can be changed.
func TestPlanThatCannotBe(t *testing.T) {
	m, f := picking(t, 80, 24, hostNICs())
	f.err = &api.Problem{Kind: api.Conflict, What: "create team0", Why: "rules would no longer apply", Fix: "use -y"}
	m, last := typed(t, m, "space", "enter", "enter", "enter")
	if got := m.grid().String(); last != nil || m.result != nil || !strings.Contains(got, "why: rules would no") ||
		!strings.Contains(got, "fix: use -y") || strings.Contains(got, "make it") {
		t.Errorf("%T %v:\n%s", last, m.result, got)
	}
	f.lines = []string{"a plan that is refused"}
	m, last = typed(t, m, "esc", "enter", "enter")
	if got := m.grid().String(); last != nil || m.result != nil || !strings.Contains(got, "fix: use -y") ||
		!strings.Contains(got, "a plan that is refused") {
		t.Errorf("%T %v:\n%s", last, m.result, got)
	}
	f.lines, f.err = nil, errors.New("the host is gone")
	m, _ = typed(t, m, "esc", "down", "space", "enter")
	if got := m.grid().String(); !strings.Contains(got, "error: the host is gone") {
		t.Errorf("%s", got)
	}
	f.err = nil
	if m, _ = typed(t, m, "esc", "enter", "enter"); strings.Join(m.result, " ") != "eth1 eth2" {
		t.Errorf("%v", m.result)
	}
}

// TestLatePlan: a plan that arrives after its choice was left is not that of the next one.
func TestLatePlan(t *testing.T) {
	m, _ := picking(t, 80, 24, hostNICs())
	m, _ = typed(t, m, "space")
	next, first := m.Update(press("enter")[0])
	m = next.(pickModel)
	if next, cmd := m.Update(press("enter")[0]); cmd != nil || next.(pickModel).result != nil {
		t.Error("Enter before the plan is known makes the team")
	}
	m, _ = typed(t, m, "esc", "down", "space")
	next, second := m.Update(press("enter")[0])
	m = next.(pickModel)
	next, _ = m.Update(first())
	m = next.(pickModel)
	if got := m.grid().String(); strings.Contains(got, "would take") {
		t.Errorf("the plan of another choice:\n%s", got)
	}
	next, _ = m.Update(second())
	if got := next.(pickModel).grid().String(); !strings.Contains(got, "would take over eth1, eth2") {
		t.Errorf("the plan is missing:\n%s", got)
	}
}

// TestLongPlan is read to its end on a small screen.
func TestLongPlan(t *testing.T) {
	m, f := picking(t, 40, 10, hostNICs())
	for i := range 30 {
		f.lines = append(f.lines, fmt.Sprintf("step %d of a plan whose lines are longer than the screen is wide", i))
	}
	m, _ = typed(t, m, "space", "enter")
	seen := m.grid().String()
	for range 100 {
		m, _ = typed(t, m, "down")
		seen += m.grid().String()
	}
	for i := range 30 {
		if !strings.Contains(seen, fmt.Sprintf("step %d ", i)) {
			t.Errorf("step %d is never seen", i)
		}
	}
	got := m.grid().String()
	if !strings.Contains(got, "would take over eth1") || !strings.Contains(got, "Enter make it") {
		t.Errorf("the end:\n%s", got)
	}
	m, _ = typed(t, m, "home")
	if got := m.grid().String(); !strings.Contains(got, "warning: chronyd") {
		t.Errorf("the begin:\n%s", got)
	}
}

// manyNICs is a host with n NICs.
func manyNICs(n int) (list []Choice) {
	for i := range n {
		list = append(list, Choice{ListedNIC: api.ListedNIC{Name: fmt.Sprintf("eth%d", i), Kind: "device", Link: true,
			Up: true, SpeedBps: 1e9, Addresses: []string{fmt.Sprintf("10.0.%d.1/24", i)}}})
		if i%7 == 6 {
			list[i].Why = "it belongs to the bridge br0"
		}
	}
	return list
}

// TestPickOfMany: the line of the cursor is on the screen, wherever it moves, on any screen.
func TestPickOfMany(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {200, 60}, {40, 10}, {30, 5}, {20, 3}, {20, 2}, {20, 1}} {
		m, _ := picking(t, size[0], size[1], manyNICs(200))
		for i, key := range strings.Fields(strings.Repeat("down ", 205) + "home end " + strings.Repeat("up ", 13) +
			strings.Repeat("pgup ", 30) + strings.Repeat("pgdown ", 9) + "home") {
			m, _ = typed(t, m, key)
			want := fmt.Sprintf("eth%d", m.list.cursor)
			got := m.grid().String()
			if !strings.Contains(got, "] "+want) && !strings.Contains(got, "-  "+want) {
				t.Fatalf("%v, key %d (%s): %s is not on the screen:\n%s", size, i, key, want, got)
			}
			if i == 204 && m.list.cursor != 199 {
				t.Fatalf("the cursor is at %d", m.list.cursor)
			}
		}
	}
}

// TestPickSizes: whatever the size, the screen has it, and with ASCII glyphs nothing else is on it.
func TestPickSizes(t *testing.T) {
	nics := append(hostNICs(), Choice{ListedNIC: api.ListedNIC{Name: "é\u202e\x1b[2J\u0301x", Up: true}})
	for _, keys := range [][]string{nil, {"end"}, {"space", "enter"}, {"/", "e"}, {"enter"}} {
		for _, glyphs := range []chart.Glyphs{chart.Braille, chart.Block, chart.ASCII} {
			for _, w := range []int{0, 1, 2, 7, 19, 20, 39, 40, 60, 80, 211} {
				for _, h := range []int{0, 1, 2, 3, 4, 5, 7, 8, 13, 14, 24, 60} {
					m, _ := picking(t, 80, 24, nics)
					m.list.glyphs = glyphs
					next, _ := m.Update(tea.WindowSizeMsg{Width: w, Height: h})
					m, _ = typed(t, next.(pickModel), keys...)
					g := m.grid()
					wantW, wantH := w, h
					if w == 0 || h == 0 {
						wantW, wantH = 80, 24
					}
					if len(g) != wantH || len(g[0]) != wantW {
						t.Fatalf("%v %d×%d: the screen has %d×%d", keys, w, h, len(g[0]), len(g))
					}
					if text := g.String(); strings.ContainsAny(text, "\x1b\u202e\u0301") || glyphs == chart.ASCII &&
						strings.ContainsFunc(text, func(r rune) bool { return r > 0x7e || r < ' ' && r != '\n' }) {
						t.Fatalf("%v %d×%d: not printable:\n%q", keys, w, h, text)
					}
				}
			}
		}
	}
}

// TestPickColours: without colours the list says the same, and no colour is one that the terminal lacks.
func TestPickColours(t *testing.T) {
	m, _ := picking(t, 80, 24, hostNICs())
	for profile, c := range map[colorprofile.Profile]struct{ has, not string }{
		colorprofile.NoTTY:     {" -  br0", "\x1b"},
		colorprofile.ASCII:     {"\x1b[2m", ";5;"},
		colorprofile.ANSI:      {"\x1b[2m", "38;"},
		colorprofile.ANSI256:   {"38;5;245", "\x1b[34m"},
		colorprofile.TrueColor: {"38;5;245", "\x1b[34m"},
	} {
		next, _ := m.Update(tea.ColorProfileMsg{Profile: profile})
		got := next.View().Content
		if !strings.Contains(got, c.has) || strings.Contains(got, c.not) {
			t.Errorf("%v: want %q, not %q:\n%q", profile, c.has, c.not, got[:min(len(got), 900)])
		}
	}
}

// FuzzPick: no keys, whatever they are, break the list, choose what cannot be chosen, or return a choice whose plan was
// not on the screen.
func FuzzPick(f *testing.F) {
	f.Add([]byte("  x\r\r"), byte(80), byte(24))
	f.Add([]byte("/eth\r x\x1bjjx\r\x1b\r\r"), byte(30), byte(3))
	f.Add([]byte("GxkxgxUDUD/zz\x7f\x7f\rrr\rq"), byte(0), byte(1))
	f.Fuzz(func(t *testing.T, keys []byte, width, height byte) {
		m, plan := picking(t, int(width), int(height), hostNICs())
		for _, b := range keys {
			name, ok := map[byte]string{'\r': "enter", 0x1b: "esc", ' ': "space", 0x7f: "backspace", 'U': "pgup",
				'D': "pgdown", 3: "ctrl+c"}[b]
			if !ok {
				name = string(rune(b))
			}
			before := m.plan
			var last tea.Msg
			m, last = typed(t, m, name)
			g := m.grid()
			if len(g) != m.list.height || len(g[0]) != m.list.width {
				t.Fatalf("the screen has %d×%d", len(g[0]), len(g))
			}
			for _, name := range m.list.chosen {
				if name == "br0" || name == "eth9" {
					t.Fatalf("%s is chosen", name)
				}
			}
			if m.result != nil {
				if name != "enter" || before == nil || plan.asked[len(plan.asked)-1] != strings.Join(m.result, " ") {
					t.Fatalf("%v is made by %s, the plans were %v", m.result, name, plan.asked)
				}
			}
			if last != nil {
				return
			}
		}
	})
}
