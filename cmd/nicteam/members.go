// SPDX-License-Identifier: MIT

package main

import (
	"os"

	"github.com/spf13/cobra"

	"nicteam/internal/control"
	"nicteam/internal/launch"
)

func (a *app) addCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "add TEAM NIC...",
		Aliases: []string{"enslave", "slave"},
		Short:   "Add NICs to a running team",
		Long: `Adds NICs to a running team, all of them or none. The adapter, its addresses and its connections are
not touched. It warns about what other programs have on the NICs; filters that would not apply any more need -y.`,
		Example: `  nicteam add team0 eth3`,
		Args:    args(2, -1),
		RunE: func(_ *cobra.Command, given []string) error {
			c := a.client(given[0])
			defer c.Close()
			warnings, looked, err := a.bystanders(c, given[1:])
			if err != nil {
				return err
			}
			steps, err := c.Add(a.interruptible(), given[1:], looked || a.yes)
			if err != nil {
				return err
			}
			if a.json { // who reads that has not read them yet
				steps = append(warnings, steps...)
			}
			return a.showSteps(given[0], steps)
		},
	}
}

// bystanders tells before a change what of others does not go along with NICs. Only root can look, where the team is;
// looked says that it has.
func (a *app) bystanders(c *control.Client, nics []string) (steps []string, looked bool, err error) {
	if os.Geteuid() != 0 {
		return nil, false, nil
	}
	st, err := c.Status(a.interruptible())
	if err != nil {
		return nil, false, err
	}
	warnings, looked, err := launch.CheckAdd(a.dirs, st, nics, a.yes)
	if err != nil {
		return nil, false, err
	}
	for _, w := range warnings {
		a.warn(w)
		steps = append(steps, "warning: "+w)
	}
	return steps, looked, nil
}

func (a *app) removeCmd() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:     "remove TEAM NIC...",
		Aliases: []string{"release"},
		Short:   "Drain and release NICs of a running team",
		Long: `Drains the NICs (no new frames out, frames in flight still received), then restores and releases them.
A switch with a static LAG does not notice and goes on sending: remove the port from the LAG, or pull the cable,
before. The last NIC needs --force.`,
		Example: `  nicteam remove team0 eth2`,
		Args:    args(2, -1),
		RunE: func(_ *cobra.Command, given []string) error {
			c := a.client(given[0])
			defer c.Close()
			steps, err := c.Remove(a.interruptible(), given[1:], force)
			if err != nil {
				return err
			}
			return a.showSteps(given[0], steps)
		},
	}
	c.Flags().BoolVar(&force, "force", false, "remove the last NIC, too")
	return c
}
