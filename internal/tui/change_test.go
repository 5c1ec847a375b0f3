// SPDX-License-Identifier: MIT

package tui

import (
	"context"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"nicteam/internal/api"
)

// addable is a view whose host has hostNICs.
func addable(t *testing.T) (Model, *fake) {
	t.Helper()
	m, f := opened(t)
	m.readNICs = func(context.Context) ([]Choice, error) { return hostNICs(), f.err }
	return m, f
}

// TestAddFromList: a opens the list, and what is chosen there is added after y, by nothing else.
func TestAddFromList(t *testing.T) {
	for _, c := range []struct{ keys, want, shows string }{
		{"a", "", "Add NICs to team0"},
		{"a space", "", "> [x] eth1"},
		{"a enter", "", "space chooses a NIC first"},
		{"a end space", "", "br0 cannot be a member: it is a bridge itself"},
		{"a down space enter", "", "add eth2 to team0? y/n"},
		{"a space enter", "", "add eth1 to team0? y/n  (your SSH session goes by eth1)"},
		{"a down space enter y", "add [eth2]", "added eth2"},
		{"a down space up space enter y", "add [eth2 eth1]", "added eth2"},
		{"a down space enter n", "", "nothing is changed"},
		{"a down space enter esc", "", "nothing is changed"},
		{"a space esc", "", "nothing is changed"},
		{"a space q", "", "nothing is changed"},
		{"a space r", "", "> [x] eth1"},
		{"a space y", "", "> [x] eth1"},
	} {
		t.Run(c.keys, func(t *testing.T) {
			m, f := addable(t)
			m = run(t, m, press(strings.Fields(c.keys)...)...)
			if got := strings.Join(f.did, ";"); got != c.want {
				t.Errorf("did %q, want %q", got, c.want)
			}
			if got := m.Grid().String(); !strings.Contains(got, c.shows) {
				t.Errorf("want %q:\n%s", c.shows, got)
			}
		})
	}
}

// TestAddNeverBlocks: the list comes when it has been read. Until then the view goes on, and it does not come in the
// way of another question.
func TestAddNeverBlocks(t *testing.T) {
	m, _ := addable(t)
	next, cmd := m.Update(press("a")[0])
	m = next.(Model)
	if _, again := m.Update(press("a")[0]); again != nil {
		t.Error("a second reading beside the first")
	}
	if got := m.Grid().String(); !strings.Contains(got, "team0 · elb") {
		t.Errorf("the view is gone:\n%s", got)
	}
	asked := run(t, m, press("d", "e")...)
	if got := run(t, asked, cmd()).Grid().String(); !strings.Contains(got, "remove which NIC? e_") {
		t.Errorf("the question is gone:\n%s", got)
	}
	if got := run(t, m, cmd()).Grid().String(); !strings.Contains(got, "Add NICs to team0") {
		t.Errorf("no list:\n%s", got)
	}
}

// TestAddFails: why it does is shown in the view, whatever failed.
func TestAddFails(t *testing.T) {
	m, f := addable(t)
	f.err = &api.Problem{Kind: api.Failed, What: "read", Why: "the kernel does not answer"}
	got := run(t, m, press("a")...).Grid().String()
	if !strings.Contains(got, "read the NICs: the kernel does not answer") {
		t.Errorf("%s", got)
	}
	f.err = nil
	m = run(t, m, press("a", "space", "enter")...)
	f.err = &api.Problem{Kind: api.Conflict, What: "add", Why: "it belongs to br0"}
	if got := run(t, m, press("y")...).Grid().String(); !strings.Contains(got, "add eth1: it belongs to br0") {
		t.Errorf("%s", got)
	}
}

// TestAddElsewhere: the NICs of another network namespace cannot be listed, so the name is typed.
func TestAddElsewhere(t *testing.T) {
	m, f := addable(t)
	m.readNICs = func(context.Context) ([]Choice, error) { return nil, nil }
	m = run(t, m, press("a", "e", "9")...)
	if got := m.Grid().String(); !strings.Contains(got, "add which NIC? e9_") {
		t.Errorf("%s", got)
	}
	run(t, m, press("enter", "y")...)
	if got := strings.Join(f.did, ";"); got != "add [e9]" {
		t.Errorf("did %q", got)
	}
}

// TestReadOnlyView: who may only read is told so, and asked nothing.
func TestReadOnlyView(t *testing.T) {
	m, f := addable(t)
	m.readOnly = "only root changes a team: sudo nicteam watch team0"
	for _, key := range []string{"a", "d"} {
		if got := run(t, m, press(key, "y", "enter")...).Grid().String(); strings.Contains(got, "?_") {
			t.Errorf("%s asks:\n%s", key, got)
		}
		if got := run(t, m, press(key)...).Grid().String(); !strings.Contains(got, m.readOnly) {
			t.Errorf("%s does not tell:\n%s", key, got)
		}
	}
	if len(f.did) != 0 {
		t.Errorf("did %v", f.did)
	}
}

