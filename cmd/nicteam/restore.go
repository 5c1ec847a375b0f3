package main

import (
	"log/slog"
	"syscall"

	"github.com/spf13/cobra"

	"nicteam/internal/daemon"
)

func (a *app) restoreCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "restore [TEAM]",
		Short: "Put the host back when a team's process is gone",
		Long: `Puts the host back from the journal of a team whose process is gone, of all such teams when
none is named. It can be run again after it was interrupted.`,
		Example: `  nicteam restore
  nicteam restore team0`,
		Args: args(0, 1),
		RunE: func(_ *cobra.Command, given []string) error {
			outliveReaders()
			name := ""
			if len(given) == 1 {
				name = given[0]
			}
			steps, err := daemon.Restore(a.interruptible(syscall.SIGHUP), a.places, name, a.log(slog.LevelWarn))
			if err != nil {
				return err
			}
			if len(steps) == 0 && !a.json {
				a.say("Nothing to restore.")
			}
			return a.steps(name, steps)
		},
	}
}
