// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/atomicfile"
	"nicteam/internal/config"
	"nicteam/internal/control"
	"nicteam/internal/pending"
	"nicteam/internal/settings"
	"nicteam/team"
)

// Changes that wait for confirmation (package pending). While one waits, it is in force and in the running
// configuration; TEAM.yaml and the unit are as before. Confirm writes them. Without it the deadline reverts the change:
//
//	create  the host is given back, the process ends
//	add     those NICs leave
//	remove  they join again
//	set     the settings before
//	delete  the team is made anew (delete_pending.go)
//
// A process that is started anew goes on with the record. If the host was given back meanwhile, because no process
// could live, the change is reverted by that.

// aChange is a change of the running team.
type aChange struct {
	verb string // of package pending
	text string // add eth3
	what string // add eth3 to team0: for problems
	o    control.ChangeOptions
	was  snapshot

	edited   string   // the text of the configuration, if somebody edited it
	nics     []string // that join
	harmless bool     // it cannot cut the host off
}

// snapshot is what of a team a change may change.
type snapshot struct {
	config settings.Config // with absent members
	mtu    int             // of the adapter
	active string          // the member that sends everything; "" if the mode has none
}

func (s *session) snapshot() snapshot {
	c := s.runningConfig()
	c.Members = slices.Clone(c.Members)
	return snapshot{c, s.mtu, s.oneActive(&c)}
}

// change makes a change of the running team. The caller holds changeMu.
func (s *session) change(c aChange, do func() ([]string, error)) ([]string, error) {
	if p := s.waiting(c.what); p != nil {
		return nil, p
	}
	if err := s.beforeChange(&c); err != nil {
		return nil, err
	}
	steps, err := s.tested(&c, do)
	return s.afterChange(&c, steps, err)
}

// beforeChange notes the team as it is, on disk if the change is to wait for confirmation.
func (s *session) beforeChange(c *aChange) error {
	c.was = s.snapshot()
	if c.o.Confirm == 0 {
		return nil
	}
	return s.recordChange(c, pending.Begin(c.verb, c.text, c.o.Confirm))
}

// afterChange makes the change wait for confirmation, or undoes what is left of one that failed.
func (s *session) afterChange(c *aChange, steps []string, err error) ([]string, error) {
	r := s.unmade
	s.unmade = nil
	if r == nil {
		return steps, err
	}
	if err == nil {
		r.Done()
		if err = r.Save(s.dirs.PendingFile(c.was.config.Team)); err == nil {
			s.pend(r, c.was)
			return append(steps, fmt.Sprintf("%s is reverted in %v unless it is confirmed: nicteam confirm %s", c.text,
				c.o.Confirm, c.was.config.Team)), nil
		}
	}
	undone, faults := s.goBack(context.Background(), c.was)
	for _, text := range slices.Concat(undone, faults) {
		s.log.Warn("change undone", "team", c.was.config.Team, "change", c.text, "what", text)
	}
	s.dirs.RemovePending(c.was.config.Team)
	return nil, errors.Join(err, s.saveConfig())
}

// recordChange writes the record of a change that is about to be made, with what it goes back to.
func (s *session) recordChange(c *aChange, r *pending.Record) error {
	name := c.was.config.Team
	r.Active, r.MTU, r.WasActive = c.was.config.Active, c.was.mtu, c.was.active
	atomicfile.Remove(s.dirs.OutcomeFile(name)) // of an earlier change
	atomicfile.Remove(s.dirs.EditedText(name))
	err := config.Save(s.dirs.BeforeConfig(name), c.was.config)
	if err == nil && c.edited != "" {
		err = config.WriteText(s.dirs.EditedText(name), c.edited)
	}
	if err == nil {
		err = r.Save(s.dirs.PendingFile(name))
	}
	if err != nil {
		s.dirs.RemovePending(name)
		return &api.Problem{Kind: api.Failed, What: c.what, Why: "the change could not be recorded: " + err.Error(),
			Fix: "check free space and permissions in " + s.dirs.RunDir, Err: err}
	}
	s.unmade = r
	return nil
}

// pend makes a change wait for confirmation.
func (s *session) pend(r *pending.Record, was snapshot) {
	s.was = was
	s.pending.Store(r)
	select {
	case s.pendingChanged <- struct{}{}:
	default:
	}
}

// waiting refuses what because a change waits.
func (s *session) waiting(what string) *api.Problem {
	r := s.pending.Load()
	if r == nil {
		return nil
	}
	return waitingProblem(what, s.team.Config().Team, r)
}

func waitingProblem(what, name string, r *pending.Record) *api.Problem {
	return &api.Problem{Kind: api.Conflict, What: what,
		Why: fmt.Sprintf("another change waits for confirmation: %s, which is reverted in %v", r.Change,
			r.Left().Round(time.Second)),
		Fix: fmt.Sprintf("nicteam confirm %s keeps it, nicteam revert %s undoes it", name, name)}
}

