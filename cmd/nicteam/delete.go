package main

import (
	"errors"

	"github.com/spf13/cobra"

	"nicteam/internal/daemon"
	"nicteam/team"
)

func (a *app) deleteCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "delete TEAM",
		Short:   "End a team and put the host back as it was",
		Long:    `Ends a team. Addresses, routes and everything else go back to where they were before it was made.`,
		Example: `  nicteam delete team0`,
		Args:    args(1, 1),
		RunE: func(_ *cobra.Command, given []string) error {
			c := a.client(given[0])
			defer c.Close()
			steps, err := c.Delete(a.interruptible())
			var p *team.Problem
			if errors.As(err, &p) && p.Kind == team.NotFound && daemon.Restorable(a.places, given[0]) {
				p.Fix = "its process was stopped and the adapter stayed; put the host back: nicteam restore " + given[0]
			}
			if err != nil {
				return err
			}
			daemon.AwaitEnd(a.interruptible(), a.places, given[0])
			return a.steps(given[0], steps)
		},
	}
}
