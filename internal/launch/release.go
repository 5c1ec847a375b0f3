// SPDX-License-Identifier: MIT

package launch

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/tick"
)

// How long, and how often, Release looks whether processes that have given their NICs back are gone.
const (
	releaseTime = 2 * time.Second
	releaseLook = 20 * time.Millisecond
)

// Release gives back the NICs of every team, whoever stands behind it, before the program is removed from this host.
// What starts a team again stays: TEAM.yaml, history, and the unit's place in the boot. It is an error if a team cannot
// be ended, or if the program goes on to run for another one (of another network namespace, or with other directories):
// nobody could start its next process.
func Release(ctx context.Context, d Dirs, log *slog.Logger) (steps []string, err error) {
	SetSafePath()
	names, err := d.teams()
	if err != nil {
		return nil, err
	}
	if d == Standard && systemdRuns() {
		units, err := activeUnits()
		if err != nil {
			return nil, err
		}
		names = append(names, units...)
		slices.Sort(names)
		names = slices.Compact(names)
	}
	for _, name := range names {
		if err := d.release(ctx, name, log); err != nil {
			return steps, &api.Problem{Kind: api.Conflict, What: "release " + name, Why: err.Error(),
				Fix: "nicteam delete " + name + ", or nicteam restore " + name + " if its process is gone", Err: err}
		}
		steps = append(steps, name+" has given its NICs back")
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	var others []string
	if !tick.Until(ctx, releaseLook, func() bool { others = processesOfThisProgram(); return len(others) == 0 }) {
		return steps, &api.Problem{Kind: api.Conflict, What: "release all teams",
			Why: "this program runs for another one: " + strings.Join(others, "; "),
			Fix: "nicteam delete TEAM in that network namespace, or with those directories"}
	}
	return steps, nil
}

// release ends one team.
func (d Dirs) release(ctx context.Context, name string, log *slog.Logger) error {
	if d == Standard && !unitNeedsEscape.MatchString(name) && systemdRuns() {
		u, err := readUnit(name)
		if err != nil {
			return err
		}
		if u.Active != "inactive" && u.Active != "failed" && u.Active != "" {
			ctx, cancel := context.WithTimeout(ctx, takeOverTime)
			defer cancel()
			if err := stopUnit(ctx, name); err != nil {
				return err
			}
		}
	}
	if err := d.endOther(ctx, name, log); err != nil {
		return err
	}
	if !Restorable(d, name) {
		return nil
	}
	return d.giveBack(name, log)
}

// activeUnits are the teams that systemd runs, or is about to start again.
func activeUnits() (names []string, err error) {
	out, err := ask("list-units", "--no-legend", "--plain", "--full", "--all",
		"--state=active,activating,reloading,deactivating", unitName("*"))
	for line := range strings.Lines(out) {
		unit, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, ok := strings.CutSuffix(strings.TrimPrefix(unit, "nicteam@"), ".service")
		if ok && name != "" {
			names = append(names, name)
		}
	}
	return names, err
}

// processesOfThisProgram describes processes and keepers of teams that run the file that this process runs.
func processesOfThisProgram() (list []string) {
	own, err := os.Stat("/proc/self/exe")
	if err != nil {
		return nil
	}
	paths, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range paths {
		pid, _ := strconv.Atoi(filepath.Base(path))
		st, err := os.Stat(path + "/exe")
		if err != nil || pid == os.Getpid() || !os.SameFile(own, st) {
			continue
		}
		b, _ := os.ReadFile(path + "/cmdline")
		args := strings.Split(string(bytes.TrimRight(b, "\x00")), "\x00")
		if len(args) > 2 && slices.Contains([]string{"run", "keeper"}, args[1]) {
			list = append(list, fmt.Sprintf("process %d (nicteam %s)", pid, strings.Join(args[1:], " ")))
		}
	}
	return list
}
