package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/control"
	"nicteam/internal/host"
	"nicteam/internal/launch"
	"nicteam/internal/nearest"
	"nicteam/internal/settings"
)

var _ control.Backend = (*session)(nil)

// Add takes NICs into the running team, all of them or none. accept says that the caller has looked at what cannot go along (Bystanders), or answers for it unseen.
func (s *session) Add(ctx context.Context, names []string, accept bool) (steps []string, err error) {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	return s.addLocked(ctx, names, accept)
}

// addLocked is Add for who holds changing.
func (s *session) addLocked(ctx context.Context, names []string, accept bool) (steps []string, err error) {
	defer s.updateFollower()
	c := s.team.Config()
	names = s.realNames(names)
	consent := host.Ask
	if accept {
		consent = host.Known
	}
	err = s.dirs.Exclusive(func() error {
		others, err := launch.Owners(s.dirs, c.Team)
		if err != nil {
			return err
		}
		warnings, problem := s.host.CheckAdd(c, names, others, consent)
		if problem == nil {
			problem = s.checkAdapterUp(c, names)
		}
		if problem != nil {
			return problem
		}
		for _, w := range warnings {
			steps = append(steps, "warning: "+w)
		}
		if err := s.lockNICs("add to "+c.Team, names); err != nil {
			return err
		}
		return s.recordNICs(names)
	})
	if err != nil {
		return nil, err
	}
	// What was begun is ended: a caller that goes away must not leave a NIC half taken.
	ctx = context.WithoutCancel(ctx)
	fast := s.path.Engaged()
	for i, name := range names {
		if err := s.addNIC(ctx, name); err != nil {
			for _, before := range names[:i] {
				if _, e := s.removeMember(ctx, before, true); e != nil {
					err = errors.Join(err, e)
				}
			}
			for _, after := range names[i+1:] {
				if _, e := s.host.Release(after, false); e != nil {
					err = errors.Join(err, e)
				}
			}
			return nil, err
		}
		s.recordFilters([]string{name})
		s.forgetMissing(ctx, name)
		steps = append(steps, name+" joined "+c.Team)
		if fast && !s.path.Engaged() {
			fast = false
			steps = append(steps, "warning: the relay moves the frames from now on, because of "+name+": nicteam status "+c.Team+" says why")
		}
	}
	return steps, s.saveConfig()
}

// checkAdapterUp refuses NICs whose addresses are to move to an adapter that somebody has set down: routes have no place there.
func (s *session) checkAdapterUp(c settings.Config, names []string) *api.Problem {
	a, err := s.host.NICAt(s.adapter.Index())
	if err != nil || a.AdminUp || c.Address != settings.AddressAuto {
		return nil
	}
	return &api.Problem{Kind: api.Conflict, What: fmt.Sprintf("add %s to %s", strings.Join(names, ", "), c.Team),
		Why: a.Name + " is set down, and addresses and routes move to it only while it is up", Fix: "ip link set " + a.Name + " up, then add them"}
}

// realName is the name of the NIC that a client named so, who may have used an altname. What is a member's is taken
// first: its NIC may be gone. The caller holds changing.
func (s *session) realName(name string) string {
	if s.isMissing(name) || slices.Contains(s.team.Config().MemberNames(), name) {
		return name
	}
	return s.host.RealName(name)
}

func (s *session) realNames(names []string) []string {
	real := make([]string, len(names))
	for i, name := range names {
		real[i] = s.realName(name)
	}
	return real
}

// addNIC takes in a NIC that is recorded.
func (s *session) addNIC(ctx context.Context, name string) error {
	n, err := s.host.NIC(name)
	if err != nil {
		return err
	}
	adopts := s.team.Config().Address == settings.AddressAuto
	if adopts {
		err = s.host.RebindConnections([]string{name})
	}
	if err == nil {
		err = s.joinNIC(ctx, name, 0, n)
	}
	if err == nil && adopts {
		err = s.host.Adopt(s.adapter.Index(), []string{name})
	}
	if err == nil {
		err = s.host.Strip(name, s.memberSetup())
	}
	if err == nil {
		err = s.syncLinks(ctx)
	}
	if err == nil {
		// The neighbours know the addresses that it brought by its own MAC, which is not the adapter's.
		err = s.team.Announce(ctx)
	}
	if err == nil {
		return nil
	}
	_ = s.team.Leave(ctx, name, true)
	_, back := s.host.Release(name, false)
	return &api.Problem{Kind: api.Reverted, What: fmt.Sprintf("add %s to %s", name, s.team.Config().Team),
		Why: err.Error() + "; the NIC was given back", Fix: "nicteam list shows the NICs of this host", Err: errors.Join(err, back)}
}

// memberSetup is what a NIC that joins is to be like.
func (s *session) memberSetup() host.Setup { return host.Setup{MTU: s.mtu, GRO: s.team.Config().GRO} }

