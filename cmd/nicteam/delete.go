// SPDX-License-Identifier: MIT

package main

import (
	"errors"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/launch"
)

func (a *app) deleteCmd() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "delete TEAM",
		Short: "End a team and put the host back as it was",
		Long: `Ends a team. Addresses, routes and everything else go back to where they were before it was made.
VLANs, macvlans and the like that others have put on its adapter would end with it: they are
named, and only --force ends them, too.`,
		Example: `  nicteam delete team0`,
		Args:    args(1, 1),
		RunE: func(_ *cobra.Command, given []string) error {
			c := a.client(given[0])
			defer c.Close()
			if !force {
				if err := a.carried(c); err != nil {
					return err
				}
			}
			steps, err := c.Delete(a.interruptible(), force)
			var p *api.Problem
			if errors.As(err, &p) && p.Kind == api.NotFound && launch.Restorable(a.dirs, given[0]) {
				p.Fix = "its process was stopped and the adapter stayed; put the host back: nicteam restore " + given[0]
			}
			if err != nil {
				return err
			}
			launch.AwaitExit(a.interruptible(), a.dirs, given[0])
			return a.showSteps(given[0], steps)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "end what stands on the adapter, too")
	return cmd
}

// carried looks for what stands on the adapter, also where the team's own process may not look. What is wrong with the
// team is said by the change itself.
func (a *app) carried(c *control.Client) error {
	st, err := c.Status(a.interruptible())
	if err != nil {
		return nil
	}
	return launch.CheckDelete(st)
}
