// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"nicteam/internal/api"
	"nicteam/internal/atomicfile"
	"nicteam/internal/config"
	"nicteam/internal/pending"
)

// A process begins with what the one before left of a change that waits for confirmation.

// findPending looks for such a change before the start. If it returns false, there is nothing to start.
//
//	a create, host given back   it is reverted by that                  ends
//	a delete whose time runs    waits for confirmation                  ends, or hands over
//	any other, given back       is reverted by a start without it
//	the team is on the host     goes on
func (o *Options) findPending(ctx context.Context) (goOn bool, err error) {
	name := o.Config.Team
	resumes := o.Resumes(name)
	if (o.Ready != nil || o.Change.Confirm > 0) && !resumes { // a create
		o.RemovePending(name)
		atomicfile.Remove(o.OutcomeFile(name))
		return true, o.beginCreate()
	}
	r, err := pending.Load(o.PendingFile(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		o.Log.Error("a change waits that nobody can revert", "team", name, "err", err)
		return true, nil
	}
	out, err := pending.LoadOutcome(o.OutcomeFile(name))
	o.confirmed = err == nil && out.Result == pending.Confirmed && out.Since.Equal(r.Since)
	switch o.record = r; {
	case resumes:
		return true, nil
	case o.confirmed:
		o.RemovePending(name)
		o.record = nil
		return true, nil
	case r.Verb == pending.Create:
		why := r.WhyReverted()
		o.Log.Warn("reverted", "team", name, "change", r.Change, "reason", why)
		if err := r.End(pending.Reverted, why, nil, nil).Save(o.OutcomeFile(name)); err != nil {
			o.Log.Warn("outcome of the change not written", "team", name, "err", err)
		}
		o.RemovePending(name)
		atomicfile.Remove(o.RunningConfig(name))
		return false, nil
	case r.Verb == pending.Delete && r.Left() > 0:
		return false, awaitConfirmation(ctx, *o, r)
	}
	was, err := loadBefore(o.BeforeConfig(name), name, r)
	if err != nil {
		return true, fmt.Errorf("read the configuration before %s: %w", r.Change, err)
	}
	o.Config, o.wentBack = was.config, true
	return true, nil
}

// beginCreate records a create that is to wait for confirmation.
func (o *Options) beginCreate() error {
	if o.Change.Confirm == 0 {
		return nil
	}
	o.record = pending.Begin(pending.Create, pending.Create, o.Change.Confirm)
	o.record.Persist = o.Persist
	if err := o.record.Save(o.PendingFile(o.Config.Team)); err != nil {
		return &api.Problem{Kind: api.Failed, What: "create " + o.Config.Team, Err: err,
			Why: "the change could not be recorded: " + err.Error(),
			Fix: "check free space and permissions in " + o.RunDir}
	}
	return nil
}

// dropCreate removes the record of a create that failed.
func (o *Options) dropCreate() {
	if o.record == nil || o.Change.Confirm == 0 {
		return
	}
	o.RemovePending(o.Config.Team)
	if !o.Resumes(o.Config.Team) { // the host was put back
		atomicfile.Remove(o.RunningConfig(o.Config.Team))
	}
}

// adoptPending makes a process that has started go on with the change that waits.
func (s *session) adoptPending(o Options) error {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	r, name := o.record, o.Config.Team
	s.unmade = nil
	switch {
	case r == nil:
		return nil
	case o.Change.Confirm > 0: // it has been created just now
		r.Done()
		if err := r.Save(s.dirs.PendingFile(name)); err != nil {
			return err
		}
		s.pend(r, snapshot{})
		return nil
	case o.wentBack:
		if err := s.saveConfig(); err != nil {
			s.log.Warn("configuration not saved", "team", name, "err", err)
		}
		s.reverted(r, name, r.WhyReverted(), nil, nil)
		return nil
	case o.confirmed: // and the process died before it was done with that
		s.confirm(r, name)
		return nil
	}
	was, err := loadBefore(s.dirs.BeforeConfig(name), name, r)
	if err != nil && r.Verb != pending.Create {
		s.log.Error("a change waits that nobody can revert", "team", name, "change", r.Change, "err", err)
		s.dirs.RemovePending(name)
		return nil
	}
	s.pend(r, was)
	return nil
}

// loadBefore reads what a change goes back to.
func loadBefore(path, name string, r *pending.Record) (snapshot, error) {
	l, err := config.Load(config.Options{Team: name, Path: path})
	if err != nil {
		return snapshot{}, err
	}
	was := snapshot{l.Config, r.MTU, r.WasActive}
	was.config.Active = r.Active
	return was, nil
}
