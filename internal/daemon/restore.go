package daemon

import (
	"context"
	"log/slog"
	"os"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/host"
)

// Restore puts the host back from the journal of a team whose process is gone; "" means all teams that
// have a journal and do not run. forget are NICs that were not there then and are not waited for any more.
func Restore(_ context.Context, p Places, name string, forget []string, log *slog.Logger) (steps []string, err error) {
	useSafePath()
	names := []string{name}
	if name == "" {
		names = nil
		left, err := named(p.StateDir, ".journal")
		if err != nil {
			return nil, err
		}
		for _, n := range left {
			if !runs(p, n) {
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
func Restorable(p Places, name string) bool {
	_, err := os.Stat(p.journal(name))
	return err == nil && !runs(p, name) && !host.Ended(p.StateDir, name)
}

func restore(p Places, name string, forget []string, log *slog.Logger) (steps []string, err error) {
	if runs(p, name) {
		return nil, &api.Problem{Code: api.Conflict, What: "restore " + name, Why: "the team's process runs",
			Fix: "nicteam delete " + name + " ends it and gives everything back"}
	}
	if _, err := os.Stat(p.journal(name)); os.IsNotExist(err) {
		return nil, &api.Problem{Code: api.NotFound, What: "restore " + name, Why: "there is no journal of a team " + name + " in " + p.StateDir,
			Fix: "nicteam list shows the teams; nothing has to be restored for one that was deleted"}
	}
	if err := p.make(); err != nil {
		return nil, err
	}
	mine, err := acquire(p, name)
	if err != nil {
		return nil, err
	}
	defer mine.release()
	h, err := host.Open(host.Options{StateDir: p.StateDir, Team: name, Members: p.settled(name), Logger: log, Taken: takenBy})
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
		steps = append(steps, "given back: "+joined(back.Members))
	}
	if back.Adapter != "" {
		steps = append(steps, "adapter "+back.Adapter+" removed")
	}
	if err != nil {
		return steps, err
	}
	_ = os.Remove(p.socket(name))
	discard(p.running(name))
	p.forgetMemory(name)
	if !p.comesBack(name) {
		p.forgetPast(name)
	}
	return steps, nil
}

// settled are the NICs that a team's settings name, those of its last process first.
func (p Places) settled(name string) []string {
	for _, path := range []string{p.running(name), p.config(name)} {
		if loaded, err := config.Load(config.Options{Path: path}); err == nil {
			return memberNames(loaded.Config)
		}
	}
	return nil
}
