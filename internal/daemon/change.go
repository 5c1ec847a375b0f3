// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/control"
	"nicteam/internal/host"
	"nicteam/internal/launch"
	"nicteam/internal/nearest"
	"nicteam/internal/pending"
	"nicteam/internal/settings"
	"nicteam/monitor"
)

var _ control.Backend = (*session)(nil)

// Add joins NICs to the running team, all of them or none. With o.Accept the caller has checked what other programs
// lose (launch.CheckAdd), or accepts it unseen.
func (s *session) Add(ctx context.Context, names []string, o control.ChangeOptions) (steps []string, err error) {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	c := aChange{verb: pending.Add, text: "add " + strings.Join(names, " "), o: o, nics: names}
	c.what = c.text + " to " + s.team.Config().Team
	return s.change(c, func() ([]string, error) { return s.addLocked(ctx, names, o) })
}

// addLocked is Add. The caller holds changeMu.
func (s *session) addLocked(ctx context.Context, names []string, o control.ChangeOptions) (steps []string, err error) {
	defer s.updateFollower()
	c := s.team.Config()
	names = s.realNames(names)
	err = s.dirs.Exclusive(func() error {
		others, err := launch.Owners(s.dirs, c.Team)
		if err != nil {
			return err
		}
		found, problem := s.host.CheckAdd(c, names, others, consentTo(o))
		if problem == nil {
			problem = s.checkAdapterUp(c, names)
		}
		if problem != nil {
			return problem
		}
		for _, w := range found.Warnings {
			steps = append(steps, "warning: "+w)
		}
		if err := s.lockNICs("add to "+c.Team, names); err != nil {
			return err
		}
		return s.recordNICs(names)
	})
	if err != nil {
		return nil, err
	}
	// A caller that goes away must not leave a NIC half joined.
	ctx = context.WithoutCancel(ctx)
	fast := s.path.Engaged()
	for i, name := range names {
		if err := s.addNIC(ctx, name); err != nil {
			for _, before := range names[:i] {
				if _, e := s.removeMember(ctx, before, true); e != nil {
					err = errors.Join(err, e)
				}
			}
			for _, after := range names[i+1:] {
				if _, e := s.host.Release(after, false); e != nil {
					err = errors.Join(err, e)
				}
			}
			return nil, err
		}
		s.recordFilters([]string{name})
		s.forgetMissing(ctx, name)
		steps = append(steps, name+" joined "+c.Team)
		if fast && !s.path.Engaged() {
			fast = false
			steps = append(steps,
				"warning: fell back to the relay because of "+name+": nicteam status "+c.Team+" says why")
		}
	}
	return steps, s.saveConfig()
}

// checkAdapterUp refuses NICs whose addresses would move to an adapter that is down: routes need it up.
func (s *session) checkAdapterUp(c settings.Config, names []string) *api.Problem {
	a, err := s.host.LinkAt(s.adapter.Index())
	if err != nil || a.AdminUp || !c.Address.FromMembers() {
		return nil
	}
	return &api.Problem{Kind: api.Conflict, What: fmt.Sprintf("add %s to %s", strings.Join(names, ", "), c.Team),
		Why: a.Name + " is down, and addresses and routes can only move to it while it is up",
		Fix: "ip link set " + a.Name + " up, then add them"}
}

// realName replaces an altname by the name of its NIC. The name of a member stays: its NIC may be absent. The caller
// holds changeMu.
func (s *session) realName(name string) string {
	if s.isMissing(name) || slices.Contains(s.team.Config().MemberNames(), name) {
		return name
	}
	return s.host.RealName(name)
}

func (s *session) realNames(names []string) []string {
	real := make([]string, len(names))
	for i, name := range names {
		real[i] = s.realName(name)
	}
	return real
}

// addNIC joins a NIC that is in the journal, or puts it back.
func (s *session) addNIC(ctx context.Context, name string) error {
	n, err := s.host.NIC(name)
	if err != nil {
		return err
	}
	moveAddresses := s.team.Config().Address.FromMembers()
	if moveAddresses {
		err = s.host.RebindConnections([]string{name})
	}
	if err == nil {
		err = s.joinNIC(ctx, name, 0, n)
	}
	if err == nil && moveAddresses {
		err = s.host.Adopt(s.adapter.Index(), []string{name})
	}
	if err == nil {
		err = s.host.Strip(name, s.memberSetup())
	}
	if err == nil {
		err = s.syncLinks(ctx)
	}
	if err == nil {
		// Neighbours have the addresses of this NIC with its MAC, not the adapter's.
		err = s.team.Announce(ctx)
	}
	if err == nil {
		return nil
	}
	_ = s.team.Leave(ctx, name, true)
	_, back := s.host.Release(name, false)
	return &api.Problem{Kind: api.Reverted, What: fmt.Sprintf("add %s to %s", name, s.team.Config().Team),
		Why: err.Error() + "; the NIC was released", Err: errors.Join(err, back),
		Fix: "nicteam list shows the NICs of this host"}
}

