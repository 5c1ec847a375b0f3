// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/daemon"
	"nicteam/internal/launch"
)

func (a *app) runCmd() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "run TEAM",
		Short: "Run a team's own process in the foreground",
		Long: `Runs the process of a team in the foreground, for service managers. Reads TEAM.yaml from the
configuration directory, or the file of --config. If an earlier process died, it resumes with
the same adapter and addresses.

SIGTERM and SIGINT end it: the NICs get back what they had, as with nicteam delete, and TEAM.yaml stays
for the next start. To replace the process without releasing anything: nicteam restart TEAM.
SIGHUP ends it on a terminal; otherwise it reopens the log.`,
		Example: `  nicteam run team0
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
			ready := launch.ReadyPipe()
			err = a.runTeam(daemon.Options{Config: l.Config, Ready: ready, Strict: ready != nil,
				RandomSystem: l.RandomSystem, Notes: l.Ignored, Log: a.teamLog()})
			p, ok := errors.AsType[*api.Problem](err)
			if ok && p.Kind == api.Reverted && errors.Is(err, context.Canceled) {
				return nil // stopped during the start
			}
			return err
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "settings `file`: YAML, TOML or JSON")
	c.Flags().Bool("release", false, "release the NICs when stopped")
	_ = c.Flags().MarkHidden("release") // of earlier versions, whose default was to leave the adapter
	return c
}

// runTeam is the team's process.
func (a *app) runTeam(o daemon.Options) error {
	ctx := a.listen(runsTeam)
	o.Dirs, o.Version, o.Build, o.ReopenLog = a.dirs, version, revision(), a.reopenLog
	if !o.Supervised {
		o.CheckNext = func(ctx context.Context) error { return launch.CheckNextProgram(ctx, o.Config.Team) }
	}
	err := daemon.Run(ctx, o)
	switch {
	case errors.Is(err, daemon.ErrHandedOver) && o.Supervised:
		return exitCode(daemon.HandOverExit)
	case errors.Is(err, daemon.ErrHandedOver):
		return launch.BecomeNext(a.dirs, o.Config.Team, a.verbose)
	}
	return err
}
