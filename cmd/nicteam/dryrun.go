// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/spf13/pflag"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/launch"
)

const dryRunHelp = `--dry-run prints what the change would do, and changes nothing.`

// dryRunFlag adds --dry-run to a verb that changes a running team.
func dryRunFlag(flags *pflag.FlagSet) *bool {
	return flags.Bool("dry-run", false, "print what would change, change nothing")
}

// dryRun prints the plan of a change of a running team. What --force would accept is printed with it, and an error.
func (a *app) dryRun(c *control.Client, name string, change control.Change) error {
	ctx := a.interruptible()
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	var refusal error
	var blocked []api.PlanRisk
	var warnings []string
	if change.Verb == "add" && os.Geteuid() == 0 { // as bystanders does
		found, looked, err := launch.CheckAdd(a.dirs, st, change.NICs, change.Options)
		if err != nil && len(found.Blocked) == 0 {
			return err
		}
		refusal, blocked, warnings = err, found.Blocked, found.Warnings
		change.Options.Accept = change.Options.Accept || looked
	}
	plan, err := c.Plan(ctx, change)
	if err != nil {
		return err
	}
	for _, b := range plan.Blocked {
		if !slices.ContainsFunc(blocked, func(h api.PlanRisk) bool { return h.Why == b.Why }) {
			blocked = append(blocked, b)
		}
	}
	plan.Blocked = append([]api.PlanRisk{}, blocked...)
	for _, w := range warnings {
		if !slices.Contains(plan.Risks, w) {
			plan.Risks = append(plan.Risks, w)
		}
	}
	launch.CompletePlan(ctx, a.dirs, st, plan)
	if change.Options.Confirm > 0 {
		plan.Effects = append(plan.Effects, fmt.Sprintf("it is reverted after %v unless it is confirmed: "+
			"nicteam confirm %s", change.Options.Confirm, name))
	}
	if err := a.showPlanned(name, plan); err != nil {
		return err
	}
	if refusal != nil {
		return refusal
	}
	return launch.Refusal(plan)
}

// showPlanned prints a dry run.
func (a *app) showPlanned(name string, plan *api.Plan) error {
	if a.json {
		r := api.NewResult(name, nil)
		r.Plan = plan
		return a.document(r)
	}
	for _, w := range plan.Risks {
		a.warn(w)
	}
	detail := planFull
	if a.verbose {
		detail = planCommands
	}
	a.say("dry run of %s: nothing is changed\n", plan.Change)
	a.showPlan(plan, detail)
	return nil
}
