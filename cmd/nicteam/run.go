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
		Long: `Runs the process of a team in the foreground, for service managers. Reads TEAM.yaml from the
configuration directory, or the file of --config. If an earlier process died, it resumes with
the same adapter and addresses.

SIGTERM and SIGINT stop it. SIGHUP stops it on a terminal; otherwise it reopens the log.`,
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
	c.Flags().StringVarP(&file, "config", "c", "", "settings `file`: YAML, TOML or JSON")
	c.Flags().BoolVar(&release, "release", false,
		"release the NICs when stopped; without it the adapter stays for the next start")
	return c
}
