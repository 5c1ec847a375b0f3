package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"nicteam/internal/atomicfile"
	"nicteam/internal/config"
	"nicteam/internal/control"
	"nicteam/internal/launch"
	"nicteam/internal/logs"
	"nicteam/internal/metrics"
	"nicteam/internal/settings"
	"nicteam/team"
)

// RunOptions say what the team's own process runs.
type RunOptions struct {
	Config settings.Config
	launch.Dirs
	Ready   *os.File // where to report steps and readiness, nil for nowhere
	Release bool     // give everything back when ctx ends
	Insist  bool     // somebody makes the team now and waits: what cannot be as wished is an error, as Config.Datapath fastpath, or a team out of reach
	Notes   []string // warnings that are known already
	Version string   // told by GET /metrics
	Log     *slog.Logger

	// RandomSystem says that Config.LACP.System was drawn just now; the one that was drawn for a process before this one
	// stays in its place.
	RandomSystem bool
}

// Run is the team's process: it takes the NICs over, or goes on where the process before it died, and returns after `nicteam delete`
// or when ctx ends. In the second case adapter, addresses and journal stay for the next start, unless o.Release says
// otherwise. Its errors are *team.Problem where a user can do something.
func Run(ctx context.Context, o RunOptions) error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	rep := &launch.Reporter{Log: o.Log.With("team", o.Config.Team)}
	if o.Ready != nil {
		rep.Out = o.Ready
		defer func() { _ = o.Ready.Close() }()
	}
	launch.SetSafePath()
	ends := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	reopen := make(chan os.Signal, 1)
	if onTerminal() {
		ends = append(ends, syscall.SIGHUP)
	} else {
		signal.Notify(reopen, syscall.SIGHUP)
		defer signal.Stop(reopen)
	}
	ctx, stop := signal.NotifyContext(ctx, ends...)
	defer stop()
	err := run(ctx, o, rep, reopen)
	if err != nil {
		rep.Send(launch.Report{Problem: asProblem("run "+o.Config.Team, err)})
	}
	return err
}

// onTerminal reports whether a terminal controls this process: its SIGHUP says that the terminal is closed.
func onTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}

func run(ctx context.Context, o RunOptions, rep *launch.Reporter, reopen <-chan os.Signal) error {
	name := o.Config.Team
	if err := o.Dirs.Make(); err != nil {
		return err
	}
	mine, err := launch.LockTeam(o.Dirs, name)
	if err != nil {
		return err
	}
	defer mine.Release()
	for _, note := range o.Notes {
		rep.Warn(note)
	}
	if o.RandomSystem {
		o.keepSystem()
	}
	if err := config.Save(o.RunningConfig(name), o.Config); err != nil {
		return &team.Problem{Kind: team.Failed, What: "start " + name, Why: err.Error(), Fix: "make room or rights there", Err: err}
	}
	prefer()
	s, err := start(ctx, o, rep)
	if err != nil {
		return err
	}
	var failovers metrics.Failovers
	server, err := control.Listen(o.Socket(name), s, control.Options{Log: o.Log, Panics: s.panics, Failovers: &failovers, Version: o.Version})
	if err == nil {
		err = dropPrivileges()
	}
	if err != nil {
		if server != nil {
			_ = server.Close()
		}
		return s.revert(name, err)
	}
	rep.Send(launch.Report{Ready: true})
	notify("READY=1")
	if o.Ready != nil {
		_ = o.Ready.Close()
	}
	return s.serve(ctx, server, mine, &failovers, o, reopen)
}

// serve works until the team is deleted or ctx ends.
func (s *session) serve(ctx context.Context, server *control.Server, mine *launch.TeamLock, failovers *metrics.Failovers, o RunOptions, reopen <-chan os.Signal) error {
	name := o.Config.Team
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- server.Serve(work) }()
	var back sync.WaitGroup
	followers := map[string]func(context.Context){
		"lock": func(ctx context.Context) { mine.Maintain(ctx, o.Dirs, name, s.log) },
		"host": s.follow, "filters": s.followFilters, "past": s.keep, "choice of the data path": s.choice.follow,
		"failovers": func(ctx context.Context) { failovers.Follow(s.team.Follow(ctx), s) },
	}
	path := o.LogFile(name)
	if log := logs.Keep(path, func() (*os.File, error) { return launch.OpenLog(path) }); log != nil {
		followers["log"] = func(ctx context.Context) { log.Follow(ctx, reopen, s.log) }
	}
	for where, follow := range followers {
		back.Go(func() { s.panics.Restart(work, where, func() { follow(work) }) })
	}

	var err error
	deleted := false
	select {
	case <-s.over:
		deleted = true
	case <-ctx.Done():
	case err = <-s.broken:
	case err = <-s.panics.Fatal():
	}
	notify("STOPPING=1")
	cancel()
	back.Wait()
	err = errors.Join(err, <-served)
	if deleted {
		return err
	}
	s.changing.Lock() // a change that is going on is ended first
	defer s.changing.Unlock()
	lost := errors.Is(err, errLost)
	if lost {
		_ = s.adapter.SetPersist(false) // wherever it is
	}
	if o.Release || lost {
		steps, e := s.release()
		for _, step := range steps { // nobody waits for an answer
			s.log.Info("given back", "team", name, "what", step)
		}
		atomicfile.Remove(o.RunningConfig(name)) // TEAM.yaml stays: the team was stopped, not deleted
		if o.Persistent(name) {
			s.writePast()
		} else {
			s.dropPast(name)
		}
		return errors.Join(err, e)
	}
	s.log.Info("stopped; the adapter stays", "team", name)
	s.stop()
	s.writePast()
	return errors.Join(err, s.host.Close())
}

// asProblem is err as users see it.
func asProblem(what string, err error) *team.Problem {
	var p *team.Problem
	if errors.As(err, &p) {
		return p
	}
	return &team.Problem{Kind: team.Failed, What: what, Why: err.Error(), Fix: "nicteam status shows the teams of this host", Err: err}
}
