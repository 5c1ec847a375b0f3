// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// awaitNext waits until another process than pid serves the team, and returns its status.
func (w *world) awaitNext(pid int) *api.Status {
	w.t.Helper()
	return w.await(fmt.Sprintf("another process than %d", pid), func(st *api.Status) bool { return st.PID != pid })
}

// TestKeeper: the team's process is killed and stopped; the keeper starts the next one, which goes on. No command fails
// meanwhile.
func TestKeeper(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	w.create(nics(2))
	keeper := w.keeper()
	if keeper == 0 {
		t.Fatal("no keeper")
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", w.teamProcess())); err != nil ||
		os.Getuid() == 0 && !strings.Contains(string(b), "/nicteam-"+teamName) {
		t.Errorf("the team's process is in the cgroups %s (%v)", b, err)
	}
	for _, sig := range []unix.Signal{unix.SIGKILL, unix.SIGSTOP} {
		pid, began := w.teamProcess(), time.Now()
		labtest.Must(t, unix.Kill(pid, sig))
		if sig != unix.SIGSTOP {
			w.nicteam("status", teamName, "-q")
		}
		st := w.awaitNext(pid)
		t.Logf("%v: next process after %v", sig, time.Since(began))
		if s := st.Supervisor; st.State != "up" || s == nil || s.Kind != "keeper" || s.LastStart != "warm" {
			t.Errorf("after %v: %s, supervisor %+v", sig, st.State, s)
		}
		if sig == unix.SIGSTOP && time.Since(began) > 10*time.Second {
			t.Errorf("a stopped process is replaced after %v", time.Since(began))
		}
	}
	if w.keeper() != keeper {
		t.Error("another keeper")
	}
	w.nicteam("restart", teamName)
	w.nicteam("delete", teamName)
	if pid := w.keeper(); pid != 0 {
		t.Errorf("keeper %d is left", pid)
	}
	w.checkUnchanged("after delete", before)
	w.checkNoFiles("after delete")
}

// TestProcessCannotLive: after five deaths the NICs are given back while the keeper goes on trying; delete and restore
// end that.
func TestProcessCannotLive(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	for _, end := range []string{"delete", "restore"} {
		w.create(nics(2))
		w.killUntilGivenBack()
		w.checkUnchanged("given back by the keeper", before)
		checkRefused(t, w.try("status", teamName), 8, "given back", "nicteam delete "+teamName)
		checkRefused(t, w.try("create", teamName, "eth1", "eth2"), 5, "keeper", "nicteam delete "+teamName)
		if out := w.nicteam("list"); !strings.Contains(out, "tried again") {
			t.Errorf("list says %s", out)
		}
		w.nicteam(end, teamName)
		if pid := w.keeper(); pid != 0 {
			t.Errorf("after %s: keeper %d is left", end, pid)
		}
		w.checkUnchanged("after "+end, before)
	}
	w.create(nics(2))
	w.nicteam("delete", teamName)
	w.checkNoFiles("after delete")
}

// killUntilGivenBack kills the team's process as often as it is started.
func (w *world) killUntilGivenBack() {
	w.t.Helper()
	for range 5 {
		labtest.Eventually(w.t, "the team's process", func() bool { return len(w.processes(" run "+teamName)) == 1 })
		pid := w.teamProcess()
		_ = unix.Kill(pid, unix.SIGKILL)
		w.awaitEnd(pid)
	}
	labtest.Eventually(w.t, "the NICs are given back", func() bool {
		b, err := os.ReadFile(w.box.Path("/var/lib/nicteam/" + teamName + ".log"))
		return err == nil && strings.Contains(string(b), "adapter "+teamName+" removed")
	})
}

// TestKeeperDies: the team goes on without its keeper, says so, and gets another one by restart.
func TestKeeperDies(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	w.create(nics(2))
	w.killKeeper()
	w.await("a warning", func(st *api.Status) bool {
		return strings.Contains(strings.Join(st.Warnings, "\n"), "the keeper behind the team's process is gone")
	})
	w.nicteam("restart", teamName)
	st := w.await("no warning", func(st *api.Status) bool { return len(st.Warnings) == 0 })
	if w.keeper() == 0 || st.Supervisor.Kind != "keeper" {
		t.Errorf("keeper %d, supervisor %+v", w.keeper(), st.Supervisor)
	}
	w.awaitNext(func() int { pid := w.teamProcess(); labtest.Must(t, unix.Kill(pid, unix.SIGKILL)); return pid }())
	w.nicteam("delete", teamName)
	w.checkUnchanged("after delete", before)
	w.checkNoFiles("after delete")
}

// TestKeeperAndNewProgram replaces the program twice: by a new one, which keeper and process become while the team goes
// on, and by one that does not work, after which both go on as they are.
func TestKeeperAndNewProgram(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	path := t.TempDir() + "/nicteam"
	install := func() { w.sh(fmt.Sprintf("cp %s %s.new && mv %s.new %s", program(t), path, path, path)) }
	exe := func(pid int) string {
		name, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		labtest.Must(t, err)
		return name
	}
	install()
	w.sh(path + " create " + teamName + " eth1 eth2")
	keeper := w.keeper()
	install()
	if !strings.HasSuffix(exe(keeper), " (deleted)") {
		t.Fatalf("the keeper runs %s", exe(keeper))
	}
	w.nicteam("restart", teamName)
	labtest.Eventually(t, "the keeper is the new program", func() bool { return exe(keeper) == path })
	if got := exe(w.teamProcess()); got != path {
		t.Errorf("the team's process runs %s", got)
	}
	if s := w.status(); s.State != "up" || s.Supervisor.Kind != "keeper" || s.Supervisor.Lost ||
		s.Supervisor.LastStart != "warm" {
		t.Errorf("%s, supervisor %+v", s.State, s.Supervisor)
	}
	w.sh(fmt.Sprintf("printf '#!/bin/sh\\nexit 1\\n' >%s.new && chmod +x %s.new && mv %s.new %s", path, path, path,
		path))
	w.nicteam("restart", teamName)
	if s := w.status(); s.State != "up" || s.Supervisor.Lost || !strings.HasSuffix(exe(w.teamProcess()), " (deleted)") {
		t.Errorf("%s, supervisor %+v, program %s", s.State, s.Supervisor, exe(w.teamProcess()))
	}
	if now := w.keeper(); now != keeper {
		t.Errorf("keeper %d, was %d", now, keeper)
	}
	w.nicteam("delete", teamName)
	w.checkUnchanged("after delete", before)
	w.checkNoFiles("after delete")
}
