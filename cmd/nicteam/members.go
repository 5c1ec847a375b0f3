// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nicteam/internal/control"
	"nicteam/internal/launch"
)

func (a *app) addCmd() *cobra.Command {
	var force bool
	var confirm *string
	var dry *bool
	cmd := &cobra.Command{
		Use:     "add TEAM NIC...",
		Aliases: []string{"enslave", "slave"},
		Short:   "Add NICs to a running team",
		Long: `Adds NICs to a running team, all of them or none. The adapter, its addresses and its connections stay.
Warns about what stays bound to the NICs. Refuses if firewall rules or tc programs would stop applying, or
VLANs or the like on a NIC, or PPPoE, would lose their traffic: accept it with --force.
` + dryRunHelp + `
If the gateway does not answer any more, the change is undone (exit 6).

` + confirmHelp,
		Example: `  nicteam add team0 eth3
  nicteam add team0 eth3 --confirm 30s`,
		Args: args(2, -1),
		RunE: func(_ *cobra.Command, given []string) error {
			c := a.client(given[0])
			defer c.Close()
			o, err := a.changeTeamOptions(c, *confirm, given[1:]...)
			if err != nil {
				return err
			}
			o.Force = force
			if *dry {
				return a.dryRun(c, given[0], control.Change{Verb: "add", NICs: given[1:], Options: o})
			}
			warnings, looked, err := a.bystanders(c, given[1:], o)
			if err != nil {
				return err
			}
			o.Accept, o.Force = looked || a.yes, force
			steps, err := c.Add(a.interruptible(), given[1:], o)
			steps = slices.DeleteFunc(steps, func(s string) bool { return slices.Contains(warnings, s) })
			if a.json { // warn prints nothing with --json
				steps = append(warnings, steps...)
			}
			return a.showChange(given[0], "add "+strings.Join(given[1:], " ")+" to "+given[0], o, steps, err)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "accept what would lose its traffic or stop applying; "+forceHelp)
	confirm, dry = confirmFlag(cmd.Flags()), dryRunFlag(cmd.Flags())
	return cmd
}

// forceHelp is of the verbs that a self-test follows, and which refuse nothing else that can be forced.
const forceHelp = "keep the change even if the host is cut off"

// bystanders warns, before NICs are added, of sockets, multicast groups and filters that stay bound to them. Only root,
// in the team's network namespace, can look; looked reports whether it did.
func (a *app) bystanders(c *control.Client, nics []string, o control.ChangeOptions) (steps []string, looked bool,
	err error) {
	if os.Geteuid() != 0 {
		return nil, false, nil
	}
	st, err := c.Status(a.interruptible())
	if err != nil {
		return nil, false, err
	}
	found, looked, err := launch.CheckAdd(a.dirs, st, nics, o)
	if err != nil {
		return nil, false, err
	}
	for _, w := range found.Warnings {
		a.warn(w)
		steps = append(steps, "warning: "+w)
	}
	return steps, looked, nil
}

func (a *app) removeCmd() *cobra.Command {
	var force bool
	var confirm *string
	var dry *bool
	c := &cobra.Command{
		Use:     "remove TEAM NIC...",
		Aliases: []string{"release"},
		Short:   "Drain and release NICs of a running team",
		Long: `Drains the NICs (no new frames out, frames in flight still received), then restores and releases them.
A switch with a static LAG keeps sending to them: first remove the port from the LAG, or pull the cable.
The last NIC needs --force. If the gateway does not answer any more, the change is undone (exit 6).
` + dryRunHelp + `

` + confirmHelp,
		Example: `  nicteam remove team0 eth2
  nicteam remove team0 eth2 --confirm 30s`,
		Args: args(2, -1),
		RunE: func(_ *cobra.Command, given []string) error {
			c := a.client(given[0])
			defer c.Close()
			o, err := a.changeTeamOptions(c, *confirm, given[1:]...)
			if err != nil {
				return err
			}
			o.Force = force
			if *dry {
				return a.dryRun(c, given[0], control.Change{Verb: "remove", NICs: given[1:], Options: o})
			}
			steps, err := c.Remove(a.interruptible(), given[1:], o)
			return a.showChange(given[0], "remove "+strings.Join(given[1:], " ")+" from "+given[0], o, steps, err)
		},
	}
	c.Flags().BoolVar(&force, "force", false, "allow removing the last NIC; "+forceHelp)
	confirm, dry = confirmFlag(c.Flags()), dryRunFlag(c.Flags())
	return c
}
