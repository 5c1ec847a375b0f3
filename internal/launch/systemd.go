// SPDX-License-Identifier: MIT

package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
)

// Standard are the directories that the unit nicteam@.service uses.
var Standard = Dirs{RunDir: "/run/nicteam", StateDir: "/var/lib/nicteam", ConfigDir: "/etc/nicteam"}

// unitName is the name of a team's unit. Only names without unitNeedsEscape are the unit's instance as they are.
func unitName(team string) string { return "nicteam@" + team + ".service" }

// unitNeedsEscape: such characters stand for something else in the name of a unit (systemd.unit(5)).
var unitNeedsEscape = regexp.MustCompile(`[^a-zA-Z0-9_.-]`)

// systemctlTime bounds a question to systemd.
const systemctlTime = 10 * time.Second

// systemdRuns reports whether systemd is the service manager of this process's root directory and network namespace:
// what it starts sees the same NICs and files.
func systemdRuns() bool {
	if st, err := os.Lstat("/run/systemd/system"); err != nil || !st.IsDir() { // as sd_booted(3)
		return false
	}
	for ours, of1 := range map[string]string{"/": "/proc/1/root/.", "/proc/thread-self/ns/net": "/proc/1/ns/net"} {
		var a, b unix.Stat_t
		if unix.Stat(ours, &a) != nil || unix.Stat(of1, &b) != nil || a.Dev != b.Dev || a.Ino != b.Ino {
			return false
		}
	}
	return true
}

// systemctl runs systemctl and returns what it prints. Its errors have what it says.
func systemctl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "systemctl", append([]string{"--no-pager", "--no-ask-password"}, args...)...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + SafePath, "LC_ALL=C", "SYSTEMD_COLORS=0"}
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		said, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		if said == "" {
			said = err.Error()
		}
		return out.String(), fmt.Errorf("systemctl %s: %s: %w", args[0], said, err)
	}
	return out.String(), nil
}

// ask runs systemctl for an answer that comes at once.
func ask(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), systemctlTime)
	defer cancel()
	return systemctl(ctx, args...)
}

// unitState is what systemd knows of a team's unit.
type unitState struct {
	Load, File     string // LoadState: loaded, not-found, masked, …; UnitFileState: enabled, disabled, …
	Active, Result string
	Program        string   // of ExecStart
	weak           []string // settings that a team's unit should not have
}

const unitProperties = "LoadState,UnitFileState,ActiveState,Result,ExecStart,Type,Restart,FileDescriptorStoreMax"

func readUnit(team string) (unitState, error) {
	out, err := ask("show", "-p", unitProperties, unitName(team))
	if err != nil {
		return unitState{}, err
	}
	return parseUnit(out), nil
}

var execPath = regexp.MustCompile(`path=(\S+) ;`)

// properties parses what systemctl show prints: KEY=VALUE, one a line.
func properties(text string) map[string]string {
	p := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			p[key] = value
		}
	}
	return p
}

// parseUnit parses unitProperties.
func parseUnit(text string) (u unitState) {
	p := properties(text)
	u = unitState{Load: p["LoadState"], File: p["UnitFileState"], Active: p["ActiveState"], Result: p["Result"]}
	if m := execPath.FindStringSubmatch(p["ExecStart"]); m != nil {
		u.Program = m[1]
	}
	for _, want := range []struct{ key, value string }{{"Type", "notify"}, {"Restart", "always"}} {
		if p[want.key] != want.value {
			u.weak = append(u.weak, want.key+"="+p[want.key])
		}
	}
	if p["FileDescriptorStoreMax"] == "0" {
		u.weak = append(u.weak, "FileDescriptorStoreMax=0")
	}
	return u
}

// enabled reports whether the unit starts at boot.
func (u unitState) enabled() bool { return u.File == "enabled" || u.File == "enabled-runtime" }

