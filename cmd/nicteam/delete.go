// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/launch"
	"nicteam/internal/pending"
)

func (a *app) deleteCmd() *cobra.Command {
	var force bool
	var confirm *string
	var dry *bool
	cmd := &cobra.Command{
		Use:   "delete TEAM",
		Short: "Delete a team and put the host back as it was",
		Long: `Deletes a team and restores addresses, routes and settings of its NICs. Refuses if VLANs,
macvlans or other links use the adapter, because they would be deleted with it; --force deletes them.
` + dryRunHelp + `

` + confirmHelp,
		Example: `  nicteam delete team0
  nicteam delete team0 --confirm 1m`,
		Args: args(1, 1),
		RunE: func(_ *cobra.Command, given []string) error {
			c := a.client(given[0])
			defer c.Close()
			if !force && !*dry {
				if err := a.carried(c); err != nil {
					return err
				}
			}
			o, err := a.changeTeamOptions(c, *confirm)
			if err != nil {
				return err
			}
			o.Force = force
			if *dry {
				if err := a.dryRun(c, given[0], control.Change{Verb: "delete", Options: o}); err != nil || force {
					return err
				}
				return a.carried(c)
			}
			if r := a.dirs.Pending(given[0]); r != nil && r.Verb == pending.Create {
				o.Confirm = 0 // it reverts the create
			}
			steps, err := c.Delete(a.interruptible(), o)
			if o.Confirm > 0 {
				return a.showChange(given[0], "delete "+given[0], o, steps, err)
			}
			var p *api.Problem
			if errors.As(err, &p) && p.Kind == api.NotFound && launch.Restorable(a.dirs, given[0]) {
				p.Fix = "its process stopped without releasing the NICs; put the host back: nicteam restore " + given[0]
			}
			if ok := errors.As(err, &p); ok && (p.Kind == api.NotFound || p.Kind == api.NoAnswer) &&
				launch.HasKeeper(a.dirs, given[0]) {
				steps, err = launch.GiveUp(a.interruptible(), a.dirs, given[0], a.log(slog.LevelWarn))
			}
			if err != nil {
				return err
			}
			launch.AwaitExit(a.interruptible(), a.dirs, given[0])
			if step, err := launch.DisableUnit(a.dirs, given[0]); err != nil {
				a.warn(err.Error())
			} else if step != "" {
				steps = append(steps, step)
			}
			return a.showSteps(given[0], steps)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also delete the links that use the adapter")
	confirm, dry = confirmFlag(cmd.Flags()), dryRunFlag(cmd.Flags())
	return cmd
}

// carried looks for links that use the adapter, also in network namespaces that the team's process may not enter. If
// the team does not answer, the delete request reports it.
func (a *app) carried(c *control.Client) error {
	st, err := c.Status(a.interruptible())
	if err != nil {
		return nil
	}
	return launch.CheckDelete(st)
}
