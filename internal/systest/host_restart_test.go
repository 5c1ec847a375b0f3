// SPDX-License-Identifier: MIT

package systest

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/lab/labtest"
)

// restart runs `nicteam restart` and returns its answer.
func (w *world) restart() *api.Restarted {
	w.t.Helper()
	r := &api.Restarted{}
	labtest.Must(w.t, json.Unmarshal([]byte(w.nicteam("restart", teamName, "--json")), r))
	return r
}

// TestRestartInPlace restarts a team that nobody stands behind: the process becomes the next one, with its PID, and
// adapter and connections stay.
func TestRestartInPlace(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	labtest.Must(t, os.WriteFile(w.box.Path("/etc/nicteam/"+teamName+".yaml"),
		[]byte("team: "+teamName+"\nmembers: [eth1, eth2]\nmode: active-backup\n"), 0o640))
	s := w.supervise()
	was := w.status()
	c := w.startEcho()
	w.set("up_delay=10ms") // a change that only the running configuration has must not be lost
	r := w.restart()
	is := w.status()
	if r.PID != was.PID || is.PID != was.PID || !is.Started.After(was.Started) ||
		is.Adapter.Index != was.Adapter.Index || is.Settings.UpDelay != was.Settings.UpDelay+1e7 {
		t.Errorf("restarted %+v\nwas %+v\nis %+v", r, was, is)
	}
	if x := is.Supervisor; x == nil || x.Kind != "none" || x.Starts != 2 || x.After != "handover" ||
		x.FromVersion != was.Version || x.LastStart != "warm" || r.LastStart != "warm" {
		t.Errorf("the status has %+v", x)
	}
	c.check("after the restart")

	labtest.Must(t, s.Process.Signal(unix.SIGTERM))
	s.ended(t, "SIGTERM")
	w.checkUnchanged("stopped after a restart", before)
	checkRefused(t, w.try("restart", teamName), 3, "no team")
}

// TestRestartWithoutAProgram: a restart that could only fail is refused, and the team goes on.
func TestRestartWithoutAProgram(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	w.sh("cp " + program(t) + " /run/nicteam-copy")
	w.sh("/run/nicteam-copy create " + teamName + " eth1 eth2 --mode active-backup --no-persist --foreground " +
		">/dev/null 2>&1 &")
	labtest.Eventually(t, "the team is up", func() bool { return w.try("status", teamName, "--check", "-q").Code == 0 })
	was := w.status()
	w.sh("mv /run/nicteam-copy /run/nicteam-gone; " +
		"printf '#!/bin/sh\nexit 1\n' >/run/nicteam-copy; chmod +x /run/nicteam-copy")
	checkRefused(t, w.try("restart", teamName), 1, "goes on in its present process", "install nicteam")
	if is := w.status(); is.PID != was.PID || !is.Started.Equal(was.Started) || is.State != "up" {
		t.Errorf("after a refused restart %+v", is)
	}
	w.nicteam("delete", teamName)
	w.checkUnchanged("after delete", before)
}

// TestStopRequest: a stop by the control socket puts the host back and keeps TEAM.yaml; who may not change the team may
// not stop it.
func TestStopRequest(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	w.create(nics(2), "--mode", "active-backup")
	pid := w.teamProcess()
	client := control.NewClient(w.box.Path("/run/nicteam"), teamName)
	defer client.Close()
	steps, err := client.Stop(t.Context(), false)
	labtest.Must(t, err)
	if !strings.Contains(strings.Join(steps, "\n"), "released: eth1, eth2") {
		t.Errorf("the steps are %q", steps)
	}
	w.awaitEnd(pid)
	w.checkUnchanged("stopped", before)
	if _, err := os.Stat(w.box.Path("/etc/nicteam/" + teamName + ".yaml")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(w.box.Path("/run/nicteam/" + teamName + ".process")); err == nil {
		t.Error("TEAM.process is left")
	}
}