// TestListInView has the size of the view, also when that changes, and Ctrl-C ends both.
func TestListInView(t *testing.T) {
	m, _ := addable(t)
	m = run(t, m, press("a")...)
	for _, size := range [][2]int{{120, 40}, {40, 10}, {20, 2}, {1, 1}} {
		m = run(t, m, tea.WindowSizeMsg{Width: size[0], Height: size[1]}, ratesMsg{rates(epoch)},
			statusMsg{status: status()})
		if g := m.Grid(); len(g) != size[1] || len(g[0]) != size[0] {
			t.Errorf("%v: the screen has %d×%d", size, len(g[0]), len(g))
		}
	}
	_, cmd := m.Update(press("ctrl+c")[0])
	if _, ok := cmd().(tea.InterruptMsg); !ok {
		t.Error("Ctrl-C does not end the view")
	}
}

// TestPendingInView: what waits for confirmation is on the screen with the seconds left, and settled by c or r alone.
func TestPendingInView(t *testing.T) {
	st := status()
	st.Pending = &api.Pending{Change: "add eth3", Until: epoch.Add(43 * time.Second)}
	for _, size := range [][2]int{{120, 40}, {80, 24}, {60, 16}, {50, 12}} {
		m, _ := addable(t)
		m = run(t, m, tea.WindowSizeMsg{Width: size[0], Height: size[1]}, statusMsg{status: st})
		for after, want := range map[time.Duration]string{0: "undone in 43 s", 3 * time.Second: "undone in 40 s",
			time.Minute: "undone in 0 s"} {
			m := run(t, m, tickMsg(epoch.Add(after)))
			got := m.View().Content
			if !strings.Contains(got, "add eth3: "+want) || !strings.Contains(got, "c keep it") {
				t.Errorf("%v, after %v:\n%s", size, after, got)
			}
		}
	}
	for keys, want := range map[string]string{"c": "confirm", "r": "revert", "y": "", "enter": "", "space": "",
		"a space enter c": "", "? c": "confirm"} {
		m, f := addable(t)
		m = run(t, m, statusMsg{status: st})
		m = run(t, m, press(strings.Fields(keys)...)...)
		if got := strings.Join(f.did, ";"); got != want {
			t.Errorf("%s: did %q, want %q", keys, got, want)
		}
		if got := m.Grid().String(); want != "" && !strings.Contains(got, "it is ") {
			t.Errorf("%s: the answer is missing:\n%s", keys, got)
		}
	}
	m, f := addable(t)
	if run(t, m, press("c", "r")...); len(f.did) != 0 {
		t.Errorf("nothing waits, and it did %v", f.did)
	}
	m.readOnly = "only root"
	m = run(t, m, statusMsg{status: st})
	if m = run(t, m, press("c")...); len(f.did) != 0 || !strings.Contains(m.Grid().String(), "only root") {
		t.Errorf("a reader did %v:\n%s", f.did, m.Grid())
	}
}

// FuzzViewKeys: whatever is typed, the screen has its size, and NICs change after y on a question, by no other key.
func FuzzViewKeys(f *testing.F) {
	f.Add([]byte("aj \ry"), false)
	f.Add([]byte("a/e\rG k \rydeth1\ryccrr"), true)
	f.Add([]byte("?a\x1ba  \r\rya\x1bq"), true)
	f.Fuzz(func(t *testing.T, keys []byte, waits bool) {
		m, fake := addable(t)
		if waits {
			st := status()
			st.Pending = &api.Pending{Change: "add eth3", Until: epoch.Add(43 * time.Second)}
			m = run(t, m, statusMsg{status: st})
		}
		for _, b := range keys {
			name, ok := map[byte]string{'\r': "enter", 0x1b: "esc", ' ': "space", 0x7f: "backspace", '\t': "tab"}[b]
			if !ok {
				name = string(rune(b))
			}
			if name == "e" && m.prompt == nil && m.picker == nil {
				continue // it writes a file
			}
			asked, did := m.prompt, len(fake.did)
			m = run(t, m, press(name)...)
			if g := m.Grid(); len(g) != 24 || len(g[0]) != 80 {
				t.Fatalf("the screen has %d×%d", len(g[0]), len(g))
			}
			if len(fake.did) == did {
				continue
			}
			last := fake.did[len(fake.did)-1]
			switch yes := asked != nil && len(asked.nics) > 0 && (name == "y" || name == "Y"); {
			case yes && strings.HasPrefix(last, asked.verb):
			case waits && last == "confirm" && name == "c", waits && last == "revert" && name == "r":
			default:
				t.Fatalf("%q did %q", name, last)
			}
			if strings.Contains(last, "br0") && strings.HasPrefix(last, "add") && m.readNICs != nil {
				t.Fatalf("%q did %q, which cannot be a member", name, last)
			}
		}
	})
}
