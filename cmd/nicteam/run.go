// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"log/slog"
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
			log := a.teamLog()
			ready, byUnit := launch.ReadyPipe(a.dirs, given[0])
			l, err := a.loadTeam(given[0], file, log)
			if err != nil {
				if a.getenv("NOTIFY_SOCKET") != "" { // another start would read the same
					_ = a.fail(err)
					return exitCode(launch.ExitConfig)
				}
				return err
			}
			ctx := a.listen(runsTeam)
			err = daemon.Run(ctx, daemon.Options{Config: l.Config, Dirs: a.dirs, Ready: ready, Strict: ready != nil,
				Release: release, RandomSystem: l.RandomSystem, Notes: l.Ignored, Version: version, Log: log,
				ReopenLog: a.reopenLog, WaitForNICs: ready == nil && a.getenv("NOTIFY_SOCKET") != ""})
			if err != nil && byUnit { // the create that waits has been told
				_ = a.fail(err)
				return exitCode(launch.ExitConfig)
			}
			return err
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "settings `file`: YAML, TOML or JSON")
	c.Flags().BoolVar(&release, "release", false,
		"release the NICs when stopped; without it the adapter stays for the next start")
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