// Confirm keeps the change that waits.
func (s *session) Confirm(context.Context) (steps []string, err error) {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	name := s.team.Config().Team
	r := s.pending.Load()
	if r == nil || s.isOver() {
		return nil, notPending("confirm "+name, name, s.dirs.OutcomeFile(name))
	}
	return s.confirm(r, name), nil
}

// confirm keeps a change. What says that it is confirmed is written first: from then on no process reverts it.
func (s *session) confirm(r *pending.Record, name string) (steps []string) {
	steps = []string{r.Change + " is confirmed"}
	var faults []string
	if err := r.End(pending.Confirmed, "", steps, nil).Save(s.dirs.OutcomeFile(name)); err != nil {
		faults = append(faults, err.Error())
	}
	s.pending.Store(nil)
	if r.Persist {
		if err := config.Update(s.dirs.ConfigFile(name), s.runningConfig()); err != nil {
			faults = append(faults, fmt.Sprintf("%s not written, the team will not start at boot: %v",
				s.dirs.ConfigFile(name), err))
		}
		s.keepLastConfig(s.runningConfig())
	}
	if err := s.saveConfig(); err != nil {
		faults = append(faults, err.Error())
	}
	if text, err := config.ReadText(s.dirs.EditedText(name)); err == nil {
		if err := s.writeEdited(text); err != nil {
			faults = append(faults, err.Error())
		}
	}
	s.dirs.RemovePending(name)
	s.team.Record("confirmed", "", r.Change)
	s.log.Info("confirmed", "team", name, "change", r.Change)
	for _, text := range faults {
		s.log.Warn("confirmed, but", "team", name, "what", text)
		steps = append(steps, "warning: "+text)
	}
	return steps
}

// notPending is the problem of a confirm or revert without a change that waits.
func notPending(what, name, outcome string) *api.Problem {
	p := &api.Problem{Kind: api.Conflict, What: what, Why: "no change of " + name + " waits for confirmation",
		Fix: "nicteam status " + name}
	if o, err := pending.LoadOutcome(outcome); err == nil {
		p.Why += "; " + o.Text()
		if o.Result == pending.Reverted {
			p.Kind = api.Reverted
		}
	}
	return p
}

// Revert undoes the change that waits.
func (s *session) Revert(context.Context) (steps []string, err error) {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	name := s.team.Config().Team
	r := s.pending.Load()
	if r == nil || s.isOver() {
		return nil, notPending("revert "+name, name, s.dirs.OutcomeFile(name))
	}
	return s.revertChange(r, "it was asked for")
}

// revertChange undoes the change that waits. The caller holds changeMu.
func (s *session) revertChange(r *pending.Record, why string) (steps []string, err error) {
	name := s.team.Config().Team
	if r.Verb == pending.Create {
		return s.revertCreate(r, name, why)
	}
	steps, faults := s.goBack(context.Background(), s.was)
	s.pending.Store(nil)
	if err := s.saveConfig(); err != nil { // all files: the team may have followed a rename
		faults = append(faults, err.Error())
	}
	s.reverted(r, name, why, steps, faults)
	steps = append([]string{r.Change + " is reverted"}, steps...)
	for _, text := range faults {
		steps = append(steps, "warning: "+text)
	}
	return steps, nil
}

// reverted records that a change was reverted. The record goes last: going back twice does no harm.
func (s *session) reverted(r *pending.Record, name, why string, steps, faults []string) {
	s.team.Record("reverted", "", r.Change+": "+why)
	s.log.Warn("reverted", "team", name, "change", r.Change, "reason", why, "steps", steps, "faults", faults)
	if err := r.End(pending.Reverted, why, steps, faults).Save(s.dirs.OutcomeFile(name)); err != nil {
		s.log.Warn("outcome of the change not written", "team", name, "err", err)
	}
	s.dirs.RemovePending(name)
}

// revertCreate gives the host back and ends the process. TEAM.yaml, if there is one, is of an earlier team.
func (s *session) revertCreate(r *pending.Record, name, why string) (steps []string, err error) {
	s.pending.Store(nil)
	steps, err = s.giveBackAndStop()
	if err != nil {
		s.pending.Store(r)
		return steps, &api.Problem{Kind: api.Failed, What: "revert " + name, Why: err.Error(),
			Fix: "nicteam restore " + name, Err: err}
	}
	s.reverted(r, name, why, steps, nil)
	s.revertedWhy = why
	s.endOnce.Do(func() { close(s.deleted) })
	return append([]string{r.Change + " is reverted"}, steps...), nil
}

