// SPDX-License-Identifier: MIT

package tui

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
	"nicteam/monitor/chart"
)

var update = flag.Bool("update", false, "write the golden files")

func TestGoldenScreen(t *testing.T) {
	m, _ := opened(t)
	m = run(t, m, ratesMsg{rates(epoch.Add(time.Second))})
	got := m.Grid().String()
	file := filepath.Join("testdata", "screen.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestKeys: what every key does, seen on the screen.
func TestKeys(t *testing.T) {
	for _, c := range []struct {
		name string
		keys []string
		want string // on the screen
		not  string
	}{
		{"opens", nil, "team0 · elb · 2/2 up", "stopped"},
		{"unit", []string{"u"}, "NIC · pkt/s", "NIC · bit/s"},
		{"units go round", []string{"u", "u", "u", "u", "u"}, "bit/s · fit", ""},
		{"scale", []string{"s"}, " link ", " fit "},
		{"scales go round", []string{"s", "s", "s"}, " fit ", ""},
		{"view", []string{"v"}, "by protocol", "by NIC"},
		{"views go round", []string{"v", "v", "v"}, "by NIC", ""},
		{"tab", []string{"tab"}, "team0/eth1", "eth2 ▲"},
		{"down twice", []string{"down", "down"}, "team0/eth2", "eth1 ▲"},
		{"and round", []string{"tab", "tab", "tab"}, "team0 · elb", "team0/"},
		{"up", []string{"up"}, "team0/eth2", ""},
		{"shift tab", []string{"tab", "shift+tab"}, "team0 · elb", "team0/"},
		{"freeze", []string{"space"}, "stopped at 03:04:05", ""},
		{"and on", []string{"space", "space"}, "2/2 up", "stopped"},
		{"back", []string{"left"}, "stopped at 03:03:35", ""},
		{"back and forth", []string{"left", "right"}, "2/2 up", "stopped"},
		{"page back", []string{"pgup", "pgup"}, "stopped at 03:00:05", ""},
		{"page forth", []string{"pgup", "pgup", "pgdown"}, "stopped at 03:02:05", ""},
		{"end", []string{"pgup", "end"}, "2/2 up", "stopped"},
		{"longer", []string{"-"}, "last 7 min", ""},
		{"shorter", []string{"+"}, "last 73 s", "last 2 min"},
		{"own scales", []string{"o"}, "eth2 ▲", ""},
		{"help", []string{"?"}, "q, Esc, Ctrl-C", "eth1 ▲"},
		{"help and back", []string{"?", "?"}, "eth1 ▲", "Ctrl-C"},
		{"add", []string{"a"}, "add which NIC? _", ""},
		{"add typed", []string{"a", "e", "t", "h", "8", "backspace", "9"}, "add which NIC? eth9_", ""},
		{"add asked", []string{"a", "e", "9", "enter"}, "add e9 to team0? y/n", ""},
		{"add done", []string{"a", "e", "9", "enter", "y"}, "added e9", ""},
		{"add not", []string{"a", "e", "9", "enter", "n"}, "nothing is changed", ""},
		{"add left", []string{"a", "q", "esc"}, "nothing is changed", ""},
		{"add nothing", []string{"a", "enter"}, "add which NIC? _", ""},
		{"remove the chosen", []string{"tab", "d", "enter"}, "remove eth1 from team0? y/n", ""},
		{"remove done", []string{"tab", "d", "enter", "y"}, "removed eth1", ""},
		{"other keys", []string{"x", "1", "enter"}, "2/2 up", "stopped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, _ := opened(t)
			m = run(t, m, press(c.keys...)...)
			got := m.Grid().String()
			if !strings.Contains(got, c.want) || c.not != "" && strings.Contains(got, c.not) {
				t.Errorf("want %q, not %q:\n%s", c.want, c.not, got)
			}
		})
	}
}

// TestChangesAreConfirmed: a NIC is added or removed after a name and y, and by nothing else.
func TestChangesAreConfirmed(t *testing.T) {
	for keys, want := range map[string]string{
		"a e 9 enter y": "add [e9]", "tab d enter y": "remove [eth1] false", "a e 9 enter n": "", "a e 9 enter esc": "",
		"a y y": "", "d enter y": "", "y": "",
	} {
		m, f := opened(t)
		run(t, m, press(strings.Fields(keys)...)...)
		if got := strings.Join(f.did, ";"); got != want {
			t.Errorf("%s: %q, want %q", keys, got, want)
		}
	}
	m, f := opened(t)
	f.err = &api.Problem{Kind: api.Conflict, What: "add e9", Why: "it belongs to br0"}
	m = run(t, m, press("a", "e", "9", "enter", "y")...)
	if got := m.Grid().String(); !strings.Contains(got, "add e9: it belongs to br0") {
		t.Errorf("the reason is not shown:\n%s", got)
	}
}

func TestQuit(t *testing.T) {
	for keys, want := range map[string]tea.Msg{"q": tea.QuitMsg{}, "esc": tea.QuitMsg{}, "ctrl+c": tea.InterruptMsg{},
		"? q": tea.QuitMsg{}, "a ctrl+c": tea.InterruptMsg{}} {
		m, _ := opened(t)
		var cmd tea.Cmd
		for _, k := range press(strings.Fields(keys)...) {
			var next tea.Model
			next, cmd = m.Update(k)
			m = next.(Model)
		}
		if cmd == nil {
			t.Errorf("%s asks for nothing", keys)
		} else if got := cmd(); got != want {
			t.Errorf("%s: %T, want %T", keys, got, want)
		}
	}
}

// TestKnownSize: the library draws nothing on a screen of no size.
func TestKnownSize(t *testing.T) {
	for _, tt := range []struct{ in, want tea.Msg }{
		{tea.WindowSizeMsg{}, tea.WindowSizeMsg{Width: 80, Height: 24}},
		{tea.WindowSizeMsg{Width: 100}, tea.WindowSizeMsg{Width: 80, Height: 24}},
		{tea.WindowSizeMsg{Width: 1, Height: 1}, tea.WindowSizeMsg{Width: 1, Height: 1}},
		{tickMsg{}, tickMsg{}},
	} {
		if got := knownSize(nil, tt.in); got != tt.want {
			t.Errorf("%+v becomes %+v", tt.in, got)
		}
	}
}

// TestQuestionsAreSeen at any size that has room for their first words.
func TestQuestionsAreSeen(t *testing.T) {
	for _, size := range [][2]int{{120, 40}, {80, 24}, {60, 16}, {59, 16}, {50, 12}, {30, 5}, {30, 1}} {
		m, _ := opened(t)
		m = run(t, m, tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		m = run(t, m, press("a", "e")...)
		if got := m.Grid().String(); !strings.Contains(got, "add which NIC? e_") {
			t.Errorf("%v:\n%s", size, got)
		}
	}
}

// TestLost: a team that goes away is told in the header, waited for, and asked for what was missed.
func TestLost(t *testing.T) {
	m, f := opened(t)
	m = run(t, m, tickMsg(epoch.Add(time.Second)), disconnectedMsg{"its process is gone"},
		tickMsg(epoch.Add(9*time.Second)),
		disconnectedMsg{"its process is gone"})
	got := m.Grid().String()
	if !strings.Contains(got, "lost at 03:04:06, waiting: its process is gone") {
		t.Errorf("the header does not tell:\n%s", got)
	}
	if !strings.Contains(got, "⣿") {
		t.Errorf("what was carried is gone:\n%s", got)
	}
	before := len(f.asked)
	next, cmd := m.Update(statusMsg{status(), true})
	m = next.(Model)
	if got := m.Grid().String(); strings.Contains(got, "lost at") {
		t.Errorf("it is back:\n%s", got)
	}
	batch, ok := cmd().(tea.BatchMsg)
	if !ok {
		t.Fatalf("asked for %T", cmd())
	}
	run(t, m, batch[0]())
	if len(f.asked) != before+1 {
		t.Errorf("%d questions, want one more than %d", len(f.asked), before)
	}
	m = run(t, m, tickMsg(epoch.Add(20*time.Second)))
	if got := m.Grid().String(); !strings.Contains(got, "no data for 11s") {
		t.Errorf("the header lacks the lost connection:\n%s", got)
	}
}

// TestFrozen: what is frozen stays, whatever goes on.
func TestFrozen(t *testing.T) {
	m, _ := opened(t)
	m = run(t, m, press("space")...)
	was := m.Grid().String()
	for i := range 30 {
		m = run(t, m, ratesMsg{rates(epoch.Add(time.Duration(i+1) * time.Second))})
	}
	if diff := cmp.Diff(was, m.Grid().String()); diff != "" {
		t.Errorf("it moved (-was +is):\n%s", diff)
	}
	m = run(t, m, press("space")...)
	if got := m.live().end(); !got.Equal(epoch.Add(30 * time.Second)) {
		t.Errorf("goes on at %v", got)
	}
}

func TestExport(t *testing.T) {
	m, _ := opened(t)
	m = run(t, m, press("e")...)
	file := filepath.Join(m.dir, "team0-20260102-030405.svg")
	b, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(b), "<svg") && !strings.HasPrefix(string(b), "<?xml") {
		t.Fatalf("%v: %.60q", err, b)
	}
	if m.notice != "saved "+file {
		t.Errorf("notice %q", m.notice)
	}
	m = run(t, m, press("e")...) // there is a file of that name already
	if !strings.Contains(m.notice, "exists") {
		t.Errorf("notice %q", m.notice)
	}
}

// TestOneQuestionAtATime: a key that is held down does not make a queue.
func TestOneQuestionAtATime(t *testing.T) {
	m, f := opened(t)
	before := len(f.asked)
	var pending []tea.Cmd
	for range 20 {
		next, cmd := m.Update(press("left")[0])
		m = next.(Model)
		if cmd != nil {
			pending = append(pending, cmd)
		}
	}
	if len(pending) != 1 {
		t.Fatalf("%d questions at once", len(pending))
	}
	stale := pending[0]()
	if next, _ := m.Update(stale); next.(Model).past != nil {
		t.Error("an answer to a question that stands no more is shown")
	}
	m = run(t, m, stale) // the answer is stale: the one that is wanted is asked for
	if m.past == nil || len(f.asked) != before+2 || !f.asked[len(f.asked)-1].To.Equal(m.end) {
		t.Errorf("asked %d times, the last %v", len(f.asked)-before, f.asked[len(f.asked)-1])
	}
}

func TestOpenRefuses(t *testing.T) {
	var p *api.Problem
	_, _, err := Open(t.Context(), &fake{}, &Options{Team: "team0", NIC: "eth9"})
	if !errors.As(err, &p) || p.Kind != api.NotFound {
		t.Errorf("%v", err)
	}
}

// TestColours: none where there are none, and only those that a terminal has.
func TestColours(t *testing.T) {
	m, _ := opened(t)
	for profile, c := range map[colorprofile.Profile]struct{ has, not string }{
		colorprofile.NoTTY:     {"┌", "\x1b"},
		colorprofile.ASCII:     {"\x1b[1m", ";5;"},
		colorprofile.ANSI:      {"\x1b[34m", "38;"},
		colorprofile.ANSI256:   {"38;5;245", "\x1b[34m"},
		colorprofile.TrueColor: {"38;2;", "\x1b[34m"},
	} {
		got := run(t, m, tea.ColorProfileMsg{Profile: profile}).View().Content
		if !strings.Contains(got, c.has) || strings.Contains(got, c.not) {
			t.Errorf("%v: want %q, not %q:\n%q", profile, c.has, c.not, got[:min(len(got), 900)])
		}
	}
}

func TestWords(t *testing.T) {
	good := ViewFlags{Unit: "auto", View: "nic", Scale: "fit", Last: time.Minute, Term: "xterm", Locale: "C.UTF-8"}
	if o, err := good.Options(); err != nil || o.Glyphs != chart.Braille || o.Last != time.Minute {
		t.Errorf("%+v, %v", o, err)
	}
	for _, c := range []struct {
		change func(*ViewFlags)
		allows string
	}{
		{func(w *ViewFlags) { w.Unit = "furlong" }, "auto, packets, kbit, mbit, gbit"},
		{func(w *ViewFlags) { w.View = "x" }, "nic, protocol, total"},
		{func(w *ViewFlags) { w.Scale = "x" }, "fit, link, log"},
		{func(w *ViewFlags) { w.Glyphs = "x" }, "braille, block, ascii"},
		{func(w *ViewFlags) { w.Last = time.Second }, "10s to 24h"},
	} {
		w := good
		c.change(&w)
		_, err := w.Options()
		var p *api.Problem
		if !errors.As(err, &p) || p.Kind != api.Usage || !strings.Contains(p.Why, c.allows) {
			t.Errorf("%v, want what is allowed: %s", err, c.allows)
		}
	}
}
