// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
	"nicteam/internal/rtnl"
)

// teams are hosts of several teams with one state directory; a file replaces the sysctl.
type teams struct {
	t    *testing.T
	dir  string
	file string
	of   map[string]*Host
}

func newTeams(t *testing.T, frames int) *teams {
	labtest.Root(t)
	ts := &teams{t: t, dir: t.TempDir(), file: filepath.Join(t.TempDir(), "netdev_max_backlog"), of: map[string]*Host{}}
	ts.set(frames)
	return ts
}

func (ts *teams) set(frames int) {
	ts.t.Helper()
	must(ts.t, os.WriteFile(ts.file, []byte(strconv.Itoa(frames)+"\n"), 0o600))
}

func (ts *teams) get() int {
	ts.t.Helper()
	b, err := os.ReadFile(ts.file)
	must(ts.t, err)
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	must(ts.t, err)
	return n
}

func (ts *teams) open(name string) *Host {
	ts.t.Helper()
	h, err := Open(Options{StateDir: ts.dir, Team: name, backlogPath: ts.file})
	must(ts.t, err)
	ts.t.Cleanup(func() { h.Close() })
	must(ts.t, h.Begin())
	ts.of[name] = h
	return h
}

// TestBacklog has a script of teams: "+a" raises, "_a" lowers, "-a" ends, "~a" is killed and restored, "=N" is the
// user.
func TestBacklog(t *testing.T) {
	tests := []struct {
		name, life string
		begin      int
		want       []int // after each word
	}{
		{"one", "+a -a", 1000, []int{10_000, 1000}},
		{"twice", "+a +a -a", 1000, []int{10_000, 10_000, 1000}},
		{"lowered and raised", "_a +a _a _a +a -a", 1000, []int{1000, 10_000, 1000, 1000, 10_000, 1000}},
		{"two, one lowers", "+a +b _a _b", 1000, []int{10_000, 10_000, 10_000, 1000}},
		{"killed", "+a ~a", 1000, []int{10_000, 1000}},
		{"long enough", "+a -a", 20_000, []int{20_000, 20_000}},
		{"just long enough", "+a -a", 10_000, []int{10_000, 10_000}},
		{"two, the first goes first", "+a +b -a -b", 1000, []int{10_000, 10_000, 10_000, 1000}},
		{"two, the first goes last", "+a +b -b -a", 1000, []int{10_000, 10_000, 10_000, 1000}},
		{"two, killed", "+a +b ~b ~a", 1000, []int{10_000, 10_000, 10_000, 1000}},
		{"back again", "+a +b -a +a -b -a", 1000, []int{10_000, 10_000, 10_000, 10_000, 10_000, 1000}},
		{"the user makes it longer", "+a =20000 -a", 1000, []int{10_000, 20_000, 20_000}},
		{"the user makes it shorter", "+a =5000 +a -a", 1000, []int{10_000, 5000, 5000, 5000}},
		{"the user between two", "+a =20000 +b -a -b", 1000, []int{10_000, 20_000, 20_000, 20_000, 20_000}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ts := newTeams(t, tt.begin)
			for i, word := range strings.Fields(tt.life) {
				name := word[1:]
				h := ts.of[name]
				if h == nil && word[0] != '=' {
					h = ts.open(name)
				}
				switch word[0] {
				case '+':
					must(t, h.RaiseBacklog())
				case '_':
					must(t, h.LowerBacklog())
				case '-':
					_, err := h.Finish()
					must(t, err)
					delete(ts.of, name)
				case '~':
					h.Close()
					_, err := ts.open(name).Restore()
					must(t, err)
					delete(ts.of, name)
				case '=':
					n, err := strconv.Atoi(name)
					must(t, err)
					ts.set(n)
				}
				if got := ts.get(); got != tt.want[i] {
					t.Errorf("after %s: %d, want %d", word, got, tt.want[i])
				}
			}
		})
	}
}

// TestBacklogDeath dies at every fault point of raising and restoring.
func TestBacklogDeath(t *testing.T) {
	for n := 1; ; n++ {
		ts := newTeams(t, 1000)
		h := ts.open("a")
		at, where := crashAt(n)
		h.setFaultPoint(at)
		err := h.RaiseBacklog()
		if err == nil {
			_, err = h.Finish()
		}
		if (*where != "") != errors.Is(err, rtnl.ErrInjectedCrash) {
			t.Fatalf("point %d %q: %v", n, *where, err)
		}
		h.Close()
		if *where == "" {
			if n < 5 {
				t.Errorf("only %d points", n)
			}
			return
		}
		h, err = Open(Options{StateDir: ts.dir, Team: "a", backlogPath: ts.file})
		must(t, err)
		_, err = h.Restore()
		must(t, err)
		h.Close()
		if got := ts.get(); got != 1000 {
			t.Errorf("died at point %d %q: %d is left", n, *where, got)
		}
	}
}

// TestBacklogLockedByAnyUser: the sysctl's file can be locked by everybody, who must not keep a team from its start or
// its end by that.
func TestBacklogLockedByAnyUser(t *testing.T) {
	ts := newTeams(t, 1000)
	h := ts.open("a")
	file, err := os.Open(ts.file)
	must(t, err)
	defer file.Close()
	must(t, unix.Flock(int(file.Fd()), unix.LOCK_EX))
	done := make(chan error, 1)
	go func() { done <- h.RaiseBacklog() }()
	select {
	case err = <-done:
		must(t, err)
	case <-time.After(10 * backlogPatience):
		_ = file.Close() // lets the other go on
		<-done
		t.Fatal("a lock held by somebody else keeps a team waiting")
	}
	if got := ts.get(); got != 10_000 {
		t.Errorf("%d frames", got)
	}
}

// TestBacklogAbsent: nothing happens in a namespace without the sysctl.
func TestBacklogAbsent(t *testing.T) {
	ts := newTeams(t, 1000)
	h := ts.open("a")
	h.o.backlogPath = filepath.Join(ts.dir, "none")
	size := journalSize(ts.t, h)
	must(t, h.RaiseBacklog())
	if journalSize(ts.t, h) != size {
		t.Error("something was journalled")
	}
	if _, err := os.Stat(netdevMaxBacklog); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s in a namespace of its own: %v", netdevMaxBacklog, err)
	}
}
