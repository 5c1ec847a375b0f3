// SPDX-License-Identifier: MIT

package launch

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/atomicfile"
	"nicteam/internal/config"
	"nicteam/internal/control"
	"nicteam/internal/host"
	"nicteam/internal/host/journal"
	"nicteam/internal/managers"
)

// Restore puts the host back from the journal of a team whose process is gone; "" means every such team. forget names
// NICs that were absent when the team ended: their part of the journal is dropped.
func Restore(d Dirs, name string, forget []string, log *slog.Logger) (steps []string, err error) {
	SetSafePath()
	if err := unix.Access(d.StateDir, unix.W_OK); errors.Is(err, unix.EACCES) {
		return nil, &api.Problem{Kind: api.NotPermitted, What: "restore",
			Why: "this user may not change " + d.StateDir, Fix: "run it as root: sudo nicteam …", Err: err}
	}
	names := []string{name}
	if name == "" {
		names = nil
		left, err := teamsWith(d.StateDir, ".journal")
		if err != nil {
			return nil, control.Unreadable(d.StateDir, err)
		}
		for _, n := range left {
			if !Runs(d, n) {
				names = append(names, n)
			}
		}
		if len(names) == 0 {
			return []string{"nothing to restore"}, nil
		}
	}
	for _, n := range names {
		// Who gives the NICs back gives the team up, unless it is the keeper itself. Its next process would take them
		// again.
		if pid := keeperPID(d, n); pid != 0 && pid != os.Getppid() && !Runs(d, n) {
			if _, err := EndKeeper(context.Background(), d, n); err != nil {
				return steps, err
			}
			if !Restorable(d, n) {
				d.removeKeeperRests(n)
				d.RemovePending(n)
				steps = append(steps, "keeper of "+n+" ended; the host is as before the team")
				continue
			}
		}
		more, err := restoreTeam(d, n, forget, log)
		steps = append(steps, more...)
		if err != nil {
			return steps, err
		}
		if d.Pending(n) != nil && keeperPID(d, n) == 0 { // with a keeper its next process sees to it
			d.RemovePending(n)
			atomicfile.Remove(d.RunningConfig(n))
		}
	}
	return steps, nil
}

// Restorable reports whether a team left a journal to restore and its process does not run.
func Restorable(d Dirs, name string) bool {
	_, err := os.Stat(d.journalFile(name))
	return err == nil && !Runs(d, name) && !journal.Ended(d.StateDir, name)
}

func restoreTeam(d Dirs, name string, forget []string, log *slog.Logger) (steps []string, err error) {
	if Runs(d, name) {
		return nil, &api.Problem{Kind: api.Conflict, What: "restore " + name, Why: "the team's process runs",
			Fix: "nicteam delete " + name + " ends it and puts the host back"}
	}
	if _, err := os.Stat(d.journalFile(name)); os.IsNotExist(err) {
		return nil, &api.Problem{Kind: api.NotFound, What: "restore " + name,
			Why: "no journal of " + name + " in " + d.StateDir,
			Fix: "nicteam list shows the teams; a deleted team needs no restore"}
	}
	if err := d.Make(); err != nil {
		return nil, err
	}
	lock, err := LockTeam(d, name)
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	h, err := host.Open(host.Options{StateDir: d.StateDir, Team: name, Members: d.configuredNICs(name), Logger: log,
		Taken: TeamHolding})
	if err != nil {
		return nil, err
	}
	defer func() { _ = h.Close() }()
	for _, nic := range forget {
		if problem := h.CheckForget(nic); problem != nil {
			return nil, problem
		}
	}
	back, err := h.Restore()
	for _, nic := range forget {
		kept := false
		if err == nil {
			kept, err = h.ForgetAbsent(nic)
		}
		if err == nil && !kept {
			back.Notes = append(back.Notes, "nothing to forget of "+nic+": it is present and was restored")
		}
	}
	steps = append(steps, back.Notes...)
	if len(back.Members) > 0 {
		steps = append(steps, "released: "+strings.Join(back.Members, ", "))
	}
	if back.Adapter != "" {
		steps = append(steps, "adapter "+back.Adapter+" removed")
	}
	if err != nil {
		return steps, err
	}
	told := managers.New(managers.Options{Team: name, StateDir: d.StateDir, Log: log})
	more, err := told.GiveBack(context.Background())
	steps = append(steps, more...)
	if err != nil {
		steps = append(steps, "warning: network managers were not told that the team has ended: "+err.Error())
	}
	_ = os.Remove(d.Socket(name))
	if keeperPID(d, name) == 0 {
		d.removeKeeperRests(name)
	}
	if d.Pending(name) == nil { // else the next process says what became of the change, and needs it for that
		atomicfile.Remove(d.RunningConfig(name))
	}
	d.RemoveLACPState(name)
	atomicfile.Remove(d.ProcessFile(name))
	if !d.Persistent(name) {
		told.Forget()
		d.RemoveHistory(name)
	}
	return steps, nil
}

// configuredNICs returns the members in the team's configuration: that of its last process if there is one.
func (d Dirs) configuredNICs(name string) []string {
	for _, path := range []string{d.RunningConfig(name), d.configFile(name)} {
		if loaded, err := config.Load(config.Options{Path: path}); err == nil {
			return loaded.Config.MemberNames()
		}
	}
	return nil
}
