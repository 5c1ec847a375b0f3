// SPDX-License-Identifier: MIT

package keeper

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
	"nicteam/internal/launch"
	"nicteam/internal/logs"
)

// TestStartsAgain kills the child in six ways: the next one starts at once, with the descriptors of the one before.
func TestStartsAgain(t *testing.T) {
	t.Parallel()
	b := newBed(t, "put:pipe put:other ready wait").next("ready wait")
	b.Window = time.Millisecond // no death is too many
	b.run()
	for i := range 6 {
		starts := b.awaitStarts(i + 1)
		b.awaitWaiting(starts[i])
		killed := time.Now()
		if err := syscall.Kill(starts[i].PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		next := b.awaitStarts(i + 2)[i+1]
		if took := next.Time.Sub(killed); took > time.Second {
			t.Errorf("the next process starts %v after a kill", took)
		} else {
			t.Logf("next process after %v", took)
		}
		if diff := cmp.Diff([]string{"other", "pipe"}, next.Names); diff != "" {
			t.Error(diff)
		}
	}
	starts := b.starts()
	if want := fmt.Sprintf("of %d", starts[0].PID); starts[1].Taken != want {
		t.Errorf("the next process reads %q, want %q", starts[1].Taken, want)
	}
	if starts[0].Config != b.Config || starts[1].Config != b.RunningConfig("team0") {
		t.Errorf("configurations %q, %q", starts[0].Config, starts[1].Config)
	}
	if err := b.end(); err != nil {
		t.Error(err)
	}
	if n := len(b.starts()); n != 7 {
		t.Errorf("%d starts", n)
	}
	if launch.HasKeeper(b.Dirs, "team0") {
		t.Error("the lock is left")
	}
}

// TestEnvironment: a child has nothing of the caller but what the keeper gives it.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ready put:tap sync die").next("ready wait").run()
	s := b.awaitStarts(2)
	slices.Sort(s[0].Env)
	slices.Sort(s[1].Env)
	path := "PATH=" + launch.SafePath
	for i, want := range [][]string{
		{"LISTEN_FDNAMES=keeper", "LISTEN_FDS=1", path, path, "WATCHDOG_USEC=200000"},
		{"LISTEN_FDNAMES=keeper:tap", "LISTEN_FDS=2", path, path, "WATCHDOG_USEC=200000"},
	} {
		if diff := cmp.Diff(want, s[i].Env); diff != "" {
			t.Errorf("start %d: %s", i, diff)
		}
	}
}

// TestStore replaces, removes and discards stored descriptors, also in the moment before death.
func TestStore(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ready put:a put:a put:b put:c remove:b die").next("ready put:d discard put:e config:wait die").run()
	if diff := cmp.Diff([]string{"a", "c"}, b.awaitStarts(2)[1].Names); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"d", "e"}, b.awaitStarts(3)[2].Names); diff != "" {
		t.Error(diff)
	}
}

// TestWatchdog: a child that was seen alive is replaced once it stands still, as by SIGSTOP; one that never used the
// watchdog is not.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ready watchdog stop").next("ready wait").run()
	s := b.awaitStarts(2)
	if took := s[1].Time.Sub(s[0].Time); took < b.Watchdog || took > b.Watchdog+2*time.Second {
		t.Errorf("replaced after %v, watchdog %v", took, b.Watchdog)
	}
	if !strings.Contains(b.log(), "no sign of life") {
		t.Errorf("log %q", b.log())
	}
	time.Sleep(3 * b.Watchdog) // the second one has no watchdog
	if n := len(b.starts()); n != 2 {
		t.Errorf("%d starts", n)
	}
}

// TestAliveWatchdog: nobody kills a child that shows signs of life.
func TestAliveWatchdog(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ready watchdog wait").run()
	b.awaitStarts(1)
	time.Sleep(4 * b.Watchdog)
	if n := len(b.starts()); n != 1 {
		t.Errorf("%d starts", n)
	}
}

// TestSlowRemovals: what the kernel takes long to close hides no sign of life, is closed at the same time, and before
// Sync returns.
func TestSlowRemovals(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ready watchdog slow:a slow:b slow:c slow:d remove:a remove:b remove:c remove:d sync wait").run()
	first := b.awaitStarts(1)[0]
	waits := func() bool { _, err := os.Stat(waitsFile(b.Dirs, first.PID)); return err == nil }
	b.await("all is closed, or the process killed", func() bool { return waits() || len(b.starts()) > 1 })
	if took := time.Since(first.Time); !waits() || took < slowClose || took > 3*slowClose {
		t.Errorf("%d starts after %v, to close one takes %v; log:\n%s", len(b.starts()), took, slowClose, b.log())
	}
}

