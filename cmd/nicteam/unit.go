// SPDX-License-Identifier: MIT

package main

import (
	"log/slog"
	"strconv"

	"github.com/spf13/cobra"

	"nicteam/internal/launch"
)

// unitCmd are the commands of the unit nicteam@.service; see its file in packaging/systemd.
func (a *app) unitCmd() *cobra.Command {
	c := &cobra.Command{Use: "unit", Hidden: true, Short: "Commands of the systemd unit", Args: args(0, 0)}
	verb := func(use, short string, run func(team string, log *slog.Logger) error) {
		c.AddCommand(&cobra.Command{Use: use + " TEAM", Short: short,
			Example: "  nicteam unit " + use + " team0", Args: args(1, 1),
			RunE: func(_ *cobra.Command, given []string) error { return run(given[0], a.log(slog.LevelInfo)) }})
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
	return c
}
