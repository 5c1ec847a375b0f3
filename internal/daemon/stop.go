// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"errors"

	"nicteam/internal/api"
	"nicteam/internal/atomicfile"
)

// How a team's process ends, and what its supervisor makes of it:
//
//	delete, stop, SIGTERM, SIGINT  the host is given back           exit 0: it was meant
//	hand over                      everything stays on the host     exit 75: start the next process at once
//	the adapter is gone            the host is given back           as if it was meant: who took the adapter would
//	                                                                have to do it again. An error in the log
//	three panics, the loop ended   everything stays on the host     an error: start the next process;
//	                               without a supervisor given back  nobody would start one

// ErrHandedOver is returned by Run when another process is to go on with the team.
var ErrHandedOver = errors.New("the team was handed over to the next process")

// Stop ends the process. With handover the next process goes on where it ended; else the host is given back, and
// TEAM.yaml stays for a later start. The first end wins: a stop during a hand over changes nothing.
func (s *session) Stop(ctx context.Context, handover bool) (steps []string, err error) {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	name := s.team.Config().Team
	switch {
	case s.isOver():
		return []string{name + " is ending already"}, nil
	case handover:
		if s.checkNext != nil {
			if err := s.checkNext(ctx); err != nil {
				return nil, err
			}
		}
		s.endOnce.Do(func() { close(s.handedOver) })
		return []string{name + " is handed over to its next process"}, nil
	}
	steps, err = s.giveBackAndStop()
	if err != nil {
		return steps, &api.Problem{Kind: api.Failed, What: "stop " + name, Why: err.Error(),
			Fix: "nicteam restore " + name, Err: err}
	}
	s.endOnce.Do(func() { close(s.deleted) })
	return steps, nil
}

// isOver reports whether the process ends already. The caller holds changeMu.
func (s *session) isOver() bool { return isClosed(s.deleted) || isClosed(s.handedOver) }

// giveBackAndStop gives the host back and leaves what a later start uses. The caller holds changeMu.
func (s *session) giveBackAndStop() (steps []string, err error) {
	steps, err = s.giveBack()
	name := s.team.Config().Team
	for _, step := range steps {
		s.log.Info("released", "team", name, "what", step)
	}
	atomicfile.Remove(s.dirs.RunningConfig(name)) // TEAM.yaml stays: the team was stopped, not deleted
	if r := s.pending.Load(); r != nil && err == nil {
		s.pending.Store(nil)
		s.reverted(r, name, "the team was stopped", nil, nil)
	}
	if s.dirs.Persistent(name) {
		s.saveHistory()
	} else {
		s.dropHistory(name)
	}
	return steps, err
}

// leave ends the goroutines and leaves everything as it is for the next process: adapter, programs and sockets in the
// hands of the supervisor, addresses, journal, configuration. After a fault that process starts cold, for what the
// control loop remembers may be the cause. The caller holds changeMu.
func (s *session) leave() error {
	name := s.team.Config().Team
	s.left = true
	s.stopLoop()
	if isClosed(s.handedOver) {
		if err := s.life.save(true); err != nil {
			s.log.Warn("the next process will not know of the hand over", "err", err)
		}
	} else {
		s.dirs.RemoveCheckpoint(name)
	}
	s.path.HandOver()
	s.nics.KeepOnly()
	s.saveHistory()
	return s.supervisor.Sync()
}
