// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/launch"
	"nicteam/internal/supervisor"
)

// restartPatience bounds the wait for the next process of a team.
const restartPatience = 30 * time.Second

func (a *app) restartCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "restart TEAM",
		Short: "Replace a team's process, as after an upgrade",
		Long: `Replaces the process of a team by a new one of the program that is installed now. Adapter, addresses,
connections and LACP partners stay, and nothing is released. Returns when the new process serves the
team, and tells both versions.

The start is warm if the new process goes on with what the old one had open: no frame is lost. It is
cold if that is not possible, as between versions that differ too much; then the adapter has no carrier
for a moment. nicteam status -v tells why a start was cold. If this program is older than the team's
process and cannot read its journal, that process gives the NICs back, and the team starts anew.`,
		Example: `  nicteam restart team0
  nicteam restart team0 --json`,
		Args: args(1, 1),
		RunE: func(_ *cobra.Command, given []string) error { return a.restart(given[0]) },
	}
}

func (a *app) restart(name string) error {
	c := a.client(name)
	defer c.Close()
	ctx := a.listen(changesHost)
	was, err := c.Status(ctx)
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Kind == api.NotFound && launch.Restorable(a.dirs, name) {
		p.Fix = "its process stopped without releasing the NICs: nicteam run " + name +
			" resumes the team, nicteam restore " + name + " puts the host back"
	}
	if err == nil {
		err = c.MayChange("restart " + name)
	}
	if err != nil {
		return err
	}
	began := time.Now()
	switch behind := was.Supervisor; {
	case behind != nil && behind.Kind == supervisor.Systemd:
		err = launch.SystemdRestart(ctx, name)
	case launch.OfNewer(a.dirs, name):
		kind := ""
		if behind != nil {
			kind = behind.Kind
		}
		err = launch.StartAnew(ctx, a.dirs, name, kind, a.log(slog.LevelInfo))
	case behind != nil && behind.Kind == supervisor.Keeper && !launch.HasKeeper(a.dirs, name):
		if _, err = c.Stop(ctx, true); err == nil {
			err = launch.Resume(ctx, a.dirs, name, a.log(slog.LevelInfo))
		}
	default:
		_, err = c.Stop(ctx, true)
	}
	if err != nil {
		return err
	}
	is, err := a.nextProcess(name, was)
	if err != nil {
		return err
	}
	return a.showRestart(was, is, time.Since(began))
}

// nextProcess waits until another process than that of was serves the team. An interrupt does not end the wait: the
// team is on its way, and its end says whether the host has a network.
func (a *app) nextProcess(name string, was *api.Status) (*api.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), restartPatience)
	defer cancel()
	for {
		c := a.client(name)
		st, err := c.Status(ctx)
		c.Close()
		if err == nil && !st.Started.Equal(was.Started) {
			return st, nil
		}
		select {
		case <-ctx.Done():
			return nil, a.notRestarted(name)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// notRestarted tells what became of the host.
func (a *app) notRestarted(name string) error {
	p := &api.Problem{Kind: api.Failed, What: "restart " + name,
		Why: fmt.Sprintf("no new process serves the team after %v; its NICs were released", restartPatience),
		Fix: "read " + a.dirs.LogFile(name)}
	if launch.Restorable(a.dirs, name) {
		p.Why = fmt.Sprintf("no new process serves the team after %v; the adapter has the addresses, and nobody moves "+
			"its frames", restartPatience)
		p.Fix = "nicteam restore " + name + " puts the host back; " + a.dirs.LogFile(name) + " tells the cause"
	}
	return p
}

// showRestart tells how the restart went.
func (a *app) showRestart(was, is *api.Status, took time.Duration) error {
	doc := &api.Restarted{Schema: api.RestartedSchema, Team: is.Team, FromVersion: was.Version, Version: is.Version,
		FromPID: was.PID, PID: is.PID, TookNS: took.Nanoseconds()}
	if s := is.Supervisor; s != nil {
		doc.LastStart, doc.Reason = s.LastStart, s.Reason
	}
	if a.json {
		return a.document(doc)
	}
	versions := doc.Version
	if doc.FromVersion != doc.Version {
		versions = doc.FromVersion + " → " + doc.Version
	}
	text := fmt.Sprintf("%s restarted: %s, %s start, %d ms", is.Team, versions, doc.LastStart, took.Milliseconds())
	if doc.Reason != "" {
		text += " (" + doc.Reason + ")"
	}
	a.say("%s", text)
	return nil
}