// unusable says why the unit cannot run the team that this program makes, "" if it can.
func (u unitState) unusable(team string) string {
	switch {
	case unitNeedsEscape.MatchString(team):
		return fmt.Sprintf("the name %s cannot be the instance of a unit", team)
	case u.Load == "masked":
		return unitName(team) + " is masked"
	case u.Load == "not-found":
		return "nicteam@.service is not installed"
	case u.Load != "loaded":
		return fmt.Sprintf("%s cannot be loaded (%s)", unitName(team), u.Load)
	case u.Program == "":
		return unitName(team) + " has no ExecStart"
	}
	if same, err := sameProgram(u.Program); err != nil {
		return fmt.Sprintf("%s starts %s: %v", unitName(team), u.Program, err)
	} else if !same {
		return fmt.Sprintf("%s starts %s, which is another build", unitName(team), u.Program)
	}
	return ""
}

// sameProgram reports whether path is the program of this process, or a copy.
func sameProgram(path string) (bool, error) {
	other, err := os.Open(path)
	if err != nil {
		return false, errors.Unwrap(err)
	}
	defer func() { _ = other.Close() }()
	own, err := os.Open("/proc/self/exe")
	if err != nil {
		return false, err
	}
	defer func() { _ = own.Close() }()
	a, errA := own.Stat()
	b, errB := other.Stat()
	switch {
	case errA != nil || errB != nil:
		return false, errors.Join(errA, errB)
	case os.SameFile(a, b):
		return true, nil
	case a.Size() != b.Size():
		return false, nil
	}
	x, y := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(own, x)
		m, _ := io.ReadFull(other, y)
		if n != m || !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		if err != nil {
			return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF), nil
		}
	}
}

// plan is what systemd is about to do with a unit.
type plan struct {
	job     string // start, stop, restart, …; "" for none
	restart string // Restart= of systemd.service(5)
}

// planOf asks once if there is no job: after a death each start of systemctl delays the next process.
func planOf(team string) (p plan, err error) {
	out, err := ask("show", "-p", "Job,Restart", unitName(team))
	if err != nil {
		return p, err
	}
	known := properties(out)
	p.restart = known["Restart"]
	if known["Job"] == "" || known["Job"] == "0" {
		return p, nil
	}
	out, err = ask("list-jobs", "--no-legend", "--full", unitName(team))
	for line := range strings.Lines(out) { // number, unit, type, state
		if f := strings.Fields(line); len(f) >= 4 && f[1] == unitName(team) {
			p.job = f[2]
		}
	}
	return p, err
}

// RunsByUnit reports whether systemd runs the team.
func RunsByUnit(d Dirs, team string) bool {
	if d != Standard || unitNeedsEscape.MatchString(team) || !systemdRuns() {
		return false
	}
	u, err := readUnit(team)
	return err == nil && u.Active == "active"
}

// stopUnit stops the unit of a team, and waits until what a dead process left is given back, too (UnitLeft).
func stopUnit(ctx context.Context, team string) error {
	_, err := systemctl(ctx, "stop", unitName(team))
	if err == nil {
		_, _ = systemctl(ctx, "stop", "nicteam-giveback@"+team+".service") // it may not be installed
	}
	return err
}

// DisableUnit waits until the unit of a deleted team has ended, and makes systemd not start it at boot. It returns what
// it did, "" if there was nothing to do.
func DisableUnit(d Dirs, team string) (step string, err error) {
	if d != Standard || unitNeedsEscape.MatchString(team) || !systemdRuns() {
		return "", nil
	}
	u, err := readUnit(team)
	if err == nil && u.Active != "inactive" && u.Active != "failed" {
		ctx, cancel := context.WithTimeout(context.Background(), takeOverTime)
		defer cancel()
		err = stopUnit(ctx, team)
	}
	if err != nil || !u.enabled() {
		return "", err
	}
	if _, err := ask("--quiet", "disable", unitName(team)); err != nil {
		return "", err
	}
	_, _ = ask("reset-failed", unitName(team))
	return unitName(team) + " disabled", nil
}

// SystemdRestart restarts the unit of a team.
func SystemdRestart(ctx context.Context, name string) error {
	_, err := systemctl(ctx, "restart", unitName(name))
	if err == nil {
		return nil
	}
	return &api.Problem{Kind: api.Failed, What: "restart " + unitName(name), Why: err.Error(),
		Fix: "systemctl status " + unitName(name) + "; journalctl -u " + unitName(name), Err: err}
}
