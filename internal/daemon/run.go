// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/control"
	"nicteam/internal/launch"
	"nicteam/internal/logs"
	"nicteam/internal/metrics"
	"nicteam/internal/pending"
	"nicteam/internal/settings"
	"nicteam/internal/supervisor"
)

// Options of Run. Config and Dirs must be set.
type Options struct {
	Config settings.Config
	launch.Dirs
	Ready   *os.File // where to report steps and readiness; nil: nowhere
	Notes   []string // warnings found while the configuration was read
	Version string   // for GET /metrics and the status
	Build   string   // the version's revision, for the status
	Log     *slog.Logger

	// Strict: somebody creates the team and waits. What cannot be as configured is an error: datapath=fastpath, a team
	// whose addresses would be unreachable. A start at boot makes do with what works.
	Strict bool

	Supervisor  *supervisor.Supervisor // nil: supervisor.InPlace()
	WaitForNICs bool                   // wait for NICs that are not there yet, as at boot

	// CheckNext checks before a hand over that the next process can run; nil: the supervisor sees to it.
	CheckNext func(context.Context) error

	ReopenLog <-chan os.Signal // a value: the log file was moved away, open it anew; nil: never

	// RandomSystem: Config.LACP.System was drawn for this start. The one of an earlier process of the team stays in
	// use.
	RandomSystem bool

	// Change is how a create is to be made; Persist: it writes TEAM.yaml when it is confirmed.
	Change  control.ChangeOptions
	Persist bool

	running   *settings.Config // of the process before; nil: none
	record    *pending.Record  // of the change that waits for confirmation; nil: none
	confirmed bool             // that change is
	wentBack  bool             // the team starts without that change
}

// gcPercent is how much the heap may grow until the next collection: half of what is usual. Moving frames allocates
// nothing, so that collections are rare in any case, and memory is what a small machine lacks.
const gcPercent = 50

// Run is the team's process. It takes the NICs over, or resumes what the process before it left. It returns after
// `nicteam delete`, or when ctx ends and the host is given back, or with ErrHandedOver. It returns a *api.Problem where
// a user can do something.
func Run(ctx context.Context, o Options) error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	rep := &launch.Reporter{Log: o.Log.With("team", o.Config.Team)}
	if o.Ready != nil {
		rep.Out = o.Ready
		defer func() { _ = o.Ready.Close() }()
	}
	if o.Supervisor == nil {
		o.Supervisor = supervisor.InPlace()
	}
	RaisePriority()
	debug.SetGCPercent(gcPercent)
	launch.SetSafePath()
	served := false
	err := run(ctx, o, rep, &served)
	if err != nil && !served {
		rep.Send(launch.Report{Problem: asProblem("run "+o.Config.Team, err)})
		err = &NotStarted{err}
	}
	return err
}

// GivenBack is an error of a team whose host was given back. Nobody is to start it again: who took its adapter would
// have to do it again.
type GivenBack struct{ error }

func (e *GivenBack) Unwrap() error { return e.error }

// NotStarted is an error of a team that never served: the host is as it was before the start.
type NotStarted struct{ error }

func (e *NotStarted) Unwrap() error { return e.error }

func run(ctx context.Context, o Options, rep *launch.Reporter, served *bool) error {
	name := o.Config.Team
	prepare := o.Dirs.Make
	if o.expectsWarmStart() {
		prepare = o.Dirs.MakeQuickly
	}
	if err := prepare(); err != nil {
		return err
	}
	lock, err := launch.LockTeam(o.Dirs, name)
	if err != nil {
		return err
	}
	left := false // adapter, programs and sockets are left to the next process
	defer func() {
		if left {
			lock.Leave()
		} else {
			lock.Release()
		}
	}()
	goOn, err := o.findPending(ctx)
	if !goOn {
		return err
	}
	for _, note := range o.Notes {
		rep.Warn(note)
	}
	if o.RandomSystem {
		o.keepRandomSystem()
	}
	o.running = o.loadRunning()
	if err := config.Save(o.RunningConfig(name), o.Config); err != nil {
		return &api.Problem{Kind: api.Failed, What: "start " + name, Why: err.Error(),
			Fix: "check free space and permissions there", Err: err}
	}
	s, err := start(ctx, o, rep)
	if err != nil {
		o.dropCreate()
		return err
	}
	var failovers metrics.Failovers
	server, err := control.Listen(o.Socket(name), s, control.Options{Log: o.Log, Panics: s.panics,
		Failovers: &failovers, Version: o.Version})
	if err == nil {
		err = s.confine()
	}
	if err == nil {
		err = s.adoptPending(o)
	}
	if err != nil {
		if server != nil {
			_ = server.Close()
		}
		err = s.revert(name, err)
		o.dropCreate()
		return err
	}
	rep.Send(launch.Report{Ready: true})
	if err := o.Supervisor.Notify("READY=1", "WATCHDOG=1"); err != nil {
		s.log.Warn("the supervisor does not hear that the team is ready", "team", name, "err", err)
	}
	if o.Ready != nil {
		_ = o.Ready.Close()
	}
	if s.pending.Load() == nil {
		s.keepLastConfig(o.Config)
	}
	*served = true
	err = s.serve(ctx, server, lock, &failovers, o)
	left = s.left
	return err
}

