// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/launch"
	"nicteam/internal/pending"
)

func (a *app) confirmCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "confirm TEAM",
		Short: "Keep a change that waits for confirmation",
		Long: `Keeps the change of a team that waits for confirmation (--confirm of create, add, remove, set and
delete): it is written to TEAM.yaml, a new team is started at boot, and nothing reverts it any more.
nicteam status shows what waits, and for how long.`,
		Example: `  nicteam create team0 eth0 eth1 --confirm 2m
  nicteam confirm team0                   # in a new SSH session, which proves that it can be reached`,
		Args: args(1, 1),
		RunE: func(_ *cobra.Command, given []string) error {
			name := given[0]
			steps, err := a.confirm(a.interruptible(), name)
			if err != nil {
				return a.withOutcome(name, err)
			}
			return a.showSteps(name, steps)
		},
	}
}

// confirm keeps the change that waits.
func (a *app) confirm(ctx context.Context, name string) (steps []string, err error) {
	steps, err = a.decide(ctx, name, (*control.Client).Confirm)
	if err != nil {
		return nil, err
	}
	if o, err := pending.LoadOutcome(a.dirs.OutcomeFile(name)); err == nil {
		steps = append(steps, a.afterConfirm(name, o)...)
	}
	return steps, nil
}

func (a *app) revertCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "revert TEAM",
		Short: "Undo a change that waits for confirmation",
		Long: `Undoes the change of a team that waits for confirmation, without waiting for its deadline: a new team is
deleted, a deleted one made anew, NICs leave or join again, settings are what they were.`,
		Example: `  nicteam set team0 mode=802.3ad --confirm 5m
  nicteam revert team0`,
		Args: args(1, 1),
		RunE: func(_ *cobra.Command, given []string) error {
			name := given[0]
			was := a.dirs.Pending(name)
			steps, err := a.decide(a.interruptible(), name, (*control.Client).Revert)
			if err != nil {
				return a.withOutcome(name, err)
			}
			if was != nil {
				switch was.Verb {
				case pending.Create:
					launch.AwaitExit(a.interruptible(), a.dirs, name)
				case pending.Delete:
					o, err := a.awaitOutcome(name, was, nil)
					if err != nil {
						return err
					}
					steps = []string{o.Change + " is reverted: " + name + " runs again"}
				}
			}
			return a.showSteps(name, steps)
		},
	}
}

// decidePatience bounds the wait for a process that can confirm or revert: the next one may be on its way.
const decidePatience = 10 * time.Second

// decide confirms or reverts the change that waits.
func (a *app) decide(ctx context.Context, name string,
	how func(*control.Client, context.Context) ([]string, error)) (steps []string, err error) {
	c := a.client(name)
	defer c.Close()
	for end := time.Now().Add(decidePatience); ; {
		steps, err = how(c, ctx)
		p, _ := errors.AsType[*api.Problem](err)
		away := p != nil && (p.Kind == api.NotFound || p.Kind == api.NoAnswer)
		if !away || a.dirs.Pending(name) == nil || time.Now().After(end) {
			return steps, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(outcomeLook):
		}
	}
}

// withOutcome adds to the problem of a team that is not there what became of its last change.
func (a *app) withOutcome(name string, err error) error {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok || p.Kind != api.NotFound {
		return err
	}
	o, e := pending.LoadOutcome(a.dirs.OutcomeFile(name))
	if e != nil {
		return err
	}
	with := *p
	with.Why += "; its " + o.Text()
	if o.Result == pending.Reverted {
		with.Kind = api.Reverted
	}
	return &with
}

// afterConfirm does what the team's process may not: its unit starts at boot, or does not any more.
func (a *app) afterConfirm(name string, o *pending.Outcome) (steps []string) {
	var step string
	var err error
	switch {
	case o.Verb == pending.Create && o.Persist && launch.RunsByUnit(a.dirs, name):
		step, err = launch.EnableUnit(name)
	case o.Verb == pending.Delete:
		launch.AwaitExit(a.interruptible(), a.dirs, name)
		step, err = launch.DisableUnit(a.dirs, name)
	}
	if err != nil {
		a.warn(err.Error())
		step = ""
		if a.json {
			step = "warning: " + err.Error()
		}
	}
	if step != "" {
		steps = append(steps, step)
	}
	return steps
}

// confirmHelp is of every verb that changes the network.
const confirmHelp = `With --confirm TIME the change stands for so long, and is then reverted unless somebody confirms
it: with Enter, or nicteam confirm TEAM in another session. The command waits for that and exits with 6
if it was reverted. Whatever dies meanwhile, the change is reverted in time, or by a reboot. Over SSH 60 s
is the default; -y or --confirm 0 answers for the change.`

// showChange shows the steps of a change, and waits if it is to be confirmed: also for the revert of one that the
// team's process has begun and not survived.
func (a *app) showChange(name, what string, o control.ChangeOptions, steps []string, err error) error {
	p, _ := errors.AsType[*api.Problem](err)
	died := p != nil && p.Kind == api.NoAnswer && o.Confirm > 0 && a.dirs.Pending(name) != nil
	switch {
	case err != nil && !died:
		return err
	case o.Confirm > 0:
		return a.hold(name, what, steps)
	}
	return a.showSteps(name, steps)
}

// hold waits, if the change is to be confirmed, until it is, and shows its steps.
func (a *app) hold(name, what string, steps []string) error {
	if !a.json {
		for _, s := range steps {
			a.say("%s", s)
		}
	}
	more, err := a.awaitConfirm(name, what)
	if err != nil {
		return err
	}
	if a.json {
		return a.document(api.NewResult(name, append(steps, more...)))
	}
	for _, s := range more {
		a.say("%s", s)
	}
	return nil
}

// awaitConfirm waits until the change of a team is confirmed. A revert is an error.
func (a *app) awaitConfirm(name, what string) (steps []string, err error) {
	was := a.dirs.Pending(name)
	w := a.newWait(name, was)
	defer w.end()
	o, err := a.awaitOutcome(name, was, w)
	switch {
	case err != nil:
		return nil, err
	case o.Result == pending.Confirmed:
		w.end()
		return append([]string{o.Change + " is confirmed"}, a.afterConfirm(name, o)...), nil
	}
	w.end()
	if o.Verb == pending.Create {
		launch.AwaitExit(a.interruptible(), a.dirs, name)
	}
	p := &api.Problem{Kind: api.Reverted, What: what, Why: o.Reason + "; the change was reverted",
		Fix: "repeat it, then within its time: nicteam confirm " + name}
	if len(o.Faults) > 0 {
		p.Why += fmt.Sprintf(", but: %s", o.FaultText())
		p.Fix = "nicteam status " + name
	}
	return nil, p
}
