// SPDX-License-Identifier: MIT

package systest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

const (
	unit     = "nicteam@" + teamName
	unitFile = "/etc/systemd/system/nicteam@.service"
	unitLog  = "/var/log/nicteam.log" // what the unit's commands write
)

// A systemdWorld is a world whose box has systemd, with what packaging/systemd has and the program where it expects it.
type systemdWorld struct {
	*world
	sd *lab.Systemd
}

// newSystemdWorld boots box, with more files.
func newSystemdWorld(t testing.TB, files map[string]string) *systemdWorld {
	t.Helper()
	w := &systemdWorld{world: newWorld(t, worldOptions{Cables: true})}
	w.boot(files)
	return w
}

func (w *systemdWorld) boot(files map[string]string) {
	w.t.Helper()
	all := map[string]string{
		unitFile + ".d/log.conf":                                   "[Service]\nStandardError=append:" + unitLog + "\n",
		"/etc/systemd/system/nicteam-giveback@.service.d/log.conf": "[Service]\nStandardError=append:" + unitLog + "\n",
	}
	packaged, err := filepath.Glob("../../packaging/systemd/*.service")
	labtest.Must(w.t, err)
	for _, path := range packaged {
		b, err := os.ReadFile(path)
		labtest.Must(w.t, err)
		all["/etc/systemd/system/"+filepath.Base(path)] = string(b)
	}
	maps.Copy(all, files)
	w.t.Cleanup(func() {
		if w.t.Failed() && w.sd != nil {
			w.t.Logf("log of the unit:\n%s", w.log())
		}
	})
	w.sd = labtest.Systemd(w.t, w.box, lab.SystemdOptions{Files: all,
		Programs: map[string]string{"/usr/local/sbin/nicteam": program(w.t)}})
}

// command runs the program beside systemd.
func (w *systemdWorld) command(args ...string) result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := w.sd.CommandContext(ctx, "nicteam", args...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("nicteam %s: %v", strings.Join(args, " "), err)
	}
	return result{Out: out.String(), Err: stderr.String(), Code: cmd.ProcessState.ExitCode()}
}

// ok runs the program beside systemd and ends the test unless it succeeds.
func (w *systemdWorld) ok(args ...string) result {
	w.t.Helper()
	r := w.command(args...)
	if r.Code != 0 {
		w.t.Fatalf("nicteam %s: exit %d\n%s%s", strings.Join(args, " "), r.Code, r.Out, r.Err)
	}
	return r
}

// teamStatus returns the status, nil if no process of the team answers.
func (w *systemdWorld) teamStatus() *api.Status {
	w.t.Helper()
	r := w.command("status", teamName, "--json")
	s := &api.Status{}
	if r.Code != 0 || json.Unmarshal([]byte(r.Out), s) != nil {
		return nil
	}
	return s
}

// ctl runs systemctl and ends the test if it fails.
func (w *systemdWorld) ctl(args ...string) string {
	w.t.Helper()
	out, err := w.sd.Systemctl(args...)
	labtest.Must(w.t, err)
	return out
}

// property reads a property of the team's unit.
func (w *systemdWorld) property(name string) string {
	w.t.Helper()
	return w.ctl("show", "-p", name, "--value", unit)
}

// checkUnit compares ActiveState and UnitFileState of the team's unit.
func (w *systemdWorld) checkUnit(when, active, enabled string) {
	w.t.Helper()
	if a, e := w.property("ActiveState"), w.property("UnitFileState"); a != active || e != enabled {
		w.t.Errorf("%s the unit is %s and %s, want %s and %s", when, a, e, active, enabled)
	}
}

// stop stops the team's unit, and waits for the give-back that may follow.
func (w *systemdWorld) stop() {
	w.t.Helper()
	w.ctl("stop", unit)
	w.ctl("stop", "nicteam-giveback@"+teamName)
}

// kill kills the team's process and waits until systemd has seen it.
func (w *systemdWorld) kill() {
	w.t.Helper()
	pid := w.property("MainPID")
	w.ctl("kill", "--kill-who=main", "-s", "KILL", unit)
	labtest.Eventually(w.t, "the end of process "+pid, func() bool { return w.property("MainPID") != pid })
}

// writeConfig writes TEAM.yaml.
func (w *systemdWorld) writeConfig(text string) {
	w.t.Helper()
	labtest.Must(w.t, w.sd.Write("/etc/nicteam/"+teamName+".yaml", text))
}

func (w *systemdWorld) hasFile(path string) bool {
	_, err := os.Stat(w.sd.Path(path))
	return err == nil
}

const plainConfig = "team: " + teamName + "\nmembers: [eth1, eth2]\n"

// log is what the commands of the unit have written.
func (w *systemdWorld) log() string {
	b, _ := os.ReadFile(w.sd.Path(unitLog))
	return string(b)
}
