// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
)

func (a *app) eventsCmd() *cobra.Command {
	var follow bool
	c := &cobra.Command{
		Use:   "events [TEAM]",
		Short: "Show what happened to a team",
		Long: `Shows the recorded events of a team, or of all teams, oldest first. --follow continues with new
events. --json prints one document (nicteam.event/v1) per line.`,
		Example: `  nicteam events team0
  nicteam events --follow --json`,
		Args: args(0, 1),
		RunE: func(_ *cobra.Command, given []string) error {
			names, err := a.teams(given)
			if err != nil {
				return err
			}
			if len(names) == 0 {
				_, err := a.oneTeam("events", nil)
				return err
			}
			return a.events(names, follow)
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "continue with new events")
	return c
}

// events shows those of several teams as they arrive, a line at a time.
func (a *app) events(names []string, follow bool) error {
	ctx := a.interruptible()
	a.stream = true
	var writing sync.Mutex
	errs := make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			c := a.client(name)
			defer c.Close()
			errs[i] = c.Events(ctx, follow, func(e *api.Event) error {
				writing.Lock()
				defer writing.Unlock()
				if a.json {
					return a.document(e)
				}
				a.say("%s", eventLine(e))
				return nil
			})
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func eventLine(e *api.Event) string {
	parts := []string{e.Time.Local().Format("2006-01-02 15:04:05.000"), e.Team, e.Event}
	if e.Member != "" {
		parts = append(parts, e.Member)
	}
	line := strings.Join(parts, " ")
	if e.Reason != "" {
		line += ": " + e.Reason
	}
	if e.Took != 0 {
		line += " (took " + time.Duration(e.Took).String() + ")"
	}
	return line
}
