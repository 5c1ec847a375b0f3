// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/daemon"
	"nicteam/internal/launch"
	"nicteam/internal/supervisor"
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
				file = a.dirs.StartConfig(given[0])
			}
			log := a.teamLog()
			ready, byUnit := launch.ReadyPipe(a.dirs, given[0])
			var told launch.StartOptions
			if ready != nil {
				told = a.dirs.StartOptions(given[0])
			}
			l, err := a.loadTeam(given[0], file, log)
			bySystemd := a.getenv("NOTIFY_SOCKET") != ""
			if err != nil {
				if bySystemd { // another start would read the same
					_ = a.fail(err)
					return exitCode(launch.ExitConfig)
				}
				return err
			}
			if err := changesHostItself("run " + given[0]); err != nil {
				return err
			}
			err = a.runTeam(daemon.Options{Config: l.Config, Ready: ready, Strict: ready != nil,
				Change: told.Change, Persist: told.Persist,
				RandomSystem: l.RandomSystem, Notes: l.Ignored, Log: log, WaitForNICs: bySystemd && ready == nil})
			p, ok := errors.AsType[*api.Problem](err)
			if ok && p.Kind == api.Reverted && errors.Is(err, context.Canceled) {
				return nil // stopped during the start
			}
			if _, never := errors.AsType[*daemon.NotStarted](err); never && byUnit { // the create that waits knows
				_ = a.fail(err)
				return exitCode(launch.ExitConfig)
			}
			return err
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "settings `file`: YAML, TOML or JSON")
	c.Flags().Bool("release", false, "release the NICs when stopped")
	_ = c.Flags().MarkHidden("release") // of earlier versions, whose default was to leave the adapter
	return c
}

// loadTeam reads the team's configuration. A service manager starts the team with the last one that was valid if this
// one is not: the host may be reached by nothing else.
func (a *app) loadTeam(team, file string, log *slog.Logger) (*config.Loaded, error) {
	o := config.Options{Team: team, Env: a.env, Path: file, RealName: launch.RealNames()}
	l, err := config.Load(o)
	if err == nil || a.getenv("NOTIFY_SOCKET") == "" {
		return l, err
	}
	o.Path = a.dirs.LastConfig(team)
	last, e := config.Load(o)
	if e != nil {
		return nil, err
	}
	p := a.problem(err)
	log.Error("configuration is not valid", "team", team, "file", file, "what", p.What, "why", p.Why, "fix", p.Fix)
	last.Ignored = append(last.Ignored, fmt.Sprintf("%s: %s; the file is not used, the team has the configuration of "+
		"its last start", p.What, p.Why))
	return last, nil
}

// runTeam is the team's process.
func (a *app) runTeam(o daemon.Options) error {
	ctx := a.listen(runsTeam)
	o.Dirs, o.Version, o.Build, o.ReopenLog = a.dirs, version, revision(), a.reopenLog
	if o.Supervisor = supervisor.FromEnv(); o.Supervisor == nil {
		o.Supervisor = supervisor.InPlace()
	}
	if o.Supervisor.Kind() == "" {
		o.CheckNext = func(ctx context.Context) error { return launch.CheckNextProgram(ctx, o.Config.Team) }
	}
	err := daemon.Run(ctx, o)
	switch {
	case errors.Is(err, daemon.ErrHandedOver) && o.Supervisor.Kind() != "":
		return exitCode(launch.ExitHandOver)
	case errors.As(err, new(*daemon.GivenBack)) && o.Supervisor.Kind() == supervisor.Systemd:
		_ = a.fail(err)
		return exitCode(launch.ExitConfig) // its unit does not start it again
	case errors.Is(err, daemon.ErrHandedOver):
		return launch.BecomeNext(o.Supervisor, a.dirs, o.Config.Team, a.verbose)
	}
	return err
}
