// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/control"
	"nicteam/internal/fastpath"
	"nicteam/internal/host"
	"nicteam/internal/launch"
	"nicteam/internal/settings"
)

// Plan returns what a change would do. Each change has its checks and its computation in common with its plan.
func (s *session) Plan(_ context.Context, c control.Change) (*api.Plan, error) {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	name := s.team.Config().Team
	if p := s.waiting(c.Verb + " " + name); p != nil && c.Verb != "delete" {
		return nil, p
	}
	switch c.Verb {
	case "add":
		return s.planAdd(name, s.realNames(c.NICs), c.Options)
	case "remove":
		return s.planRemove(name, s.realNames(c.NICs), c.Options.Force)
	case "set":
		return s.planSet(name, c.Settings)
	case "apply":
		return s.planApply(name, c.Config, c.Options)
	}
	return s.planDelete(name, c.Options.Force)
}

// consentTo is the consent of a change's options. With Accept the caller has checked what other programs lose.
func consentTo(o control.ChangeOptions) (consent host.Consent) {
	if o.Accept {
		consent |= host.ConsentChecked
	}
	if o.Force {
		consent |= host.ConsentForced
	}
	return consent
}

func (s *session) planAdd(name string, nics []string, o control.ChangeOptions) (*api.Plan, error) {
	c := s.team.Config()
	others, err := launch.Owners(s.dirs, c.Team)
	if err != nil {
		return nil, err
	}
	found, problem := s.host.CheckAdd(c, nics, others, consentTo(o))
	if problem != nil && len(found.Blocked) == 0 {
		return nil, problem
	}
	if problem := s.checkAdapterUp(c, nics); problem != nil {
		return nil, problem
	}
	plan := api.NewPlan(fmt.Sprintf("add %s to %s", strings.Join(nics, ", "), name))
	if err := s.host.PlanTakeover(plan, c, s.team.Status().Adapter.Name, nics); err != nil {
		return nil, err
	}
	plan.Blocked = append(plan.Blocked, found.Blocked...)
	plan.Risks = append(plan.Risks, found.Warnings...)
	plan.Effects = append(plan.Effects, fmt.Sprintf("the adapter and its connections stay as they are; connections of "+
		"%s go on through %s", strings.Join(nics, ", "), name))
	if !c.Address.FromMembers() {
		plan.Effects[len(plan.Effects)-1] = "the adapter and its connections stay as they are; connections of " +
			strings.Join(nics, ", ") + " end"
	}
	s.planFiles(plan)
	return plan, nil
}

func (s *session) planRemove(name string, nics []string, force bool) (*api.Plan, error) {
	c := s.team.Config()
	plan := api.NewPlan(fmt.Sprintf("remove %s from %s", strings.Join(nics, ", "), name))
	var members []string
	for _, nic := range nics {
		if s.isMissing(nic) {
			plan.Effects = append(plan.Effects, nic+" is absent and no longer expected")
		} else {
			members = append(members, nic)
		}
	}
	if problem := checkRemove(c, members, true); problem != nil {
		return nil, problem
	}
	last := len(members) == len(c.Members)
	if problem := checkRemove(c, members, false); problem != nil {
		plan.Blocked = append(plan.Blocked, api.PlanRisk{Why: problem.Why, Fix: problem.Fix, Accepted: force})
	}
	switch {
	case last:
		plan.Effects = append(plan.Effects, "connections stop: no NIC is left to carry them")
	case len(members) > 0:
		plan.Effects = append(plan.Effects, fmt.Sprintf(
			"connections go on by the other NICs; frames that are under way by %s still arrive",
			strings.Join(members, ", ")))
	}
	for _, nic := range members {
		if err := s.host.PlanRelease(plan, nic, s.isMACDonor(nic)); err != nil {
			return nil, err
		}
	}
	s.planFiles(plan)
	return plan, nil
}

func (s *session) planDelete(name string, force bool) (*api.Plan, error) {
	plan := api.NewPlan("delete " + name)
	adapter := s.team.Status().Adapter.Name
	if problem := launch.CheckAdapterUnused(s.host, name, adapter); problem != nil {
		plan.Blocked = append(plan.Blocked, api.PlanRisk{Why: problem.Why, Fix: problem.Fix, Accepted: force})
	}
	if err := s.host.PlanReleaseAll(plan); err != nil {
		return nil, err
	}
	plan.Effects = append(plan.Effects, fmt.Sprintf("%s ends; connections go on by the NICs that get their addresses",
		adapter))
	return plan, nil
}

// planFiles names the file that a change is written to.
func (s *session) planFiles(plan *api.Plan) {
	name := s.team.Config().Team
	if s.dirs.Persistent(name) {
		plan.Files = append(plan.Files, api.PlanFile{Path: s.dirs.ConfigFile(name), What: "settings of the team"})
	}
}

func (s *session) planSet(name string, changes map[string]string) (*api.Plan, error) {
	was := s.team.Config()
	changes = config.RealNames(changes, s.realName)
	next, steps, err := config.SetAll(was, changes)
	if err != nil {
		return nil, err
	}
	more, err := s.checkNewWatches(&was, &next)
	if err != nil {
		return nil, err
	}
	plan := api.NewPlan("set " + name + " " + control.Pairs(changes))
	for _, step := range append(steps, more...) {
		if text, ok := strings.CutPrefix(step, "warning: "); ok {
			plan.Risks = append(plan.Risks, text)
		}
	}
	for _, typed := range slices.Sorted(maps.Keys(changes)) {
		key, nic, _ := strings.Cut(settings.Canonical(typed), ".")
		p := api.PlanSetting{Key: key, From: settingText(&was, key, nic), To: settingText(&next, key, nic)}
		if nic != "" {
			p.Key += "." + nic
		}
		switch {
		case key == "mtu":
			p.From, p.To = fmt.Sprint(s.mtu), fmt.Sprint(next.MTU)
			if err := s.host.CheckMTU(s.adapter.Index(), next.MTU); next.MTU != 0 && err != nil {
				return nil, err
			}
		case key == "datapath" && next.Datapath == "fastpath" && !s.path.Engaged():
			if err := fastpath.Probe(); err != nil {
				return nil, launch.FastpathProblem("set datapath="+next.Datapath+" of "+name, err)
			}
		}
		if p.Effect = "go on: nothing changes"; p.From != p.To {
			p.Effect = setEffect(key, &was, &next)
		}
		plan.Settings = append(plan.Settings, p)
	}
	s.planFiles(plan)
	return plan, nil
}

// settingText is the value of a setting, of a NIC where it is one of NICs.
func settingText(c *settings.Config, key, nic string) string {
	if nic == "" {
		return settings.Find(key).Text(c)
	}
	i := c.Index(nic)
	if i < 0 {
		return ""
	}
	switch m := &c.Members[i]; key {
	case "weight":
		return fmt.Sprint(m.Weight)
	case "port_priority":
		return fmt.Sprint(m.PortPriority)
	}
	return ""
}
