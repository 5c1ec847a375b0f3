// SPDX-License-Identifier: MIT

package launch

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/host/journal"
	"nicteam/internal/supervisor"
)

// OfNewer reports whether the team's journal is of a newer program than this one.
func OfNewer(d Dirs, name string) bool { return journal.OfNewer(d.StateDir, name) }

// StartAnew has a team's process give the NICs back, and starts the team with this program. It is the way to an older
// version that cannot read the journal: only the process that runs knows what the host was. kind is who stands behind
// it; for systemd UnitStop does the same.
func StartAnew(ctx context.Context, d Dirs, name, kind string, log *slog.Logger) error {
	problem := func(err error, why, fix string) error {
		return &api.Problem{Kind: api.Conflict, What: "restart " + name,
			Why: "the team's process is of a newer version, whose journal this program cannot read; " + why, Fix: fix,
			Err: err}
	}
	if kind != supervisor.Keeper {
		return problem(nil, "nobody stands behind it, and it goes on",
			"end it as it was started (it gives the NICs back at SIGTERM), and start it again")
	}
	config, err := os.ReadFile(d.RunningConfig(name))
	if err != nil {
		return problem(err, err.Error(), "nicteam delete "+name+", and create it again")
	}
	client := control.NewClient(d.RunDir, name)
	defer client.Close()
	if _, err := client.Stop(ctx, false); err != nil {
		return problem(err, err.Error()+"; it goes on", "nicteam delete "+name+", and create it again")
	}
	ctx = context.WithoutCancel(ctx) // from here on the host waits for the team
	AwaitExit(ctx, d, name)
	log.Info("a process of a newer version has given the NICs back, the team starts anew", "team", name)
	if err = os.WriteFile(d.RunningConfig(name), config, 0o640); err == nil {
		err = Resume(ctx, d, name, log)
	}
	if err != nil {
		return problem(err, fmt.Sprintf("it has given the NICs back, and the team does not start: %v", err),
			"read "+d.LogFile(name))
	}
	return nil
}
