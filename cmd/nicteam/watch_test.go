// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// screen is a terminal that tmux pretends, with the program in it.
type screen struct {
	t      *testing.T
	socket string
}

// onScreen starts nicteam watch in a terminal of that size, in a shell that says how it ended.
func onScreen(t *testing.T, width, height int, env string, args ...string) *screen {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("needs tmux: scripts/need tmux")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(exe, filepath.Join(bin, "nicteam")); err != nil {
		t.Fatal(err)
	}
	s := &screen{t, filepath.Join(bin, "tmux")}
	reports, err := os.MkdirTemp("", "race") // GORACE ends a path at a comma, which the name of a test may have
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { checkRaces(t, reports); os.RemoveAll(reports) })
	env = fmt.Sprintf("GORACE='atexit_sleep_ms=0 exitcode=0 log_path=%s/race' %s", reports, env)
	command := fmt.Sprintf("stty -g >%[1]s/before; echo first; %[2]s %[1]s/nicteam %[3]s; echo \"left with $?\"; "+
		"stty -g >%[1]s/after; cmp %[1]s/before %[1]s/after && echo as before; cat", bin, env, strings.Join(args, " "))
	s.tmux("new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "bash", "-m", "-c", command)
	t.Cleanup(func() { s.tmux("kill-server") })
	return s
}

// checkRaces fails the test if the race detector has reported anything but what a library does at the end: bubbletea
// does not wait for the goroutine that reads keys, and closes its file. On the screen a report would take all lines.
func checkRaces(t *testing.T, dir string) {
	reports, err := filepath.Glob(filepath.Join(dir, "race.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range reports {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, report := range strings.Split(string(b), "WARNING: DATA RACE")[1:] {
			const reader = "github.com/muesli/cancelreader.(*epollCancelReader)."
			if !strings.Contains(report, reader+"Close()") || !strings.Contains(report, reader+"wait()") {
				t.Errorf("data race:%s", report)
			}
		}
	}
}

func (s *screen) tmux(args ...string) string {
	s.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", s.socket, "-f", "/dev/null"}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TERM=xterm-256color", "TMUX=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("tmux %v: %v: %s", args, err, out)
	}
	return string(out)
}

// shows waits until the screen matches, and returns it and how long that took.
func (s *screen) shows(pattern string) (string, time.Duration) {
	s.t.Helper()
	re := regexp.MustCompile(pattern)
	begin := time.Now()
	for {
		text := s.tmux("capture-pane", "-p")
		if re.MatchString(text) {
			return text, time.Since(begin)
		}
		if time.Since(begin) > 15*time.Second {
			s.t.Fatalf("the screen never shows %q:\n%s", pattern, text)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (s *screen) keys(keys ...string) {
	s.t.Helper()
	s.tmux(append([]string{"send-keys"}, keys...)...)
}

// TestWatchOnTerminals drives the real screen: it opens with the history, takes keys, follows the
// size, and leaves the terminal as it was.
func TestWatchOnTerminals(t *testing.T) {
	dir := t.TempDir()
	stop, err := serveTeam(dir, &fakeTeam{name: "team0", state: "up"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { stop() }()
	run := "--run-dir=" + dir
	for _, c := range []struct {
		name          string
		width, height int
		env           string
		opens         string
		quit          string
		code          int
	}{
		{"large", 120, 40, "", `(?s)┌ team0 · active-backup · 2/2 up .*▲ in.*⣿⣿.*eth1 ▲.*q quit`, "q", 0},
		{"usual", 80, 24, "", `(?s)┌ team0 .*⣿⣿.*TCP.*q quit`, "Escape", 0},
		{"small", 40, 10, "", `(?s)team0 .*⣿⣿`, "q", 0},
		{"line", 38, 4, "", `▲ 8.000 Gbit/s`, "C-c", 130},
		{"linux", 80, 24, "TERM=linux", `(?s)\+ team0 - .*q quit`, "q", 0},
		{"no UTF-8", 80, 24, "LC_ALL=C", `(?s)\+ team0 - .*q quit`, "q", 0},
		{"no colour", 80, 24, "NO_COLOR=1", `(?s)┌ team0 .*q quit`, "q", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := onScreen(t, c.width, c.height, c.env, "watch", run)
			text, took := s.shows(c.opens)
			t.Logf("first screen after %v with the start of tmux and the program\n%s", took, text)
			if c.height >= 10 {
				begin := time.Now()
				s.keys("?")
				s.shows("q, Esc, Ctrl-C")
				t.Logf("help after %v", time.Since(begin))
				s.keys("?")
				s.shows(c.opens)
			}
			s.keys(c.quit)
			s.shows(fmt.Sprintf(`(?s)first\s+left with %d\s+as before`, c.code))
		})
	}
}

// TestWatchAndItsTeam: a new size is followed, a team that goes away is told and waited for, and a
// signal leaves the terminal as it was, too.
func TestWatchAndItsTeam(t *testing.T) {
	dir := t.TempDir()
	serve := func() func() {
		stop, err := serveTeam(dir, &fakeTeam{name: "team0", state: "up"})
		if err != nil {
			t.Fatal(err)
		}
		return stop
	}
	stop := serve()
	s := onScreen(t, 100, 30, "", "watch", "--run-dir="+dir, "& echo $! >"+dir+"/pid; fg >/dev/null")
	s.shows(`(?s)┌ team0 .*eth1 ▲`)
	for _, size := range [][2]string{{"60", "16"}, {"140", "45"}, {"50", "12"}, {"80", "24"}} {
		s.tmux("resize-window", "-x", size[0], "-y", size[1])
	}
	text, _ := s.shows(`(?s)┌ team0 [^\n]*last 2 min ┐\n.*q quit ─*┘\n$`)
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if n := len([]rune(line)); n != 80 {
			t.Errorf("a line of %d cells: %q", n, line)
		}
	}
	stop()
	s.shows(`team0 · lost at .*, waiting: `)
	stop = serve()
	s.shows(`team0 · active-backup · 2/2 up `)
	stop()
	s.shows(`team0 · lost at .*, waiting: `)
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.shows(`(?s)left with 130\s+as before`)
}
