package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"nicteam/internal/config"
	"nicteam/internal/control"
	"nicteam/internal/metrics"
	"nicteam/team"
)

// Run is the team's process: it takes the NICs over, or goes on where the process before it died, and returns after `nicteam delete`
// or when ctx ends. In the second case adapter, addresses and journal stay for the next start, unless o.Release says
// otherwise. Its errors are *team.Problem where a user can do something.
func Run(ctx context.Context, o RunOptions) error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	rep := reporter{}
	if o.Ready != nil {
		rep.w = o.Ready
		defer func() { _ = o.Ready.Close() }()
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, o, rep)
	if err != nil {
		rep.send(report{Problem: asProblem("run "+o.Config.Team, err)})
	}
	return err
}

func run(ctx context.Context, o RunOptions, rep reporter) error {
	name := o.Config.Team
	if err := o.Places.make(); err != nil {
		return err
	}
	mine, err := acquire(o.Places, name)
	if err != nil {
		return err
	}
	defer mine.release()
	if o.RandomSystem {
		o.keepSystem()
	}
	if err := config.Save(o.running(name), o.Config); err != nil {
		return &team.Problem{Kind: team.Failed, What: "start " + name, Why: err.Error(), Fix: "make room or rights there", Err: err}
	}
	prefer()
	s, err := start(ctx, o, rep)
	if err != nil {
		return err
	}
	var failovers metrics.Failovers
	server, err := control.Listen(o.socket(name), s, control.Options{Log: o.Log, Failovers: &failovers, Version: o.Version})
	if err == nil {
		err = dropPrivileges()
	}
	if err != nil {
		if server != nil {
			_ = server.Close()
		}
		return s.revert(name, err)
	}
	rep.send(report{Ready: true})
	notify("READY=1")
	if o.Ready != nil {
		_ = o.Ready.Close()
	}
	return s.serve(ctx, server, &failovers, o)
}

// serve works until the team is deleted or ctx ends.
func (s *session) serve(ctx context.Context, server *control.Server, failovers *metrics.Failovers, o RunOptions) error {
	name := o.Config.Team
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- server.Serve(work) }()
	var back sync.WaitGroup
	back.Go(func() { s.rejoin(work) })
	back.Go(func() { s.followLinks(work) })
	back.Go(func() { s.keep(work) })
	back.Go(func() { s.choice.follow(work) })
	back.Go(func() { failovers.Follow(s.team.Follow(work), s) })

	var err error
	deleted := false
	select {
	case <-s.over:
		deleted = true
	case <-ctx.Done():
	case err = <-s.broken:
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
	if o.Release {
		steps, e := s.release()
		for _, step := range steps { // nobody waits for an answer
			s.log.Info("given back", "team", name, "what", step)
		}
		_ = os.Remove(o.running(name)) // TEAM.yaml stays: the team was stopped, not deleted
		if o.comesBack(name) {
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
