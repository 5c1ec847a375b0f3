// SPDX-License-Identifier: MIT

package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/launch"
	"nicteam/internal/supervisor"
)

// Options of Run. Team, Config, Program and Dirs must be set.
type Options struct {
	Team    string
	Config  string // of the first start; later ones have the configuration of the process before
	Program string // path of nicteam
	launch.Dirs
	Verbose bool
	Ready   *os.File // where the first child reports its start; nil: nowhere
	Child   int      // process ID of the child that an older version of this keeper started; 0: none
	Log     *slog.Logger

	// Zero is the default.
	StartTimeout, StopTimeout time.Duration // until a child is ready; until one that is told to stop has ended
	Watchdog                  time.Duration // of the child
	Window, Retry             time.Duration
}

// Deaths within a Window after which the NICs are given back.
const Deaths = 5

func (o *Options) setDefaults() {
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&o.StartTimeout, 90 * time.Second}, {&o.StopTimeout, 90 * time.Second}, {&o.Watchdog, 2 * time.Second},
		{&o.Window, 10 * time.Second}, {&o.Retry, 10 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
}

type keeper struct {
	Options
	lock   *launch.TeamLock
	store  supervisor.Store
	closer supervisor.Closer // of what was removed
	report *launch.Reporter  // to who waits for the first start

	ownProgram bool        // start the next child from this process's program, not from Program
	deaths     []time.Time // within the Window
	trying     bool        // the NICs were given back; no child has lived for a Window since
}

// Run keeps a process of the team alive. It returns nil when the team has ended on purpose or ctx ends, and an error if
// the first start failed: the host is then as before.
func Run(ctx context.Context, o Options) error {
	o.setDefaults()
	o.Program = strings.TrimSuffix(o.Program, " (deleted)") // of /proc/self/exe
	k := &keeper{Options: o, report: &launch.Reporter{Log: o.Log}}
	if o.Ready != nil {
		k.report.Out = o.Ready
		defer k.stopReporting()
	}
	var was *child
	var err error
	if o.Child != 0 {
		was, err = k.resume()
	} else {
		k.lock, err = launch.LockKeeper(o.Dirs, o.Team)
	}
	if err != nil {
		k.report.Send(launch.Report{Problem: problemOf(o.Team, err)})
		return err
	}
	defer k.lock.Release()
	defer k.forgetConfig()
	return k.run(ctx, was)
}

// run starts child after child. c is one that runs already.
func (k *keeper) run(ctx context.Context, c *child) error {
	first := c == nil
	for {
		end := k.live(ctx, c, first)
		c = nil
		lived := end.ready && time.Since(end.started) >= k.Window
		switch {
		case end.onPurpose():
			return nil
		case ctx.Err() != nil:
			k.Log.Warn("the team's process did not stop in order: the NICs are given back", "end", end)
			return k.giveBack()
		case first && !end.ready:
			return k.failFirst(end)
		case end.conflict() && launch.Runs(k.Dirs, k.Team):
			k.Log.Error("another process runs the team: its keeper ends", "end", end)
			return nil
		case end.handOver():
			k.Log.Info("the team's process hands over to the next one")
			k.ownProgram = false
		case k.trying && !lived:
			k.Log.Error("the team's process died again", "end", end, "next_start", k.Retry)
			_ = k.giveBack()
			k.ownProgram = !k.ownProgram
			if !k.wait(ctx, k.Retry) {
				return nil
			}
		case k.tooManyDeaths():
			k.Log.Error("the team's process died too often: the NICs are given back", "deaths", Deaths,
				"within", k.Window, "end", end, "next_start", k.Retry)
			_ = k.giveBack()
			k.trying, k.deaths = true, nil
			if !k.wait(ctx, k.Retry) {
				return nil
			}
		default:
			k.Log.Error("the team's process died and is started again", "end", end)
			if !end.ready { // maybe the program is broken: the other one has a try
				k.ownProgram = !k.ownProgram
			}
		}
		k.trying = k.trying && !lived
		first = false
	}
}

// live starts a child, unless there is one, and returns when it has ended.
func (k *keeper) live(ctx context.Context, c *child, first bool) exit {
	if c == nil {
		var err error
		if c, err = k.start(first); err != nil {
			return exit{started: time.Now(), err: err}
		}
	}
	return k.watch(ctx, c)
}

// tooManyDeaths counts a death, and reports whether it is one too many.
func (k *keeper) tooManyDeaths() bool {
	now := time.Now()
	k.deaths = append(slices.DeleteFunc(k.deaths, func(t time.Time) bool { return now.Sub(t) > k.Window }), now)
	return len(k.deaths) >= Deaths
}

// failFirst ends a keeper whose first child never got ready. One that ended by itself has put the host back and
// reported why; for any other this is done here.
func (k *keeper) failFirst(end exit) error {
	p := &api.Problem{Kind: api.Failed, What: "start the process of " + k.Team,
		Why: fmt.Sprintf("it ended before the team forwarded: %v", end),
		Fix: "read " + k.LogFile(k.Team) + ", then retry", Err: end.err}
	if launch.Restorable(k.Dirs, k.Team) {
		if err := k.giveBack(); err != nil {
			p.Why += fmt.Sprintf("; and the host could not be put back: %v", err)
			p.Fix = "read " + k.LogFile(k.Team) + ", then: nicteam restore " + k.Team
		} else {
			p.Why += "; the host was put back as it was"
			k.RemovePending(k.Team)
		}
	}
	k.report.Send(launch.Report{Problem: p, Died: true})
	return p
}

func (k *keeper) stopReporting() {
	if k.report.Out != nil {
		_ = k.Ready.Close()
		k.report.Out = nil
	}
}

// wait returns false if ctx ends first.
func (k *keeper) wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Protect keeps the OOM killer away from this process and its later children: without them a host that is short of
// memory is also unreachable. It needs CAP_SYS_RESOURCE.
func Protect() { _ = os.WriteFile("/proc/self/oom_score_adj", []byte("-900"), 0) }

func problemOf(team string, err error) *api.Problem {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p
	}
	return &api.Problem{Kind: api.Failed, What: "start " + team, Why: err.Error(), Fix: "fix the cause and retry",
		Err: err}
}
