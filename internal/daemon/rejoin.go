package daemon

import (
	"context"
	"errors"
	"time"

	"nicteam/internal/host"
	"nicteam/internal/host/journal"
	"nicteam/internal/launch"
	"nicteam/internal/settings"
	"nicteam/team"
)

// rejoinNICs takes members back whose NIC was gone and has returned, maybe under another ifindex, or has another NIC in its place,
// and those in that were missing at the start. The caller holds changing.
func (s *session) rejoinNICs(ctx context.Context) {
	s.joinMissing(ctx)
	s.host.EndGone()
	for _, m := range s.team.Members() {
		if m.State != "absent" {
			if _, err := s.host.Facts(m.Index); err == nil {
				continue
			}
			// The link watch tells of it, too; the next NIC may be there before that.
			_ = s.team.Absent(ctx, m.Name)
		}
		s.rejoinMember(ctx, m.Name)
	}
	s.updateFollower()
}

func (s *session) rejoinMember(ctx context.Context, name string) {
	n, err := s.host.Returned(name)
	if err != nil && s.awaitIdentity(ctx, name) {
		n, err = s.host.Returned(name)
	}
	if err == nil {
		err = s.returnNIC(ctx, name, n)
	} else if n, err = s.host.NIC(name); err != nil {
		_ = s.team.Warn(ctx, rejoinKey(name), "") // nothing is there that could be taken
		return
	} else if s.team.Config().Match == settings.MatchMAC {
		_ = s.team.Warn(ctx, rejoinKey(name), "another NIC is called "+name+" now, with MAC "+n.MAC.String()+
			", and match is mac: nicteam remove "+s.team.Config().Team+" "+name+" and add take it")
		return
	} else {
		err = s.replaceNIC(ctx, name, n)
	}
	if err != nil {
		s.log.Warn("NIC is back but cannot be taken", "member", name, "err", err)
		_ = s.team.Warn(ctx, rejoinKey(name), name+" is back but cannot be taken: "+err.Error())
		return
	}
	_ = s.team.Warn(ctx, rejoinKey(name), "")
}

const (
	// identityQuiet is how long a new device must have been as it is: it gets its name and its MAC one after the other.
	identityQuiet = 200 * time.Millisecond
	// identityTimeout bounds the wait for that.
	identityTimeout = time.Second
)

// awaitIdentity reports whether a NIC of a name is there that has not been looked at before, once it is what it will be.
func (s *session) awaitIdentity(ctx context.Context, name string) bool {
	n, err := s.host.NIC(name)
	if err != nil || n.Identity() == s.identified[name] {
		return false
	}
	begun, since := time.Now(), time.Now()
	look := time.NewTicker(identityQuiet / 10)
	defer look.Stop()
	for time.Since(since) < identityQuiet && time.Since(begun) < identityTimeout {
		select {
		case <-look.C:
		case <-ctx.Done():
			return false
		}
		if _, err := s.host.Returned(name); err == nil {
			return true
		}
		now, err := s.host.NIC(name)
		if err != nil {
			return false
		}
		if now.Identity() != n.Identity() {
			n, since = now, time.Now()
		}
	}
	if s.identified == nil {
		s.identified = map[string]journal.Identity{}
	}
	s.identified[name] = n.Identity()
	return true
}

func rejoinKey(name string) string { return "rejoin " + name }

func (s *session) returnNIC(ctx context.Context, name string, n host.NIC) error {
	if h, err := s.nics.Lock(n.Index); h != nil || err != nil {
		if h != nil {
			err = h.Problem("take "+name+" back", name)
		}
		return err
	}
	// Before anything else, unlike with a NIC that joins: this one has no address that anybody misses, and what comes
	// by it must not reach the host beside the team.
	if err := s.host.Isolate(n.Index); err != nil {
		return err
	}
	if s.team.Config().Address == settings.AddressAuto {
		if _, err := s.host.AdoptLate(s.adapter.Index(), []string{name}, func(host.Late) bool { return true }); err != nil {
			return err
		}
	}
	return s.reopenMember(ctx, name, n)
}

// reopenMember has the data path open a member on a NIC that is recorded.
func (s *session) reopenMember(ctx context.Context, name string, n host.NIC) error {
	if err := s.host.Strip(name, s.memberSetup()); err != nil {
		return err
	}
	if now, err := s.host.NICAt(n.Index); err == nil {
		n = now // with another MTU, maybe
	}
	l := team.Link{Name: name, Index: n.Index, MAC: n.MAC}
	return s.team.Return(ctx, name, l, team.MemberInfo{Driver: n.Driver, MTU: n.MTU, OwnMAC: n.WiFi, VLANFilter: s.host.FiltersVLANs(name)})
}

// replaceNIC puts another NIC in the place of a member's that is gone: it has the same name. What the old one lent stays on the
// adapter, and is its own if it ever comes back.
func (s *session) replaceNIC(ctx context.Context, name string, n host.NIC) error {
	c := s.team.Config()
	var others []settings.MemberConfig
	for _, m := range c.Members {
		if m.Name != name {
			others = append(others, m)
		}
	}
	check := c
	check.Members = others
	err := s.dirs.Exclusive(func() error {
		others, err := launch.Owners(s.dirs, c.Team)
		if err != nil {
			return err
		}
		if _, problem := s.host.CheckAdd(check, []string{name}, others, host.Known); problem != nil {
			return problem
		}
		if err := s.lockNICs("add to "+c.Team, []string{name}); err != nil {
			return err
		}
		_, err = s.host.Release(name, false)
		return errors.Join(err, s.recordNICs([]string{name}))
	})
	if err != nil {
		return err
	}
	if err = s.host.Isolate(n.Index); err == nil && c.Address == settings.AddressAuto {
		err = s.host.Adopt(s.adapter.Index(), []string{name})
	}
	if err == nil {
		err = s.reopenMember(ctx, name, n)
	}
	if err != nil {
		_, back := s.host.Release(name, false)
		if back != nil {
			s.log.Warn("NIC not given back", "member", name, "err", back)
		}
		return err
	}
	s.recordFilters([]string{name})
	s.team.Record("member-replaced", name, "by another NIC of that name, with MAC "+n.MAC.String())
	return nil
}
