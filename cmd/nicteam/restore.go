// SPDX-License-Identifier: MIT

package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/launch"
)

func (a *app) restoreCmd() *cobra.Command {
	var forget []string
	c := &cobra.Command{
		Use:   "restore [TEAM]",
		Short: "Put the host back when a team's process is gone",
		Long: `Puts the host back from the journal of a team whose process is gone; without TEAM, of all such
teams. It can be interrupted and repeated.

Addresses and routes return to the NICs they came from. If such a NIC is missing, or has no link while
another one has, that one gets them. Missing NICs stay in the journal: repeat restore when they are back,
or drop them with --forget.`,
		Example: `  nicteam restore
  nicteam restore team0
  nicteam restore team0 --forget eth1`,
		Args: args(0, 1),
		RunE: func(_ *cobra.Command, given []string) error {
			a.listen(changesHost) // restore ignores the context: the first signal has no effect
			name := ""
			if len(given) == 1 {
				name = given[0]
			}
			if len(forget) > 0 && name == "" {
				return &api.Problem{Kind: api.Usage, What: "forget NIC " + forget[0], Why: "team name missing",
					Fix: "nicteam restore TEAM --forget " + forget[0]}
			}
			steps, err := launch.Restore(a.dirs, name, forget, a.log(slog.LevelWarn))
			if err != nil {
				return err
			}
			if len(steps) == 0 && !a.json {
				a.say("Nothing to restore.")
			}
			return a.showSteps(name, steps)
		},
	}
	c.Flags().StringSliceVar(&forget, "forget", nil,
		"drop missing `NIC`s from the journal")
	return c
}