// memberSetup is the configuration of a member NIC.
func (s *session) memberSetup() host.MemberSetup {
	return host.MemberSetup{MTU: s.mtu, GRO: s.team.Config().GRO, KeepLeases: s.moves.watched}
}

// Remove drains members and releases their NICs.
func (s *session) Remove(ctx context.Context, names []string, o control.ChangeOptions) (steps []string, err error) {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	c := aChange{verb: pending.Remove, text: "remove " + strings.Join(names, " "), o: o}
	c.what = c.text + " from " + s.team.Config().Team
	return s.change(c, func() ([]string, error) { return s.removeLocked(ctx, names, o) })
}

// removeLocked is Remove. The caller holds changeMu.
func (s *session) removeLocked(ctx context.Context, names []string, o control.ChangeOptions) (steps []string,
	err error) {
	c := s.team.Config()
	var members, missing []string
	for _, name := range s.realNames(names) {
		if s.isMissing(name) {
			missing = append(missing, name)
		} else {
			members = append(members, name)
		}
	}
	if problem := checkRemove(c, members, o.Force); problem != nil {
		return nil, problem
	}
	ctx = context.WithoutCancel(ctx)
	defer s.updateFollower()
	for _, name := range missing {
		s.forgetMissing(ctx, name)
		steps = append(steps, name+" is absent and no longer expected")
	}
	for _, name := range members {
		step, err := s.removeMember(ctx, name, o.Force)
		if err != nil {
			return steps, err
		}
		steps = append(steps, step...)
		_ = s.team.Warn(ctx, rejoinKey(name), "")
	}
	s.datapath.retry()
	return steps, s.saveConfig()
}

// checkRemove refuses before anything is changed.
func checkRemove(c settings.Config, names []string, force bool) *api.Problem {
	members := c.MemberNames()
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			return &api.Problem{Kind: api.Usage, What: "remove " + name, Why: "named twice", Fix: "name it once"}
		}
		seen[name] = true
		if !slices.Contains(members, name) {
			fix := "members are " + strings.Join(members, ", ")
			if near := nearest.Word(name, members); near != "" {
				fix = "did you mean " + near + "? " + fix
			}
			return &api.Problem{Kind: api.NotFound, What: fmt.Sprintf("remove %s from %s", name, c.Team),
				Why: name + " is not a member", Fix: fix}
		}
	}
	if len(names) > 0 && len(names) == len(members) && !force {
		return &api.Problem{Kind: api.Conflict,
			What: fmt.Sprintf("remove %s from %s", strings.Join(names, ", "), c.Team),
			Why:  "no member would be left, and the host would have no network through " + c.Team,
			Fix:  "nicteam delete " + c.Team + " puts the host back; --force removes the last member nevertheless"}
	}
	return nil
}

// removeMember drains a member and releases its NIC.
func (s *session) removeMember(ctx context.Context, name string, force bool) (steps []string, err error) {
	if err := s.team.Drain(ctx, name, force); err != nil {
		return nil, err
	}
	index, donor := s.memberIndex(name), s.isMACDonor(name)
	// The NIC is still isolated: the host receives no frame twice.
	if err := s.team.Leave(ctx, name, force); err != nil {
		return nil, err
	}
	note, err := s.host.Release(name, donor)
	if err != nil && index != 0 {
		return nil, fmt.Errorf("release %s: %w", name, err)
	}
	steps = []string{name + " left " + s.team.Config().Team}
	if note != "" {
		steps = append(steps, note)
	}
	return steps, nil
}

// memberIndex returns the ifindex of a member, 0 if its NIC is absent.
func (s *session) memberIndex(name string) int {
	for _, m := range s.team.Members() {
		if m.Name == name && m.State != "absent" {
			return m.Index
		}
	}
	return 0
}

// Set changes live settings, all of them or none.
func (s *session) Set(ctx context.Context, typed map[string]string, o control.ChangeOptions) ([]string, error) {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	c := aChange{verb: pending.Set, text: "set " + control.Pairs(typed), o: o, harmless: settings.Harmless(typed)}
	c.what = "set " + s.team.Config().Team
	return s.change(c, func() ([]string, error) { return s.setLocked(ctx, typed) })
}

