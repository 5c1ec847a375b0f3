// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/atomicfile"
	"nicteam/modes/spread"
)

// giveBack puts the host back and ends adapter and journal. The host's stack receives from a member again at the moment
// the adapter stops to.
func (s *session) giveBack() (steps []string, err error) {
	s.watchdog.end()
	defer func() {
		if err != nil {
			s.watchdog.resume()
		}
	}()
	// ReleaseAll hands reception back to the host by an empty Plan; programs would still intercept the frames.
	s.datapath.suspend()
	s.dhcp.hold(true)
	for _, name := range s.host.MembersDownBefore() {
		_ = s.team.Leave(context.Background(), name, true) // one that never joined
	}
	if s.follower != nil {
		if err := s.follower.SyncBeforeEnd(); err != nil {
			s.log.Warn("addresses and routes that the adapter lost while down are not restored", "err", err)
		}
	}
	back, err := s.host.ReleaseAll(func() {
		_ = s.team.End(context.Background()) // LACP and peers are told while frames can still be sent
		_ = s.path.Apply(&spread.Plan{})
	})
	steps = append(steps, back.Notes...)
	if err != nil {
		_ = s.team.Resume(context.Background())
		s.datapath.resume()
		s.dhcp.hold(false)
		return steps, err
	}
	name := s.team.Config().Team
	s.stop()
	s.dirs.RemoveLACPState(name)
	atomicfile.Remove(s.dirs.ProcessFile(name))
	if _, err := s.host.Finish(); err != nil {
		return steps, err
	}
	if len(back.Members) > 0 {
		steps = append(steps, "released: "+strings.Join(back.Members, ", "))
	}
	steps = append(steps, s.untellManagers()...)
	return steps, s.host.Close()
}

// stop ends goroutines and closes descriptors. Adapter, addresses and journal stay.
func (s *session) stop() {
	s.stopLoop()
	if s.path != nil {
		_ = s.path.Close()
	}
	if s.adapter != nil {
		_ = s.adapter.Close()
	}
	s.nics.KeepOnly()
}

// stopLoop ends the control loop and the goroutines that feed it.
func (s *session) stopLoop() {
	if s.stopTeam != nil {
		s.stopTeam()
		<-s.teamDone
		s.stopTeam = nil
	}
}

// revert puts the host back after a failed start, and returns the error for the user.
func (s *session) revert(name string, cause error) error {
	changed := s.adapter != nil
	var back error
	if s.path == nil || s.team == nil {
		s.stop()
		_, back = s.host.Restore()
		_ = s.untellManagers()
		_ = s.host.Close()
	} else {
		_, back = s.giveBack()
	}
	if back == nil {
		_ = os.Remove(s.dirs.Socket(name))
		if s.dirs.Pending(name) == nil { // else the next process says what became of the change
			atomicfile.Remove(s.dirs.RunningConfig(name))
		}
		s.dirs.RemoveLACPState(name)
		atomicfile.Remove(s.dirs.ProcessFile(name))
	}
	const putBack = "; the host was put back as it was"
	p := &api.Problem{Kind: api.Reverted, What: "start " + name, Why: cause.Error() + putBack,
		Fix: "fix the cause and retry", Err: cause}
	why := new(api.Problem)
	known := errors.As(cause, &why)
	switch {
	case back != nil:
		p.Kind, p.Fix = api.Failed, "nicteam restore "+name
		p.Why = fmt.Sprintf("%v; and the host could not be put back: %v", cause, back)
	case known && !changed:
		return cause
	case known && why.Kind == api.Reverted:
		p.What, p.Why, p.Fix = why.What, why.Why+putBack, why.Fix
	case errors.Is(cause, context.Canceled):
		p.Why, p.Fix = "interrupted"+putBack, "retry"
	}
	return p
}

// removeFiles removes what a next start would use.
func (s *session) removeFiles(name string) {
	removeTeamFiles(s.dirs, name)
	atomicfile.Remove(s.dirs.OutcomeFile(name))
	s.managers.Forget()
	s.dropHistory(name)
}
