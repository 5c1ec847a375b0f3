// SPDX-License-Identifier: MIT

package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"nicteam/internal/daemon"
	"nicteam/internal/keeper"
	"nicteam/internal/launch"
)

func (a *app) keeperCmd() *cobra.Command {
	var o keeper.Options
	c := &cobra.Command{
		Use:    "keeper TEAM --config FILE",
		Short:  "Stand behind a team's process: started by create where systemd does not run",
		Hidden: true,
		Args:   args(1, 1),
		RunE: func(_ *cobra.Command, given []string) error {
			if err := changesHostItself("keep " + given[0]); err != nil {
				return err
			}
			exe, err := os.Executable()
			if err != nil {
				return err
			}
			o.Team, o.Program, o.Dirs, o.Verbose = given[0], exe, a.dirs, a.verbose
			o.Ready = launch.InheritedReadyPipe()
			// Its own streams are the log of the moment of its start; the team's process rotates that.
			log := launch.LogWriter(a.dirs.LogFile(o.Team))
			o.Log = slog.New(slog.NewTextHandler(log, nil)).With("team", o.Team, "process", "keeper")
			daemon.RaisePriority() // the team's process begins with it
			keeper.Protect()
			return keeper.Run(a.listen(keepsTeam), o)
		},
	}
	c.Flags().StringVarP(&o.Config, "config", "c", "", "settings `file` of the first start")
	c.Flags().IntVar(&o.Child, "child", 0, "process `ID` of the team's process, from an older version of this keeper")
	return c
}