// goBack makes members and settings what they were. It does all that can be done: steps are what was, faults what could
// not be. NICs join before others leave, so that the host is reached all the time. The caller holds changeMu.
func (s *session) goBack(ctx context.Context, was snapshot) (steps, faults []string) {
	defer s.updateFollower()
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	is := s.runningConfig()
	for _, m := range was.config.Members {
		if is.Index(m.Name) >= 0 {
			continue
		}
		if _, err := s.host.NIC(m.Name); err != nil {
			fault("%s is not there: it joins when it is", m.Name)
		} else if done, err := s.addLocked(ctx, []string{m.Name}, control.ChangeOptions{Accept: true}); err != nil {
			fault("%s does not join: %v", m.Name, err)
		} else {
			steps = append(steps, done...)
			continue
		}
		s.missing = append(s.missing, m)
		_ = s.warnMissing(ctx)
	}
	for _, m := range is.Members {
		if was.config.Index(m.Name) >= 0 {
			continue
		}
		if s.isMissing(m.Name) {
			s.forgetMissing(ctx, m.Name)
			steps = append(steps, m.Name+" is absent and no longer expected")
		} else if done, err := s.removeMember(ctx, m.Name, true); err != nil {
			fault("%s does not leave: %v", m.Name, err)
		} else {
			steps = append(steps, done...)
		}
	}
	done, more := s.goBackToSettings(ctx, was)
	if text := s.goBackToActive(ctx, was); text != "" {
		more = append(more, text)
	}
	s.datapath.retry()
	s.watchTargets.wakeUp()
	return append(steps, done...), append(faults, more...)
}

// goBackToSettings makes the settings what they were.
func (s *session) goBackToSettings(ctx context.Context, was snapshot) (steps, faults []string) {
	is := s.team.Config()
	next := was.config
	next.Team, next.Members = is.Team, slices.Clone(is.Members)
	for i := range next.Members {
		if j := was.config.Index(next.Members[i].Name); j >= 0 {
			next.Members[i] = was.config.Members[j]
		}
	}
	if was.mtu != 0 && was.mtu != s.mtu {
		if err := s.setMTU(ctx, was.mtu); err != nil {
			faults = append(faults, fmt.Sprintf("the MTU stays %d: %v", s.mtu, err))
		} else {
			steps = append(steps, fmt.Sprintf("mtu=%d", was.mtu))
		}
	}
	if next.Datapath != is.Datapath {
		if err := s.datapath.setWanted(next.Datapath); err != nil {
			faults = append(faults, fmt.Sprintf("datapath stays %s: %v", is.Datapath, err))
			next.Datapath = is.Datapath
		}
	}
	// A NIC that was chosen by hand or as primary may be gone or unusable.
	for _, without := range []func(){func() {}, func() { next.Active = "" }, func() { next.Primary = is.Primary }} {
		without()
		err := s.team.Set(ctx, next)
		if err == nil {
			return append(steps, settingsThatDiffer(&is, &next)...), faults
		}
		faults = append(faults, err.Error())
	}
	return steps, faults
}

// settingsThatDiffer returns the settings of next that are others than in is, as KEY=VALUE.
func settingsThatDiffer(is, next *settings.Config) (list []string) {
	for i := range settings.Table {
		t := &settings.Table[i]
		if !t.Live || t.PerNIC || t.Key == "members" || t.Key == "mtu" || t.Text(is) == t.Text(next) {
			continue
		}
		if text := t.Text(next); text != "" {
			list = append(list, t.Key+"="+text)
		} else {
			list = append(list, t.Key+" is not set")
		}
	}
	return list
}

// followPending reverts the change that waits when its time is over, until ctx ends.
func (s *session) followPending(ctx context.Context) {
	const (
		look  = time.Second     // timers stand still during a suspend, and the deadline does not
		retry = 5 * time.Second // after a give-back that failed
	)
	for {
		wait := time.Hour
		if r := s.pending.Load(); r != nil {
			if wait = min(r.Left(), look); wait == 0 {
				if err := s.revertOverdue(ctx); err != nil {
					s.log.Error("change not reverted", "team", s.team.Config().Team, "err", err)
					wait = retry
				}
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.pendingChanged:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// revertOverdue reverts the change that waits if its time is over.
func (s *session) revertOverdue(ctx context.Context) error {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	r := s.pending.Load()
	if r == nil || r.Left() > 0 || s.hasEnded(ctx) {
		return nil
	}
	_, err := s.revertChange(r, r.WhyReverted())
	return err
}

// renamePending follows renames of members in what a change goes back to: NICs that left with it are not followed.
func (s *session) renamePending(names map[string]string) {
	if s.pending.Load() == nil || len(names) == 0 {
		return
	}
	rename := func(name string) string {
		if is, ok := names[name]; ok {
			return is
		}
		return team.NameAfterRenames(name, names)
	}
	c := &s.was.config
	for i := range c.Members {
		c.Members[i].Name = rename(c.Members[i].Name)
	}
	c.Primary, c.Active = rename(c.Primary), rename(c.Active)
	s.was.active = rename(s.was.active)
	if err := config.Save(s.dirs.BeforeConfig(c.Team), *c); err != nil {
		s.log.Warn("what the change goes back to has old names", "team", c.Team, "err", err)
	}
}
