// SPDX-License-Identifier: MIT

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

// rejoinNICs handles members whose NIC was gone and has returned, maybe with another ifindex, or was replaced by
// another NIC of its name, and NICs that were missing at the start. The caller holds changeMu.
func (s *session) rejoinNICs(ctx context.Context) {
	s.joinMissing(ctx)
	s.host.DetachGone()
	for _, m := range s.team.Members() {
		if m.State != "absent" {
			if _, err := s.host.ReadLink(m.Index); err == nil {
				continue
			}
			// The link watch reports this too, but maybe later than the next NIC appears.
			_ = s.team.Absent(ctx, m.Name)
		}
		s.rejoinMember(ctx, m.Name)
	}
	s.updateFollower()
}

// rejoinMember makes the NIC that has the name of an absent member that member, if it may.
func (s *session) rejoinMember(ctx context.Context, name string) {
	n, err := s.host.ReturnedNIC(name)
	if err != nil && s.awaitIdentity(ctx, name) {
		n, err = s.host.ReturnedNIC(name)
	}
	if err == nil {
		err = s.returnNIC(ctx, name, n)
	} else if n, err = s.host.NIC(name); err != nil {
		_ = s.team.Warn(ctx, rejoinKey(name), "")
		return
	} else if s.team.Config().Match == settings.MatchMAC {
		_ = s.team.Warn(ctx, rejoinKey(name), name+" is another NIC now, with MAC "+n.MAC.String()+
			", and match=mac: to use it, nicteam remove "+s.team.Config().Team+" "+name+", then add")
		return
	} else {
		err = s.replaceNIC(ctx, name, n)
	}
	if err != nil {
		s.log.Warn("NIC is back but cannot rejoin", "member", name, "err", err)
		_ = s.team.Warn(ctx, rejoinKey(name), name+" is back but cannot rejoin: "+err.Error())
		return
	}
	_ = s.team.Warn(ctx, rejoinKey(name), "")
}

const (
	identityQuiet   = 200 * time.Millisecond // unchanged for so long, a new NIC has its final name and MAC
	identityTimeout = time.Second
)

// awaitIdentity reports whether a NIC of that name is there that was not seen before. It waits until name and MAC,
// which come one after the other, stay unchanged.
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
		if _, err := s.host.ReturnedNIC(name); err == nil {
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

// returnNIC makes a NIC that has returned a member again.
func (s *session) returnNIC(ctx context.Context, name string, n host.NIC) error {
	if h, err := s.nics.Lock(n.Index); h != nil || err != nil {
		if h != nil {
			err = h.Problem("take "+name+" back", name)
		}
		return err
	}
	// Isolate before the data path opens the NIC, unlike when a NIC joins: no address in use is on it, and its frames
	// must not reach the host beside the team.
	if err := s.host.Isolate(n.Index); err != nil {
		return err
	}
	if s.team.Config().Address.FromMembers() {
		all := func(host.Arrival) host.Move { return host.Shift }
		if _, err := s.host.AdoptArrivals(s.adapter.Index(), []string{name}, all); err != nil {
			return err
		}
	}
	return s.reopenMember(ctx, name, n)
}

// reopenMember makes the data path open a member on a NIC that is in the journal.
func (s *session) reopenMember(ctx context.Context, name string, n host.NIC) error {
	if err := s.host.Strip(name, s.memberSetup()); err != nil {
		return err
	}
	if now, err := s.host.NICAt(n.Index); err == nil {
		n = now // Strip may have changed its MTU
	}
	l := team.Link{Name: name, Index: n.Index, MAC: n.MAC}
	return s.team.Reopen(ctx, name, l, s.memberInfo(name, n))
}

// replaceNIC makes another NIC the member of that name. Addresses of the absent one stay on the adapter, and remain its
// own in the journal.
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
		if _, problem := s.host.CheckAdd(check, []string{name}, others, host.ConsentChecked); problem != nil {
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
	if err = s.host.Isolate(n.Index); err == nil && c.Address.FromMembers() {
		err = s.host.Adopt(s.adapter.Index(), []string{name})
	}
	if err == nil {
		err = s.reopenMember(ctx, name, n)
	}
	if err != nil {
		_, back := s.host.Release(name, false)
		if back != nil {
			s.log.Warn("NIC not released", "member", name, "err", back)
		}
		return err
	}
	s.recordFilters([]string{name})
	s.team.Record("member-replaced", name, "by another NIC of that name, with MAC "+n.MAC.String())
	return nil
}
