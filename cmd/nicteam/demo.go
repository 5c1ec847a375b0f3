// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"nicteam/internal/control"
	"nicteam/internal/demo"
)

func (a *app) demoCmd() *cobra.Command {
	var plain, twoHosts bool
	var picture string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show a team at work on simulated NICs",
		Long: `Makes test hosts in private network namespaces, a team between them and traffic through it. Pulls
a cable, adds and removes a NIC, and shows the effect: on a terminal as a live graph (nicteam watch),
otherwise or with --plain as lines of text. Does not change this host. Needs root.

With --ha: two directors that share an address by keepalived, in front of two servers, with a team each.
A cable, a switch and a director fail under traffic. Needs keepalived, too.`,
		Example: `  sudo nicteam demo
  sudo nicteam demo --ha
  sudo nicteam demo --plain --picture demo.svg`,
		Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if err := changesHostItself("demo"); err != nil {
				return err
			}
			var o demo.Options
			if !plain && a.interactive() {
				o.View = a.demoView
			}
			if picture != "" {
				var err error
				if o.Picture, err = filepath.Abs(picture); err != nil {
					return err
				}
			}
			run := demo.Run
			if twoHosts {
				run = demo.RunTwoHosts
			}
			code, done, err := run(a.interruptible(), a.out, o)
			if err == nil && done && code != 0 {
				err = exitCode(code) // the demo's own process has said why
			}
			return err
		},
	}
	c.Flags().StringVar(&picture, "picture", "", "save the graph to `FILE`.svg or FILE.png")
	c.Flags().BoolVar(&plain, "plain", false, "print lines of text even on a terminal")
	c.Flags().BoolVar(&twoHosts, "ha", false, "two hosts with one address, by keepalived (lines of text)")
	c.MarkFlagsMutuallyExclusive("ha", "picture")
	return c
}

// demoView is the live graph of the demo's team.
func (a *app) demoView(ctx context.Context, c *control.Client, name string) error {
	w := standardWords()
	o, err := (&watchFlags{words: w}).options(a)
	if err != nil {
		return err
	}
	o.Team = name
	return a.showLive(ctx, c, o)
}