// Remove drains NICs and gives them back.
func (s *session) Remove(ctx context.Context, names []string, force bool) (steps []string, err error) {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	c := s.team.Config()
	var members, awaited []string
	for _, name := range s.realNames(names) {
		if s.isMissing(name) {
			awaited = append(awaited, name)
		} else {
			members = append(members, name)
		}
	}
	if problem := checkRemove(c, members, force); problem != nil {
		return nil, problem
	}
	ctx = context.WithoutCancel(ctx)
	defer s.updateFollower()
	for _, name := range awaited {
		s.forgetMissing(ctx, name)
		steps = append(steps, name+" is not there, and awaited no more")
	}
	for _, name := range members {
		step, err := s.removeMember(ctx, name, force)
		if err != nil {
			return steps, err
		}
		steps = append(steps, step...)
		_ = s.team.Warn(ctx, rejoinKey(name), "")
	}
	s.datapath.retry()
	return steps, s.saveConfig()
}

// checkRemove refuses before anything is changed.
func checkRemove(c settings.Config, names []string, force bool) *api.Problem {
	members := c.MemberNames()
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			return &api.Problem{Kind: api.Usage, What: "remove " + name, Why: "it is named twice", Fix: "name it once"}
		}
		seen[name] = true
		if !slices.Contains(members, name) {
			fix := "members are " + strings.Join(members, ", ")
			if near := nearest.Word(name, members); near != "" {
				fix = "did you mean " + near + "? " + fix
			}
			return &api.Problem{Kind: api.NotFound, What: fmt.Sprintf("remove %s from %s", name, c.Team), Why: "it is no member", Fix: fix}
		}
	}
	if len(names) > 0 && len(names) == len(members) && !force {
		return &api.Problem{Kind: api.Conflict, What: fmt.Sprintf("remove %s from %s", strings.Join(names, ", "), c.Team),
			Why: "no member would be left, and the host would have no network through " + c.Team,
			Fix: "nicteam delete " + c.Team + " gives everything back; --force removes it all the same"}
	}
	return nil
}

func (s *session) removeMember(ctx context.Context, name string, force bool) (steps []string, err error) {
	if err := s.team.Drain(ctx, name, force); err != nil {
		return nil, err
	}
	index, lends := s.memberIndex(name), s.lendsMAC(name)
	// While it is isolated nothing of it reaches the host, so the order here cannot double a frame.
	if err := s.team.Leave(ctx, name, force); err != nil {
		return nil, err
	}
	note, err := s.host.Release(name, lends)
	if err != nil && index != 0 {
		return nil, fmt.Errorf("give %s back: %w", name, err)
	}
	steps = []string{name + " left " + s.team.Config().Team}
	if note != "" {
		steps = append(steps, note)
	}
	return steps, nil
}

// memberIndex is a member's ifindex, 0 when its NIC is gone.
func (s *session) memberIndex(name string) int {
	for _, m := range s.team.Members() {
		if m.Name == name && m.State != "absent" {
			return m.Index
		}
	}
	return 0
}

// Set changes live settings, all or none of them.
func (s *session) Set(ctx context.Context, settings map[string]string) ([]string, error) {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	was := s.team.Config()
	settings = config.RealNames(settings, s.realName)
	next, steps, err := config.SetAll(was, settings)
	if err != nil {
		return nil, err
	}
	named := func(key string) bool {
		return slices.ContainsFunc(slices.Collect(maps.Keys(settings)), func(k string) bool { return strings.EqualFold(k, key) })
	}
	chosen := named("datapath")
	if chosen {
		if err := s.datapath.setWanted(next.Datapath); err != nil {
			return nil, launch.FastpathProblem("set datapath="+next.Datapath+" of "+was.Team, err)
		}
	}
	if err := s.applySettings(ctx, next, named("mtu")); err != nil {
		if chosen {
			err = errors.Join(err, s.datapath.setWanted(was.Datapath))
		}
		return nil, err
	}
	return steps, s.saveConfig()
}

// applySettings changes the MTU, where it is named, and what the control loop decides by.
func (s *session) applySettings(ctx context.Context, next settings.Config, named bool) error {
	mtu := s.mtu
	if named && next.MTU != 0 {
		if err := s.setMTU(ctx, next.MTU); err != nil {
			return err
		}
	}
	if err := s.team.Set(ctx, next); err != nil {
		if s.mtu != mtu {
			err = errors.Join(err, s.setMTU(ctx, mtu))
		}
		return err
	}
	return nil
}

// Delete gives everything back. The process ends after that, and only then. What others have put on the adapter would end with it, so
// that wants force.
func (s *session) Delete(ctx context.Context, force bool) (steps []string, err error) {
	s.changeMu.Lock()
	defer s.changeMu.Unlock()
	name := s.team.Config().Team
	if problem := launch.CheckAdapterUnused(s.host, name, s.team.Status().Adapter.Name); problem != nil && !force {
		return nil, problem
	}
	steps, err = s.giveBack()
	if err != nil {
		return steps, &api.Problem{Kind: api.Failed, What: "delete " + name, Why: err.Error(),
			Fix: "nicteam restore " + name, Err: err}
	}
	s.removeFiles(name)
	s.deleteOnce.Do(func() { close(s.deleted) })
	return steps, nil
}

// saveConfig keeps the configuration as it is for the next start.
func (s *session) saveConfig() error {
	c := s.team.Config()
	c.Members = append(c.Members, s.missing...)
	for _, path := range s.dirs.ConfigFiles(c.Team) {
		if err := config.Save(path, c); err != nil {
			return &api.Problem{Kind: api.Failed, What: "save " + path, Why: err.Error() + "; the change is in force until the team's process ends",
				Fix: "make room or rights there, and repeat the command", Err: err}
		}
	}
	return nil
}
