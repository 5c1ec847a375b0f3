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
		Long: `Puts the host back from the journal of a team whose process is gone, of all such teams when
none is named. It can be run again after it was interrupted.

What the adapter has goes to the NICs it came from. What came from a NIC that is not there, or has
no link while another one has, goes to that other one. A NIC that is not there is kept in the journal: run it
again when the NIC has come, or drop it with --forget.`,
		Example: `  nicteam restore
  nicteam restore team0
  nicteam restore team0 --forget eth1`,
		Args: args(0, 1),
		RunE: func(_ *cobra.Command, given []string) error {
			a.listen(changesHost) // the first signal does not interrupt it
			name := ""
			if len(given) == 1 {
				name = given[0]
			}
			if len(forget) > 0 && name == "" {
				return &api.Problem{Kind: api.Usage, What: "forget NIC " + forget[0], Why: "no team is named",
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
		"NICs that were away when the team ended and are not waited for any more")
	return c
}
