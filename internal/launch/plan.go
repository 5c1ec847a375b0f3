// SPDX-License-Identifier: MIT

package launch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/host"
	"nicteam/internal/managers"
	"nicteam/internal/settings"
	"nicteam/internal/ssh"
)

// planCreate is what create does to this host. found is what the checks have said.
func (o CreateOptions) planCreate(ctx context.Context, h *host.Host, c settings.Config,
	found host.Findings) (*api.Plan, error) {
	plan := api.NewPlan("create " + c.Team)
	if err := h.PlanTakeover(plan, c, c.Team, c.MemberNames()); err != nil {
		return nil, err
	}
	plan.Blocked = append(plan.Blocked, found.Blocked...)
	if c.Address == settings.AddressDHCP {
		plan.Effects = append(plan.Effects, fmt.Sprintf("%s acquires or renews its address by DHCP", c.Team))
	}
	o.planManagers(ctx, h, plan, c)
	addSessions(plan, ssh.Sessions())
	if !o.NoPersist {
		plan.Files = append(plan.Files, api.PlanFile{Path: o.configFile(c.Team), What: "settings of the team"})
	}
	return plan, nil
}

// planManagers adds what network managers are told, and who configures the NICs now.
func (o CreateOptions) planManagers(ctx context.Context, h *host.Host, plan *api.Plan, c settings.Config) {
	l := managers.Links{Adapter: managers.NIC{Name: c.Team}, Own: c.Address != settings.AddressAuto}
	for _, name := range c.MemberNames() {
		if n, err := h.NIC(name); err == nil {
			l.Members = append(l.Members, managers.NIC{Name: name, Index: n.Index})
		}
	}
	options := managers.Options{Team: c.Team, StateDir: o.StateDir}
	for _, t := range managers.New(options).Preview(ctx, l) {
		plan.Managers = append(plan.Managers, api.PlanManager{Name: t.Manager,
			Leaves: append([]string{}, t.Leaves...), Serves: t.Serves, Servers: t.Servers})
		for _, path := range t.Files {
			what := "for " + t.Manager + ", until the team ends"
			plan.Files = append(plan.Files, api.PlanFile{Path: path, What: what})
		}
	}
	by, clients := managers.ServedBy(ctx, options, l.Members), h.LeaseClients()
	for i := range plan.NICs {
		n := &plan.NICs[i]
		n.Manager = cmp.Or(by[n.Name], clientOf(clients, n.Name))
	}
}

// addSessions says which NICs carry SSH sessions.
func addSessions(plan *api.Plan, sessions []ssh.Session) {
	for i := range plan.NICs {
		n := &plan.NICs[i]
		for _, s := range sessions {
			if slices.Contains(s.By, n.Name) {
				n.Sessions = append(n.Sessions, api.PlanSession{Connection: s.String(), Yours: s.Caller})
			}
		}
	}
}

// steps are the plan in sentences, as a dry run has always said them.
func steps(plan *api.Plan, c settings.Config) []string {
	list := dryRunSteps(c)
	for _, m := range plan.Managers {
		list = append(list, managers.Telling{Manager: m.Name, Leaves: m.Leaves, Serves: m.Serves,
			Servers: m.Servers}.Step(c.Team))
	}
	return list
}

// CompletePlan adds to the plan of a running team what its process may not know: who configures the NICs, which
// managers are told of those that join, and the SSH sessions that go by them. In another network namespace it knows
// nothing.
func CompletePlan(ctx context.Context, d Dirs, st *api.Status, plan *api.Plan) {
	h, err := openSameNetNS(st)
	if h == nil || err != nil {
		return
	}
	defer func() { _ = h.Close() }()
	var nics []managers.NIC
	for i := range plan.NICs {
		if n, err := h.NIC(plan.NICs[i].Name); err == nil {
			nics = append(nics, managers.NIC{Name: n.Name, Index: n.Index})
		}
	}
	by := managers.ServedBy(ctx, managers.Options{Team: st.Team, StateDir: d.StateDir}, nics)
	clients := h.LeaseClients()
	for i := range plan.NICs {
		n := &plan.NICs[i]
		n.Manager = cmp.Or(by[n.Name], clientOf(clients, n.Name))
		member := slices.ContainsFunc(st.Members, func(m api.Member) bool { return m.Name == n.Name })
		if !member && by[n.Name] != "" {
			plan.Managers = append(plan.Managers, api.PlanManager{Name: by[n.Name], Leaves: []string{n.Name}})
		}
	}
	addSessions(plan, ssh.Sessions())
}

// Refusal is the problem of a plan that needs --force; nil if it needs none, or has it.
func Refusal(plan *api.Plan) error {
	var whys, fixes []string
	for _, b := range plan.Blocked {
		if !b.Accepted {
			whys = append(whys, b.Why)
			if !slices.Contains(fixes, b.Fix) {
				fixes = append(fixes, b.Fix)
			}
		}
	}
	if whys == nil {
		return nil
	}
	if !slices.ContainsFunc(fixes, func(s string) bool { return strings.Contains(s, "--force") }) {
		fixes = append(fixes, "or accept it with --force")
	}
	return &api.Problem{Kind: api.Conflict, What: plan.Change, Why: strings.Join(whys, "; "),
		Fix: strings.Join(fixes, "; ")}
}
