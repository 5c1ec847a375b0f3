package main

import (
	"github.com/spf13/cobra"

	"nicteam/internal/daemon"
)

func (a *app) demoCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show a team at work on simulated NICs",
		Long: `Makes test hosts in private namespaces, a team between them and traffic through it, pulls a
cable, adds and removes a NIC, and shows what that does. This host is not touched. Needs root.`,
		Example: `  sudo nicteam demo`,
		Args:    args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			code, done, err := daemon.Demo(a.interruptible(), a.out)
			if err == nil && done && code != 0 {
				err = exitCode(code) // the demo's own process has said why
			}
			return err
		},
	}
}
