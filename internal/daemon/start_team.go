// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"nicteam/internal/epoll"
	"nicteam/internal/fastpath"
	"nicteam/internal/relay"
	"nicteam/monitor"
	"nicteam/team"
)

// startTeam starts the data path, the control loop and the goroutines that feed it. With a Checkpoint they go on with
// what the process before left.
func (u *startup) startTeam(checkpoint *team.Checkpoint) error {
	s, c := u.session, u.config
	c.Members = slices.Concat(c.Members, s.missing) // for their weights and port priorities
	r, err := relay.New(relay.Options{Adapter: s.adapter, TSO: c.TSO, USO: c.USO, Logger: s.log, Panics: s.panics,
		Store: s.supervisor, Hold: checkpoint != nil})
	if err != nil {
		return err
	}
	o := fastpath.Options{Relay: r, Adapter: s.adapter, Hooks: hooks{s.host}, Logger: s.log, Panics: s.panics,
		Store: s.supervisor}
	pathName, pathReason := pathRelay, reasonStarting
	if checkpoint == nil {
		s.path = fastpath.New(o)
		if c.Datapath != pathRelay {
			s.path.Preload()
		}
	} else if err := s.adoptPath(o, checkpoint); err != nil {
		return err
	} else if s.path.Engaged() {
		pathName, pathReason = pathFast, fastReason(s.path.Blind())
	}
	var salt [8]byte
	_, _ = rand.Read(salt[:])
	s.adapterReader = newAdapterReader(s.readAdapter, s.panics)
	var targets monitor.Targets
	if checkpoint == nil {
		targets = u.firstWatchTargets()
	} else {
		s.watchTargets.settle()
	}
	var held *team.AddressesHeld
	if checkpoint != nil {
		has, err := s.host.HeldAddresses(s.adapter.Index())
		if err != nil {
			return err
		}
		held = &has
	}
	sleeper, err := epoll.NewTimer()
	if err != nil {
		return err
	}
	s.team, err = team.New(team.Options{
		Config: c, MAC: s.adapter.MAC(), Salt: binary.NativeEndian.Uint64(salt[:]),
		Adapter: carrier{s.adapter, s.log}, Datapath: s.path, Source: s.host,
		Memory: s.loadLACPState(c.Team, u.resume), Remember: s.saveLACPState(c.Team),
		Checkpoint: checkpoint, SaveCheckpoint: s.saveCheckpoint(c.Team), Warnings: s.missingWarnings(),
		AddressSource: addressSource{s.host, s.adapter.Index()},
		Held:          held, WatchTargets: targets, Retransmits: s.host.Retransmits,
		AdapterInfo: s.adapterReader.status, Sleeper: sleeper,
		DatapathName: pathName, DatapathReason: pathReason, Log: s.log, Panics: s.panics,
	})
	if err != nil {
		return err
	}
	s.datapath = &datapathSelector{
		path: s.path, log: s.log.With("team", c.Team), hooksHeld: s.hooksHeld, setBacklog: s.setBacklog,
		report: func(name, reason string) { _ = s.team.DatapathChanged(context.Background(), name, reason) },
		warn:   func(text string) { _ = s.team.Warn(context.Background(), "datapath", text) },
	}
	s.loadHistory(c.Team)
	ctx, cancel := context.WithCancel(context.Background())
	s.stopTeam, s.teamDone, s.failed = cancel, make(chan struct{}), make(chan error, 1)
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.team.Run(ctx); ctx.Err() == nil {
			s.failed <- errors.Join(errors.New("the control loop ended"), err)
		}
	})
	for where, follow := range map[string]func(context.Context){
		"host's events": s.follower.Run, "adapter's MAC": s.followAdapterMAC, "adapter's receive mode": s.followRxMode,
		"targets of link watches": s.followWatchTargets,
		"routers":                 func(ctx context.Context) { s.host.RefreshFromRAs(ctx, s.adapter.Index()) },
		"routers, for managers":   s.keepFromRAs,
	} {
		work.Go(func() { s.panics.Restart(ctx, where, func() { follow(ctx) }) })
	}
	go func() {
		work.Wait()
		close(s.teamDone)
	}()
	return nil
}

// adoptPath makes the data path go on with its members as the Checkpoint names them.
func (s *session) adoptPath(o fastpath.Options, c *team.Checkpoint) (err error) {
	if s.path, err = fastpath.Adopt(o); err != nil {
		s.log.Warn("the relay moves the frames until programs of this version do", "team", c.Team, "reason", err)
	}
	for _, m := range c.Present() {
		if err := s.path.Join(m.ID, m.Link); err != nil {
			return err
		}
	}
	return nil
}

// saveCheckpoint returns a function that stores what the next process goes on with.
func (s *session) saveCheckpoint(name string) func(*team.Checkpoint) {
	w := &checkpointWriter{path: s.dirs.CheckpointFile(name), failed: func(err error) {
		s.log.Warn("checkpoint not saved: the next process would start cold", "team", name, "err", err)
	}}
	return w.write
}
