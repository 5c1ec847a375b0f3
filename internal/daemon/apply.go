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
	"nicteam/internal/pending"
	"nicteam/internal/settings"
)

// Apply makes NICs and settings what a configuration says, as one change: all of it or nothing.
func (s *session) Apply(ctx context.Context, want control.Config, o control.ChangeOptions) ([]string, error) {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	d, err := s.difference(want)
	switch {
	case err != nil:
		return nil, err
	case d.Empty():
		return s.keepEdited(nil, want)
	}
	c := aChange{verb: pending.Apply, text: "apply", o: o, nics: d.Add, harmless: len(d.Add)+len(d.Remove) == 0 &&
		settings.Harmless(d.Set)}
	c.what = "apply to " + s.team.Config().Team
	if want.Was != "" {
		c.edited = want.YAML
	}
	steps, err := s.change(c, func() ([]string, error) {
		before := s.snapshot()
		steps, err := s.applyLocked(ctx, d, o)
		if err == nil || s.unmade != nil { // afterChange undoes it
			return steps, err
		}
		undone, faults := s.goBack(context.WithoutCancel(ctx), before)
		s.log.Warn("change undone", "team", before.config.Team, "change", c.text, "reason", err, "steps", undone,
			"faults", faults)
		if e := s.saveConfig(); e != nil {
			faults = append(faults, e.Error())
		}
		if p, ok := errors.AsType[*api.Problem](err); ok && len(faults) > 0 {
			p.Why += "; not all of the change was undone: " + strings.Join(faults, "; ")
		}
		return nil, err
	})
	if err != nil || s.pending.Load() != nil { // what waits is written when it is confirmed
		return steps, err
	}
	return s.keepEdited(steps, want)
}

// applyLocked adds NICs before others leave, so that the host is reached all the time, and changes settings when both
// are there: they may name them.
func (s *session) applyLocked(ctx context.Context, d *config.Difference, o control.ChangeOptions) (steps []string,
	err error) {
	do := func(more []string, e error) {
		steps, err = append(steps, more...), e
	}
	if len(d.Add) > 0 {
		do(s.addLocked(ctx, d.Add, o))
	}
	if err == nil && len(d.Set) > 0 {
		do(s.setLocked(ctx, d.Set))
	}
	if err == nil && len(d.Remove) > 0 {
		do(s.removeLocked(ctx, d.Remove, o))
	}
	return steps, err
}

// difference returns what a configuration changes of the team.
func (s *session) difference(text control.Config) (*config.Difference, error) {
	is := s.runningConfig()
	want, err := s.parseWanted(is.Team, text)
	if err != nil {
		return nil, err
	}
	if want.Team != is.Team {
		return nil, &api.Problem{Kind: api.Usage, What: "apply to " + is.Team,
			Why: "the configuration is of " + want.Team, Fix: "give the one of " + is.Team}
	}
	for i := range want.Members {
		want.Members[i].Name = s.realName(want.Members[i].Name)
	}
	d := config.Differ(&is, &want)
	if len(d.Fixed) > 0 {
		return nil, &api.Problem{Kind: api.Conflict, What: "apply to " + is.Team,
			Why: fmt.Sprintf("%s cannot change while the team runs", strings.Join(d.Fixed, ", ")),
			Fix: fmt.Sprintf("nicteam delete %s, then apply again; or leave as it is: %s", is.Team,
				fixedAre(&is, d.Fixed))}
	}
	return d, nil
}

// fixedAre writes settings as a file has them.
func fixedAre(c *settings.Config, keys []string) string {
	var list []string
	for _, key := range keys {
		list = append(list, key+": "+settings.Find(key).Text(c))
	}
	return strings.Join(list, ", ")
}

// planApply is the plan of Apply.
func (s *session) planApply(name string, want control.Config, o control.ChangeOptions) (*api.Plan, error) {
	d, err := s.difference(want)
	if err != nil {
		return nil, err
	}
	plan := api.NewPlan("apply to " + name)
	do := func(part *api.Plan, e error) {
		if err = e; e == nil {
			plan.Append(part)
		}
	}
	if len(d.Add) > 0 {
		do(s.planAdd(name, d.Add, o))
	}
	changes := map[string]string{}
	for key, to := range d.Set {
		if _, nic, _ := strings.Cut(key, "."); slices.Contains(d.Add, nic) {
			plan.Settings = append(plan.Settings, api.PlanSetting{Key: key, To: to, Effect: "go on: nothing changes"})
		} else {
			changes[key] = to
		}
	}
	if err == nil && len(changes) > 0 {
		do(s.planSet(name, changes))
	}
	if err == nil && len(d.Remove) > 0 {
		do(s.planRemove(name, d.Remove, o.Force))
	}
	return plan, err
}
