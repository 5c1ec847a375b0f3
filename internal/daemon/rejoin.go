package daemon

import (
	"context"

	"nicteam/internal/host"
	"nicteam/team"
)

// rejoin takes members back whose NIC was gone and has returned, maybe under another ifindex, and those in that
// were missing at the start. It looks after every link event.
func (s *session) rejoin(ctx context.Context) {
	for changed := s.host.Changes(ctx); ; {
		s.takeAwaited(ctx)
		select {
		case <-changed:
		case <-ctx.Done(): // the channel is never closed
			return
		}
		s.host.EndGone()
		for _, m := range s.team.Status().Members {
			if m.State == "absent" {
				s.takeBack(ctx, m.Name)
			}
		}
	}
}

func (s *session) takeBack(ctx context.Context, name string) {
	s.changing.Lock()
	defer s.changing.Unlock()
	n, err := s.host.Returned(name)
	if err != nil {
		return // not there yet
	}
	if err := s.readmit(ctx, name, n); err != nil {
		s.log.Warn("NIC is back but cannot be taken", "member", name, "err", err)
		_ = s.team.Warn(ctx, "rejoin "+name, name+" is back but cannot be taken: "+err.Error())
		return
	}
	_ = s.team.Warn(ctx, "rejoin "+name, "")
}

func (s *session) readmit(ctx context.Context, name string, n host.NIC) error {
	// Before anything else, unlike with a NIC that joins: this one has no address that anybody misses, and what comes
	// by it must not reach the host beside the team.
	if h, err := s.nics.take(n.Index); h != nil || err != nil {
		if h != nil {
			err = h.problem("take "+name+" back", name)
		}
		return err
	}
	if err := s.host.Isolate(n.Index); err != nil {
		return err
	}
	if err := s.host.Strip(name, s.setup()); err != nil {
		return err
	}
	if now, err := s.host.NICAt(n.Index); err == nil {
		n = now // with another MTU, maybe
	}
	l := team.Link{Name: name, Index: n.Index, MAC: n.MAC}
	return s.team.Return(ctx, name, l, team.MemberInfo{Driver: n.Driver, MTU: n.MTU, OwnMAC: n.WiFi, VLANFilter: s.host.FiltersVLANs(name)})
}
