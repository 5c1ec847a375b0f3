// SPDX-License-Identifier: MIT

package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"nicteam/internal/config"
	"nicteam/internal/daemon"
	"nicteam/internal/launch"
)

func (a *app) runCmd() *cobra.Command {
	var file string
	var release bool
	c := &cobra.Command{
		Use:   "run TEAM",
		Short: "Run a team's own process in the foreground",
		Long: `Runs the process of a team; this is what a service manager starts. Without --config the
settings are those in the configuration directory, TEAM.yaml. A process that
starts where another one died goes on with its adapter and addresses.

SIGTERM and SIGINT end it. SIGHUP does too where it has a terminal; elsewhere it
opens the log anew.`,
		Example: `  nicteam run team0 --release
  nicteam run team0 --config /etc/nicteam/team0.yaml`,
		Args: args(1, 1),
		RunE: func(_ *cobra.Command, given []string) error {
			if file == "" {
				file = filepath.Join(a.dirs.ConfigDir, given[0]+".yaml")
			}
			l, err := config.Load(config.Options{Team: given[0], Env: a.env, Path: file, RealName: launch.RealNames()})
			if err != nil {
				return err
			}
			log := a.teamLog()
			ready := launch.ReadyPipe()
			ctx := a.listen(runsTeam)
			return daemon.Run(ctx, daemon.Options{Config: l.Config, Dirs: a.dirs, Ready: ready, Strict: ready != nil,
				Release: release, RandomSystem: l.RandomSystem, Notes: l.Ignored, Version: version, Log: log,
				ReopenLog: a.reopenLog})
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "a file of settings: YAML, TOML or JSON")
	c.Flags().BoolVar(&release, "release", false,
		"give everything back when stopped; without it the adapter stays for the next start")
	return c
}