// TestNeverReady kills a child that does not get ready. The first one ends the keeper, with a report.
func TestNeverReady(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ready die").next("wait")
	b.StartTimeout = 300 * time.Millisecond
	b.run()
	b.awaitStarts(3)
	if !strings.Contains(b.log(), "not ready within 300ms") {
		t.Errorf("log %q", b.log())
	}
}

// report runs a keeper with a ready pipe until it ends, and returns the reports.
func (b *bed) reports() (list []launch.Report) {
	b.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	b.Ready = w
	b.run()
	for s := bufio.NewScanner(r); s.Scan(); {
		var line launch.Report
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			b.Errorf("report %q: %v", s.Text(), err)
		}
		list = append(list, line)
	}
	return list
}

func TestFirstStartFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, config string
		verbs        []string
		why          string
	}{
		{"ends by itself", "exit:3", []string{"run"}, "exit status 3"},
		{"is killed", "journal die", []string{"run", "restore"}, "signal: killed; the host was put back"},
		{"panics", "journal exit:2", []string{"run", "restore"}, "exit status 2; the host was put back"},
		{"hangs", "journal wait", []string{"run", "restore"}, "not ready within 1s; the host was put back"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, test.config)
			if test.name == "hangs" {
				b.StartTimeout = time.Second
			}
			reports := b.reports()
			if b.ended() == nil {
				t.Error("no error")
			}
			if len(reports) != 1 || reports[0].Problem == nil || !reports[0].Died ||
				!strings.Contains(reports[0].Problem.Why, test.why) {
				t.Errorf("reports %+v", reports)
			}
			if diff := cmp.Diff(test.verbs, verbs(b.starts())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestReadyPipe: the child's reports reach who waits, and the pipe closes when it is ready.
func TestReadyPipe(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ready wait")
	reports := b.reports()
	if len(reports) != 1 || !reports[0].Ready {
		t.Errorf("reports %+v", reports)
	}
}

// TestTooManyDeaths gives the NICs back, and tries again until a process lives.
func TestTooManyDeaths(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ready journal put:tap die").next("ready journal die").run()
	s := b.awaitStarts(9)
	want := []string{"run", "run", "run", "run", "run", "restore", "run", "restore", "run"}
	if diff := cmp.Diff(want, verbs(s)[:9]); diff != "" {
		t.Error(diff)
	}
	if len(s[4].Names) != 1 || len(s[6].Names) != 0 {
		t.Errorf("descriptors before the NICs are given back %v, after it %v", s[4].Names, s[6].Names)
	}
	if took := s[6].Time.Sub(s[5].Time); took < b.Retry {
		t.Errorf("started again %v after the NICs were given back, want %v", took, b.Retry)
	}
	if !strings.Contains(s[8].Config, ".keeper.yaml") {
		t.Errorf("restore removed the configuration; the next start has %q", s[8].Config)
	}
	b.write(b.KeptConfig("team0"), "ready wait")
	b.await("a process lives", func() bool {
		n := len(b.starts())
		time.Sleep(4 * b.Retry)
		return len(b.starts()) == n
	})
	if err := b.end(); err != nil {
		t.Error(err)
	}
	left, _ := filepath.Glob(filepath.Join(b.RunDir, ".*"))
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestEndOnPurpose(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ready exit:0").run()
	if err := b.ended(); err != nil {
		t.Error(err)
	}
	if n := len(b.starts()); n != 1 {
		t.Errorf("%d starts", n)
	}
}

// TestStop ends the child by SIGTERM. One that does not obey is killed, and the host put back.
func TestStop(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ready journal wait").run()
	b.awaitWaiting(b.awaitStarts(1)[0])
	if err := b.end(); err != nil {
		t.Error(err)
	}
	b = newBed(t, "ignore ready journal wait")
	b.StopTimeout = 100 * time.Millisecond
	b.run()
	b.awaitWaiting(b.awaitStarts(1)[0])
	if err := b.end(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"run", "restore"}, verbs(b.starts())); diff != "" {
		t.Error(diff)
	}
}

// TestTwoKeepers refuses the second one.
func TestTwoKeepers(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ready wait").run()
	b.awaitStarts(1)
	err := Run(t.Context(), b.Options)
	var p *api.Problem
	if !errors.As(err, &p) || p.Kind != api.Conflict || !strings.Contains(p.Why, "keeper") {
		t.Errorf("error %v", err)
	}
	if n := len(b.starts()); n != 1 {
		t.Errorf("%d starts", n)
	}
}

// TestAnotherProcess: the keeper leaves a team to the process that somebody else started while it had none.
func TestAnotherProcess(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ready wait exit:1").next("exit:5")
	b.run()
	s := b.awaitStarts(1)
	b.awaitWaiting(s[0])
	lock, err := launch.LockTeam(b.Dirs, "team0")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	_ = syscall.Kill(s[0].PID, syscall.SIGTERM)
	if err := b.ended(); err != nil || len(b.starts()) != 2 {
		t.Errorf("%v, starts %+v", err, b.starts())
	}
}

// TestLogIsBounded: a process that dies at once cannot rotate its log.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ready die").next("ready wait")
	b.write(b.LogFile("team0"), strings.Repeat("a line of the log of nicteam\n", logs.MaxSize/20))
	b.run()
	b.awaitWaiting(b.awaitStarts(2)[1])
	if st, err := os.Stat(b.LogFile("team0")); err != nil || st.Size() > 10_000 {
		t.Errorf("log %v, %v", st, err)
	}
}

// keeperProcess starts a keeper of another program, in a process of its own.
func (b *bed) keeperProcess(program string) *exec.Cmd {
	b.Helper()
	b.Program = program
	var cmd *exec.Cmd
	b.await("the keeper starts", func() bool {
		cmd = exec.Command(program, b.Args()...)
		cmd.Env = []string{}
		err := cmd.Start()
		if err != nil && !errors.Is(err, syscall.ETXTBSY) { // a child of another test may have copyTo's descriptor
			b.Fatal(err)
		}
		return err == nil
	})
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait(); close(ended) }()
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			b.Error("the keeper does not end")
		}
	})
	return cmd
}

