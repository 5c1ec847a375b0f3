package main

import (
	"context"

	"github.com/spf13/cobra"

	"nicteam/internal/control"
	"nicteam/internal/daemon"
)

func (a *app) demoCmd() *cobra.Command {
	var plain bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show a team at work on simulated NICs",
		Long: `Makes test hosts in private namespaces, a team between them and traffic through it, pulls a
cable, adds and removes a NIC, and shows what that does: on a terminal in the live graph (nicteam
watch) until that is left, else and with --plain in lines. This host is not touched. Needs root.`,
		Example: `  sudo nicteam demo`,
		Args:    args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			var view daemon.View
			if !plain && a.live() {
				view = a.demoView
			}
			code, done, err := daemon.Demo(a.interruptible(), a.out, view)
			if err == nil && done && code != 0 {
				err = exitCode(code) // the demo's own process has said why
			}
			return err
		},
	}
	c.Flags().BoolVar(&plain, "plain", false, "lines of text on a terminal, too")
	return c
}

// demoView is the live graph of the demo's team.
func (a *app) demoView(ctx context.Context, c *control.Client, name string) error {
	w := standardWords()
	o, err := (&watching{words: w}).options(a)
	if err != nil {
		return err
	}
	o.Team = name
	return a.showLive(ctx, c, o)
}
