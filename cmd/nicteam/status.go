// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
)

func (a *app) statusCmd() *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use:   "status [TEAM]",
		Short: "Show the state of a team, or of all",
		Long: `Shows the state of a team and its NICs, or of all teams. IN, OUT and SHARE are averages of the
last five seconds. -v adds counters, and whom the link watches ask and who answers. nicteam help 802.3ad
explains the lines on LACP, nicteam help watches the link watches.

--json prints one document (nicteam.status/v1) per line. --check exits with code 7 if a team is
degraded or down.`,
		Example: `  nicteam status
  nicteam status team0 --json
  nicteam status team0 --check -q`,
		Args: args(0, 1),
		RunE: func(_ *cobra.Command, given []string) error { return a.status(given, check) },
	}
	c.Flags().BoolVar(&check, "check", false, "exit with code 7 if a team is degraded or down")
	return c
}

// status shows the teams that answer, then returns the errors of the others.
func (a *app) status(named []string, check bool) error {
	names, err := a.teams(named)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		if check {
			_, err := a.oneTeam("status", nil)
			return err
		}
		if !a.json {
			a.say("No team runs on this host. Make one: nicteam create team0 NIC NIC")
		}
		return nil
	}
	var worst *api.Status
	var failed error
	for i, name := range names {
		c := a.client(name)
		s, err := c.Status(a.interruptible())
		var now recentRates
		if err == nil && !a.json && !a.quiet {
			now = a.recentRates(c)
		}
		c.Close()
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		switch {
		case a.json:
			if err := a.document(s); err != nil {
				return err
			}
		default:
			if i > 0 {
				a.say("")
			}
			a.showStatus(s, now, time.Now())
		}
		if s.State != "up" && worst == nil {
			worst = s
		}
	}
	if failed != nil {
		return failed
	}
	if check && worst != nil {
		why := worst.Reason
		if why == "" && len(worst.Warnings) > 0 {
			why = worst.Warnings[0]
		}
		return &api.Problem{Kind: api.Degraded, What: worst.Team + " is " + worst.State, Why: why,
			Fix: "see what happened: nicteam events " + worst.Team}
	}
	return nil
}