// copyTo puts a copy of this program at path, in place of what is there.
func copyTo(t *testing.T, path string) {
	t.Helper()
	in, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(out.Close(), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

// TestNewVersion hands over to the program that is at the path then. The keeper becomes that one, too, once it has
// proved itself, and goes on with the same child.
func TestNewVersion(t *testing.T) {
	t.Parallel()
	b := newBed(t, "put:pipe ready watchdog config:put:second,ready,watchdog,wait wait exit:75")
	program := filepath.Join(t.TempDir(), "nicteam")
	copyTo(t, program)
	cmd := b.keeperProcess(program)
	b.awaitWaiting(b.awaitStarts(2)[1])
	copyTo(t, program)
	b.next("put:second ready watchdog wait exit:75")
	_ = syscall.Kill(b.starts()[1].PID, syscall.SIGTERM)
	s := b.awaitStarts(4)
	if diff := cmp.Diff([]string{"keeper", "run", "run", "keeper"}, verbs(s)); diff != "" {
		t.Fatal(diff)
	}
	if s[3].PID != s[0].PID || s[3].PID != cmd.Process.Pid {
		t.Errorf("the new keeper is process %d, was %d", s[3].PID, s[0].PID)
	}
	if s[2].Program != program || s[3].Program != program || s[2].Taken == "" {
		t.Errorf("starts %+v", s[2:])
	}
	// The renewed keeper has child, descriptors, watchdog and lock.
	if !launch.HasKeeper(b.Dirs, "team0") {
		t.Error("the renewed keeper has lost its lock")
	}
	time.Sleep(50 * time.Millisecond)
	_ = syscall.Kill(s[2].PID, syscall.SIGSTOP)
	s = b.awaitStarts(5)
	if diff := cmp.Diff([]string{"pipe", "second"}, s[4].Names); diff != "" {
		t.Error(diff)
	}
}

// TestBrokenVersion: a new program that does not work does not take the keeper with it. The old one goes on from
// memory.
func TestBrokenVersion(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(path string) error{
		"gone":      os.Remove,
		"truncated": func(path string) error { return replace(path, "") },
		"fails":     func(path string) error { return replace(path, "#!/bin/sh\nexit 1\n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, "put:pipe ready wait exit:75").next("ready wait")
			program := filepath.Join(t.TempDir(), "nicteam")
			copyTo(t, program)
			b.keeperProcess(program)
			b.awaitWaiting(b.awaitStarts(2)[1])
			if err := damage(program); err != nil {
				t.Fatal(err)
			}
			_ = syscall.Kill(b.starts()[1].PID, syscall.SIGTERM)
			s := b.awaitStarts(3)
			if s[2].Verb != "run" || !strings.HasSuffix(s[2].Program, " (deleted)") || s[2].Taken == "" {
				t.Errorf("start %+v", s[2])
			}
		})
	}
}

// TestProgramReplacedBeforeReady: the program at the path fails, and was not the one of the child that got ready.
func TestProgramReplacedBeforeReady(t *testing.T) {
	t.Parallel()
	b := newBed(t, "wait ready watchdog stop").next("ready wait")
	program := filepath.Join(t.TempDir(), "nicteam")
	copyTo(t, program)
	b.keeperProcess(program)
	s := b.awaitStarts(2)
	b.awaitWaiting(s[1])
	if err := replace(program, "#!/bin/sh\nexit 1\n"); err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(s[1].PID, syscall.SIGTERM)
	if s = b.awaitStarts(3); s[2].Verb != "run" {
		t.Errorf("start %+v", s[2])
	}
}

// replace puts another file at path.
func replace(path, text string) error {
	return errors.Join(os.WriteFile(path+".new", []byte(text), 0o700), os.Rename(path+".new", path))
}