// serve runs until the team is deleted, fails, or ctx ends.
func (s *session) serve(ctx context.Context, server *control.Server, lock *launch.TeamLock,
	failovers *metrics.Failovers, o Options) error {
	name := o.Config.Team
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.watchdog = &watchdog{supervisor: s.supervisor, loop: s.team.Alive, path: s.path.Alive,
		status: s.team.Published, endBegan: make(chan struct{}, 1)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(work) }()
	var running sync.WaitGroup
	followers := map[string]func(context.Context){
		"lock":      func(ctx context.Context) { lock.Maintain(ctx, o.Dirs, name, s.log) },
		"host":      s.followHost,
		"dirs":      s.followDirs,
		"programs":  s.followPrograms,
		"filters":   s.followFilters,
		"dhcp":      s.dhcp.run,
		"history":   s.saveHistoryPeriodically,
		"data path": s.datapath.run,
		"managers":  s.followManagers,
		"pending":   s.followPending,
		"failovers": func(ctx context.Context) { failovers.Follow(s.team.Follow(ctx), s) },
	}
	path := o.LogFile(name)
	if log := logs.Keep(path, func() (*os.File, error) { return launch.OpenLog(path) }); log != nil {
		followers["log"] = func(ctx context.Context) { log.Follow(ctx, o.ReopenLog, s.log) }
	}
	for where, follow := range followers {
		running.Go(func() { s.panics.Restart(work, where, func() { follow(work) }) })
	}

	guarded, unguard := context.WithCancel(context.WithoutCancel(ctx))
	defer unguard() // last: also a give-back is to be a working process
	go s.panics.Restart(guarded, "watchdog", func() { s.watchdog.run(guarded) })

	var err error
	select {
	case <-s.deleted:
	case <-s.handedOver:
	case <-ctx.Done():
	case err = <-s.failed:
	case err = <-s.panics.Fatal():
	}
	_ = s.supervisor.Notify("STOPPING=1", "STATUS=ending")
	cancel()
	running.Wait()
	err = errors.Join(err, <-served)
	s.changeMu.Lock() // finish a change in progress
	defer s.changeMu.Unlock()
	return s.end(err, o)
}

// end ends the team as the header of stop.go says. err is why it fails, nil if it does not. The caller holds changeMu.
func (s *session) end(err error, o Options) error {
	name := o.Config.Team
	lost := errors.Is(err, errLost)
	switch {
	case isClosed(s.deleted) && s.comesBack:
		return ErrHandedOver
	case isClosed(s.deleted) && s.revertedWhy != "" && s.supervisor.Kind() == "": // in the foreground of a create
		return &api.Problem{Kind: api.Reverted, What: "create " + name,
			Why: s.revertedWhy + "; the host was put back as it was", Fix: "create it again, and confirm it in time"}
	case isClosed(s.deleted):
		return err
	case isClosed(s.handedOver):
		s.log.Info("handed over", "team", name)
		if e := errors.Join(err, s.leave()); e != nil {
			s.log.Warn("not all was closed", "team", name, "err", e)
		}
		return ErrHandedOver
	case err != nil && !lost && s.supervisor.Kind() != "" && !s.supervisor.Lost():
		s.log.Error("ended by a fault; the adapter stays", "team", name, "err", err)
		return errors.Join(err, s.leave())
	case lost:
		_ = s.adapter.SetPersist(false) // whichever network namespace it is in
	}
	_, e := s.giveBackAndStop()
	switch {
	case lost && e == nil && s.supervisor.Kind() == supervisor.Keeper:
		s.log.Error("ended", "team", name, "err", err)
		return nil
	case lost && e == nil:
		return &GivenBack{err}
	}
	return errors.Join(err, e)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// versionText is the version as the status has it.
func (o Options) versionText() string {
	if o.Build == "" {
		return o.Version
	}
	return o.Version + " (" + o.Build + ")"
}

// asProblem returns the *api.Problem in err, or makes one.
func asProblem(what string, err error) *api.Problem {
	var p *api.Problem
	if errors.As(err, &p) {
		return p
	}
	return &api.Problem{Kind: api.Failed, What: what, Why: err.Error(), Err: err,
		Fix: "nicteam status shows the teams of this host"}
}
