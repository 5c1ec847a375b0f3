// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/control"
	"nicteam/internal/launch"
	"nicteam/internal/settings"
)

func (a *app) applyCmd() *cobra.Command {
	var file string
	var force bool
	var confirm *string
	var dry *bool
	c := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Make a team what a file says",
		Long: `Makes the team if there is none, else gives it the NICs and settings of the file, as one change: all of it or
nothing. Settings that the file does not have get their defaults. Does nothing, and says so, where the team is so
already: it may be called as often as you like.

What a running team cannot change (address, mac, offloads) is refused.
` + dryRunHelp + `
If the gateway does not answer any more, the change is undone (exit 6).

` + confirmHelp,
		Example: `  nicteam apply -f team0.yaml
  nicteam apply -f team0.yaml --dry-run
  nicteam import bond0 | nicteam apply -f - --dry-run
  nicteam apply -f team0.yaml --json        # {"changed":false,...}: it was so already`,
		Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if file == "" {
				return &api.Problem{Kind: api.Usage, What: "apply: no file given",
					Why: "it says what the team is to be", Fix: "nicteam apply -f FILE"}
			}
			o := config.Options{Env: a.env, Path: file, New: true, RealName: launch.RealNames()}
			if file == "-" {
				o.Path, o.In = "standard input", os.Stdin
			}
			l, err := config.Load(o)
			if err != nil {
				return err
			}
			return a.apply(l, *confirm, force, *dry)
		},
	}
	c.Flags().StringVarP(&file, "file", "f", "", "settings `file`: YAML, TOML or JSON; - for YAML from standard input")
	c.Flags().BoolVar(&force, "force", false, "accept what would lose its traffic or stop applying; "+forceHelp)
	confirm, dry = confirmFlag(c.Flags()), dryRunFlag(c.Flags())
	return c
}

// apply makes the team of a configuration, or changes it.
func (a *app) apply(l *config.Loaded, confirm string, force, dry bool) error {
	name := l.Config.Team
	c := a.client(name)
	defer c.Close()
	st, err := c.Status(a.interruptible())
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Kind == api.NotFound {
		return a.applyNew(l, confirm, force, dry)
	}
	if err != nil {
		return err
	}
	text, err := config.Text(l.Config)
	if err != nil {
		return err
	}
	return a.applyTo(c, st, &l.Config, wanted{text: control.Config{YAML: text}, confirm: confirm, force: force,
		dry: dry})
}

// wanted is how a running team is to be changed to what a configuration says.
type wanted struct {
	text       control.Config
	confirm    string
	force, dry bool
	// agree is shown the plan of a change before it is made, and may end it; nil: it is made.
	agree func(*api.Plan) error
}

// applyTo changes a running team.
func (a *app) applyTo(c *control.Client, st *api.Status, to *settings.Config, w wanted) error {
	name := st.Team
	joins := joining(to, st)
	o, err := a.changeTeamOptions(c, w.confirm, joins...)
	if err != nil {
		return err
	}
	o.Force = w.force
	done := &api.Applied{Schema: api.ApplySchema, Team: name, Steps: []string{}}
	plan, err := c.Plan(a.interruptible(), control.Change{Verb: "apply", Config: w.text, Options: o})
	if err != nil {
		return err
	}
	if done.Changed = plan.Changes(); !done.Changed {
		if w.text.Was != "" && !w.dry { // comments
			done.Steps, err = c.Apply(a.interruptible(), w.text, o)
		}
		return errors.Join(err, a.showApplied(done))
	}
	if w.dry {
		if !a.json {
			return a.showPlanned(name, plan)
		}
		done.Plan = plan
		return errors.Join(a.showApplied(done), launch.Refusal(plan))
	}
	if w.agree != nil {
		if err := w.agree(plan); err != nil {
			return err
		}
	}
	if len(joins) > 0 {
		if _, o.Accept, err = a.bystanders(c, joins, o); err != nil {
			return err
		}
		o.Accept = o.Accept || a.yes
	}
	steps, err := c.Apply(a.interruptible(), w.text, o)
	if !a.json {
		return a.showChange(name, "apply to "+name, o, steps, err)
	}
	if err == nil && o.Confirm > 0 {
		var more []string
		more, err = a.awaitConfirm(name, "apply to "+name)
		steps = append(steps, more...)
	}
	if err != nil {
		return err
	}
	done.Steps = append(done.Steps, steps...)
	return a.showApplied(done)
}

// joining are the NICs of a configuration that the team does not have.
func joining(c *settings.Config, st *api.Status) (names []string) {
	has := map[string]bool{}
	for _, m := range st.Members {
		has[m.Name] = true
	}
	for _, name := range c.MemberNames() {
		if !has[name] {
			names = append(names, name)
		}
	}
	return names
}

// applyNew makes the team.
func (a *app) applyNew(l *config.Loaded, confirm string, force, dry bool) (err error) {
	o := launch.CreateOptions{DryRun: dry}
	if o.ChangeOptions, err = a.changeOptions(confirm, l.Config.MemberNames()); err != nil {
		return err
	}
	o.DryRun, o.Force = dry, force
	made, err := a.createTeam(l, o, false)
	if made == nil || !a.json {
		return err
	}
	return errors.Join(a.showApplied(&api.Applied{Schema: api.ApplySchema, Team: made.Team, Changed: true,
		Created: !dry, Steps: append([]string{}, made.Steps...), Plan: made.Plan}), err)
}

// showApplied prints what was applied; for people the steps have been printed.
func (a *app) showApplied(done *api.Applied) error {
	switch {
	case a.json:
		return a.document(done)
	case len(done.Steps) > 0:
		return a.showSteps(done.Team, done.Steps)
	case !done.Changed:
		a.say("%s is as the file says: nothing to do", done.Team)
	}
	return nil
}
