// SPDX-License-Identifier: MIT

package main

import (
	"log/slog"
	"strconv"

	"github.com/spf13/cobra"

	"nicteam/internal/launch"
)

// unitCmd are the commands of the unit nicteam@.service (see its file in packaging/systemd), and those of packages
// (packaging/scripts).
func (a *app) unitCmd() *cobra.Command {
	c := &cobra.Command{Use: "unit", Hidden: true, Short: "Commands of the systemd unit and of packages",
		Args: args(0, 0)}
	verb := func(use, short string, run func(team string, log *slog.Logger) error) {
		c.AddCommand(&cobra.Command{Use: use + " TEAM", Short: short,
			Example: "  nicteam unit " + use + " team0", Args: args(1, 1),
			RunE: func(_ *cobra.Command, given []string) error {
				if err := changesHostItself("unit " + use + " " + given[0]); err != nil {
					return err
				}
				return run(given[0], a.log(slog.LevelInfo))
			}})
	}
	verb("prepare", "Before the team's process starts", func(team string, log *slog.Logger) error {
		return launch.UnitPrepare(a.interruptible(), a.dirs, team, log)
	})
	verb("stop", "Tell the team's process whether it is restarted", func(team string, log *slog.Logger) error {
		pid, _ := strconv.Atoi(a.getenv("MAINPID"))
		return launch.UnitStop(a.interruptible(), a.dirs, team, pid, log)
	})
	verb("stopped", "After the team's process has ended", func(team string, log *slog.Logger) error {
		return launch.UnitStopped(a.dirs, team, a.getenv("SERVICE_RESULT"), a.getenv("EXIT_STATUS"), log)
	})
	verb("left", "After the team's unit is stopped", func(team string, log *slog.Logger) error {
		return launch.UnitLeft(a.dirs, team, log)
	})
	c.AddCommand(&cobra.Command{
		Use:     "release",
		Short:   "Before the program is removed: give all NICs back, keep settings",
		Example: "  nicteam unit release",
		Args:    args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if err := changesHostItself("unit release"); err != nil {
				return err
			}
			steps, err := launch.Release(a.interruptible(), a.dirs, a.log(slog.LevelWarn))
			for _, s := range steps {
				a.say("%s", s)
			}
			return err
		},
	}, &cobra.Command{
		Use:     "upgraded",
		Short:   "After another version was installed: restart all teams",
		Example: "  nicteam unit upgraded",
		Args:    args(0, 0),
		RunE:    func(*cobra.Command, []string) error { return a.upgraded() },
	})
	return c
}

// upgraded restarts every team that runs; one that cannot keeps none of the others.
func (a *app) upgraded() error {
	if err := changesHostItself("unit upgraded"); err != nil {
		return err
	}
	names, err := a.teams(nil)
	if err != nil {
		return err
	}
	var failed exitCode
	for _, name := range names {
		if err := a.restart(name); err != nil {
			failed = exitCode(a.fail(err))
		}
	}
	if failed != 0 {
		return failed
	}
	return nil
}