// setLocked is Set. The caller holds changeMu.
func (s *session) setLocked(ctx context.Context, settings map[string]string) ([]string, error) {
	was := s.team.Config()
	settings = config.RealNames(settings, s.realName)
	next, steps, err := config.SetAll(was, settings)
	if err != nil {
		return nil, err
	}
	warnings, err := s.checkNewWatches(&was, &next)
	if err != nil {
		return nil, err
	}
	steps = append(steps, warnings...)
	named := func(key string) bool {
		for k := range settings {
			if strings.EqualFold(k, key) {
				return true
			}
		}
		return false
	}
	pathNamed := named("datapath")
	if pathNamed {
		if err := s.datapath.setWanted(next.Datapath); err != nil {
			return nil, launch.FastpathProblem("set datapath="+next.Datapath+" of "+was.Team, err)
		}
	}
	if err := s.applySettings(ctx, next, named("mtu")); err != nil {
		if pathNamed {
			err = errors.Join(err, s.datapath.setWanted(was.Datapath))
		}
		return nil, err
	}
	s.watchTargets.wakeUp()
	return steps, s.saveConfig()
}

// checkNewWatches checks those link watches that are new. It returns warnings as steps.
func (s *session) checkNewWatches(was, next *settings.Config) (steps []string, err error) {
	added := slices.DeleteFunc(next.Watches(), func(w monitor.Spec) bool {
		return slices.Contains(was.LinkWatch, w.String())
	})
	warnings, problem := s.host.CheckWatches(s.adapter.Index(), added)
	if problem != nil {
		problem.What = "set " + was.Team + ": " + problem.What
		return nil, problem
	}
	for _, w := range warnings {
		steps = append(steps, "warning: "+w)
	}
	return steps, nil
}

// applySettings changes the MTU, if it is named, and the settings of the control loop.
func (s *session) applySettings(ctx context.Context, next settings.Config, mtuNamed bool) error {
	was := s.mtu
	if mtuNamed && next.MTU != 0 {
		if err := s.setMTU(ctx, next.MTU); err != nil {
			return err
		}
	}
	if err := s.team.Set(ctx, next); err != nil {
		if s.mtu != was {
			err = errors.Join(err, s.setMTU(ctx, was))
		}
		return err
	}
	return nil
}

// Delete puts the host back and ends the process. Interfaces on top of the adapter would end with it: that needs force.
func (s *session) Delete(ctx context.Context, o control.ChangeOptions) (steps []string, err error) {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	name := s.team.Config().Team
	r := s.pending.Load()
	switch {
	case isClosed(s.handedOver):
		return nil, &api.Problem{Kind: api.NoAnswer, What: "delete " + name, Why: "its next process is about to start",
			Fix: "retry"}
	case r != nil && r.Verb == pending.Create && !s.isOver():
		return s.revertChange(r, "the team was deleted")
	case r != nil:
		return nil, waitingProblem("delete "+name, name, r)
	}
	if problem := launch.CheckAdapterUnused(s.host, name, s.team.Status().Adapter.Name); problem != nil && !o.Force {
		return nil, problem
	}
	if o.Confirm > 0 {
		return s.deleteForNow(name, o)
	}
	test := s.beginGivenBackTest(o)
	steps, err = s.giveBack()
	if err != nil {
		return steps, deleteProblem(name, err)
	}
	steps = append(steps, test.steps(name)...)
	s.removeFiles(name)
	s.endOnce.Do(func() { close(s.deleted) })
	return steps, nil
}

func deleteProblem(name string, err error) *api.Problem {
	return &api.Problem{Kind: api.Failed, What: "delete " + name, Why: err.Error(), Fix: "nicteam restore " + name,
		Err: err}
}

// runningConfig is the configuration for the next start. The caller holds changeMu.
func (s *session) runningConfig() settings.Config {
	c := s.team.Config()
	c.Members = append(c.Members, s.missing...)
	return c
}

// saveConfig writes the configuration for the next start. What waits for confirmation is only for a start before the
// next boot.
func (s *session) saveConfig() error {
	c := s.runningConfig()
	files := s.dirs.ConfigFiles(c.Team)
	if s.unmade != nil || s.pending.Load() != nil {
		files = []string{s.dirs.RunningConfig(c.Team)}
	}
	for _, path := range files {
		if err := config.Update(path, c); err != nil {
			return &api.Problem{Kind: api.Failed, What: "save " + path, Err: err,
				Why: err.Error() + "; the change holds until the team's process ends",
				Fix: "check free space and permissions there, then retry"}
		}
	}
	return nil
}
