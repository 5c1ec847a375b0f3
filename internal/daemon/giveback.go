package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/atomicfile"
	"nicteam/internal/logs"
	"nicteam/modes/spread"
)

// giveBack gives everything back and ends adapter and journal. The members' frames go to the host's own stack again at the
// moment they stop coming by the adapter.
func (s *session) giveBack() (steps []string, err error) {
	// The members' frames are the host's again by taking the Plan away, and programs would hold them back.
	s.datapath.suspend()
	for _, name := range s.host.GoingDown() {
		_ = s.team.Leave(context.Background(), name, true) // one that never joined
	}
	if s.follower != nil {
		if err := s.follower.Settle(); err != nil {
			s.log.Warn("what the adapter lost by going down is not given back", "err", err)
		}
	}
	back, err := s.host.ReleaseAll(func() {
		_ = s.team.End(context.Background()) // while there is a way to say so
		_ = s.path.Apply(&spread.Plan{})
	})
	steps = append(steps, back.Notes...)
	if err != nil {
		_ = s.team.Resume(context.Background())
		s.datapath.resume()
		return steps, err
	}
	name := s.team.Config().Team
	s.stop()
	s.dirs.RemoveLACPState(name)
	if _, err := s.host.Finish(); err != nil {
		return steps, err
	}
	if len(back.Members) > 0 {
		steps = append(steps, "given back: "+strings.Join(back.Members, ", "))
	}
	return steps, s.host.Close()
}

// stop ends goroutines and descriptors. The adapter stays, with its addresses, and the journal.
func (s *session) stop() {
	if s.stopTeam != nil {
		s.stopTeam()
		<-s.teamDone
		s.stopTeam = nil
	}
	if s.path != nil {
		_ = s.path.Close()
	}
	if s.adapter != nil {
		_ = s.adapter.Close()
	}
	s.nics.KeepOnly()
}

// revert puts the host back after start could not finish.
func (s *session) revert(name string, cause error) error {
	changed := s.adapter != nil
	var back error
	if s.path == nil || s.team == nil {
		s.stop()
		_, back = s.host.Restore()
		_ = s.host.Close()
	} else {
		_, back = s.giveBack()
	}
	if back == nil { // nothing is left to ask or to go on with
		_ = os.Remove(s.dirs.Socket(name))
		atomicfile.Remove(s.dirs.RunningConfig(name))
		s.dirs.RemoveLACPState(name)
	}
	p := &api.Problem{Kind: api.Reverted, What: "start " + name, Why: cause.Error() + "; the host was put back as it was",
		Fix: "mend the cause and repeat the command", Err: cause}
	why := new(api.Problem)
	known := errors.As(cause, &why)
	switch {
	case back != nil:
		p.Kind, p.Why, p.Fix = api.Failed, fmt.Sprintf("%v; and the host could not be put back: %v", cause, back), "nicteam restore "+name
	case known && !changed:
		return cause
	case known && why.Kind == api.Reverted:
		p.What, p.Why, p.Fix = why.What, why.Why+"; the host was put back as it was", why.Fix
	case errors.Is(cause, context.Canceled):
		p.Why, p.Fix = "it was interrupted; the host was put back as it was", "repeat the command"
	}
	return p
}

// removeFiles removes what is kept of a team for a next start.
func (s *session) removeFiles(name string) {
	for _, path := range s.dirs.ConfigFiles(name) {
		atomicfile.Remove(path)
	}
	_ = os.Remove(s.dirs.LogFile(name))
	_ = os.Remove(logs.Old(s.dirs.LogFile(name)))
	s.dropHistory(name)
}
