// SPDX-License-Identifier: MIT

package main

import (
	"github.com/spf13/cobra"

	"nicteam/internal/launch"
)

func (a *app) listCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the teams and the NICs of this host",
		Long:  `Lists the teams of this host, running or not, and its NICs with speed, link, addresses and owner.`,
		Example: `  nicteam list
  nicteam list --json`,
		Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			l, err := launch.List(a.interruptible(), a.dirs)
			if err != nil {
				return err
			}
			if a.json {
				return a.document(l)
			}
			for _, w := range l.Warnings {
				a.warn(w)
			}
			if len(l.Teams) > 0 {
				a.showTeams(l.Teams)
				a.say("")
			}
			a.showNICs(l.NICs)
			return nil
		},
	}
}
