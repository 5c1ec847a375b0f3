package launch

import (
	"context"
	"log/slog"
	"os"
	"strings"

	"nicteam/internal/atomicfile"
	"nicteam/internal/config"
	"nicteam/internal/host"
	"nicteam/team"
)

// Restore puts the host back from the journal of a team whose process is gone; "" means all teams that
// have a journal and do not run. forget are NICs that were not there then and are not waited for any more.
func Restore(_ context.Context, p Dirs, name string, forget []string, log *slog.Logger) (steps []string, err error) {
	SetSafePath()
	names := []string{name}
	if name == "" {
		names = nil
		left, err := teamsWith(p.StateDir, ".journal")
		if err != nil {
			return nil, err
		}
		for _, n := range left {
			if !teamRuns(p, n) {
				names = append(names, n)
			}
		}
		if len(names) == 0 {
			return []string{"nothing to restore"}, nil
		}
	}
	for _, n := range names {
		more, err := restore(p, n, forget, log)
		steps = append(steps, more...)
		if err != nil {
			return steps, err
		}
	}
	return steps, nil
}

// Restorable reports whether a team left something to restore and does not run.
func Restorable(p Dirs, name string) bool {
	_, err := os.Stat(p.journalFile(name))
	return err == nil && !teamRuns(p, name) && !host.Ended(p.StateDir, name)
}

func restore(p Dirs, name string, forget []string, log *slog.Logger) (steps []string, err error) {
	if teamRuns(p, name) {
		return nil, &team.Problem{Kind: team.Conflict, What: "restore " + name, Why: "the team's process runs",
			Fix: "nicteam delete " + name + " ends it and gives everything back"}
	}
	if _, err := os.Stat(p.journalFile(name)); os.IsNotExist(err) {
		return nil, &team.Problem{Kind: team.NotFound, What: "restore " + name, Why: "there is no journal of a team " + name + " in " + p.StateDir,
			Fix: "nicteam list shows the teams; nothing has to be restored for one that was deleted"}
	}
	if err := p.Make(); err != nil {
		return nil, err
	}
	mine, err := LockTeam(p, name)
	if err != nil {
		return nil, err
	}
	defer mine.Release()
	h, err := host.Open(host.Options{StateDir: p.StateDir, Team: name, Members: p.configuredNICs(name), Logger: log, Taken: TeamHolding})
	if err != nil {
		return nil, err
	}
	defer func() { _ = h.Close() }()
	for _, nic := range forget {
		if problem := h.CanForget(nic); problem != nil {
			return nil, problem
		}
	}
	back, err := h.Restore()
	for _, nic := range forget {
		kept := false
		if err == nil {
			kept, err = h.Forget(nic)
		}
		if err == nil && !kept {
			back.Notes = append(back.Notes, "there is nothing to forget of "+nic+": it is there, and has what it had")
		}
	}
	steps = append(steps, back.Notes...)
	if len(back.Members) > 0 {
		steps = append(steps, "given back: "+strings.Join(back.Members, ", "))
	}
	if back.Adapter != "" {
		steps = append(steps, "adapter "+back.Adapter+" removed")
	}
	if err != nil {
		return steps, err
	}
	_ = os.Remove(p.Socket(name))
	atomicfile.Remove(p.RunningConfig(name))
	p.RemoveLACPState(name)
	if !p.Persistent(name) {
		p.RemoveHistory(name)
	}
	return steps, nil
}

// configuredNICs are the NICs that a team's settings name, those of its last process first.
func (p Dirs) configuredNICs(name string) []string {
	for _, path := range []string{p.RunningConfig(name), p.configFile(name)} {
		if loaded, err := config.Load(config.Options{Path: path}); err == nil {
			return loaded.Config.MemberNames()
		}
	}
	return nil
}
