package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"nicteam/internal/config"
	"nicteam/internal/control"
	"nicteam/internal/host"
	"nicteam/internal/launch"
	"nicteam/internal/nearest"
	"nicteam/internal/settings"
	"nicteam/modes/spread"
	"nicteam/team"
)

var _ control.Backend = (*session)(nil)

// Status is the team's state.
func (s *session) Status() *team.Status { return s.team.Status() }

// Sample reads the totals.
func (s *session) Sample() *team.Sample { return s.team.Sample() }

// History says what was carried when.
func (s *session) History(q team.HistoryQuery) (*team.HistoryDocument, error) {
	if q.Member != "" && !slices.Contains(s.team.Config().MemberNames(), q.Member) {
		q.Member = s.host.RealName(q.Member)
	}
	return s.team.History(q)
}

// Events delivers what is remembered, and with follow what comes.
func (s *session) Events(ctx context.Context, follow bool) <-chan team.Event {
	if follow {
		return s.team.Replay(ctx, time.Time{})
	}
	past := s.team.Events(time.Time{})
	c := make(chan team.Event, len(past))
	for _, e := range past {
		c <- e
	}
	close(c)
	return c
}

// Explain says which member carries a flow.
func (s *session) Explain(flow string) (*control.Explanation, error) {
	f, err := spread.ParseFlow(flow)
	if err != nil {
		return nil, &team.Problem{Kind: team.Usage, What: "read flow " + flow, Why: err.Error(),
			Fix: "write it as: tcp 10.0.0.1:5000 10.0.0.2:80", Err: err}
	}
	st, x := s.team.Status(), s.team.Explain(f)
	e := &control.Explanation{Schema: "nicteam.explain/v1", Team: st.Team, Flow: flow, Mode: st.Mode, Slot: -1,
		Member: s.team.MemberName(x.Member), Why: x.Why, Next: s.team.MemberName(x.IfDead), NextWhy: x.IfDeadWhy}
	if x.Hashed {
		e.Hash, e.Slot = st.Settings.Hash, x.Slot
	}
	if x.Age > 0 {
		e.Since = time.Now().Add(-x.Age)
	}
	return e, nil
}

// Peers lists the peers that the mode steers.
func (s *session) Peers(ctx context.Context) (*control.Peers, error) {
	list, err := s.team.Peers(ctx)
	if err != nil {
		return nil, err
	}
	return control.PeersOf(s.team.Status(), list, s.team.MemberName), nil
}

// Add takes NICs into the running team, all of them or none. accept says that the caller has looked at what cannot go along (Bystanders), or answers for it unseen.
func (s *session) Add(ctx context.Context, names []string, accept bool) (steps []string, err error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	return s.addAll(ctx, names, accept)
}

// addAll is Add for who holds changing.
func (s *session) addAll(ctx context.Context, names []string, accept bool) (steps []string, err error) {
	defer s.membersChanged()
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
			problem = s.canTakeAddresses(c, names)
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
		return s.record(names)
	})
	if err != nil {
		return nil, err
	}
	// What was begun is ended: a caller that goes away must not leave a NIC half taken.
	ctx = context.WithoutCancel(ctx)
	fast := s.path.Engaged()
	for i, name := range names {
		if err := s.add(ctx, name); err != nil {
			for _, before := range names[:i] {
				if _, e := s.remove(ctx, before, true); e != nil {
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
		s.knowFilters([]string{name})
		s.awaitNoMore(ctx, name)
		steps = append(steps, name+" joined "+c.Team)
		if fast && !s.path.Engaged() {
			fast = false
			steps = append(steps, "warning: the relay moves the frames from now on, because of "+name+": nicteam status "+c.Team+" says why")
		}
	}
	return steps, s.save()
}

// canTakeAddresses refuses NICs whose addresses are to move to an adapter that somebody has set down: routes have no place there.
func (s *session) canTakeAddresses(c settings.Config, names []string) *team.Problem {
	a, err := s.host.NICAt(s.adapter.Index())
	if err != nil || a.AdminUp || c.Address != settings.AddressAuto {
		return nil
	}
	return &team.Problem{Kind: team.Conflict, What: fmt.Sprintf("add %s to %s", strings.Join(names, ", "), c.Team),
		Why: a.Name + " is set down, and addresses and routes move to it only while it is up", Fix: "ip link set " + a.Name + " up, then add them"}
}

// realName is the name of the NIC that a client named so, who may have used an altname. What is a member's is taken
// first: its NIC may be gone. The caller holds changing.
func (s *session) realName(name string) string {
	if s.awaits(name) || slices.Contains(s.team.Config().MemberNames(), name) {
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

// add takes in a NIC that is recorded.
func (s *session) add(ctx context.Context, name string) error {
	n, err := s.host.NIC(name)
	if err != nil {
		return err
	}
	adopts := s.team.Config().Address == settings.AddressAuto
	if adopts {
		err = s.host.RebindConnections([]string{name})
	}
	if err == nil {
		err = s.join(ctx, name, 0, n)
	}
	if err == nil && adopts {
		err = s.host.Adopt(s.adapter.Index(), []string{name})
	}
	if err == nil {
		err = s.host.Strip(name, s.setup())
	}
	if err == nil {
		err = s.observe(ctx)
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
	return &team.Problem{Kind: team.Reverted, What: fmt.Sprintf("add %s to %s", name, s.team.Config().Team),
		Why: err.Error() + "; the NIC was given back", Fix: "nicteam list shows the NICs of this host", Err: errors.Join(err, back)}
}

// setup is what a NIC that joins is to be like.
func (s *session) setup() host.Setup { return host.Setup{MTU: s.mtu, GRO: s.team.Config().GRO} }

// Remove drains NICs and gives them back.
func (s *session) Remove(ctx context.Context, names []string, force bool) (steps []string, err error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	c := s.team.Config()
	var members, awaited []string
	for _, name := range s.realNames(names) {
		if s.awaits(name) {
			awaited = append(awaited, name)
		} else {
			members = append(members, name)
		}
	}
	if problem := removable(c, members, force); problem != nil {
		return nil, problem
	}
	ctx = context.WithoutCancel(ctx)
	defer s.membersChanged()
	for _, name := range awaited {
		s.awaitNoMore(ctx, name)
		steps = append(steps, name+" is not there, and awaited no more")
	}
	for _, name := range members {
		step, err := s.remove(ctx, name, force)
		if err != nil {
			return steps, err
		}
		steps = append(steps, step...)
		_ = s.team.Warn(ctx, rejoinKey(name), "")
	}
	s.choice.retry()
	return steps, s.save()
}

// removable refuses before anything is changed.
func removable(c settings.Config, names []string, force bool) *team.Problem {
	members := c.MemberNames()
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			return &team.Problem{Kind: team.Usage, What: "remove " + name, Why: "it is named twice", Fix: "name it once"}
		}
		seen[name] = true
		if !slices.Contains(members, name) {
			fix := "members are " + strings.Join(members, ", ")
			if near := nearest.Word(name, members); near != "" {
				fix = "did you mean " + near + "? " + fix
			}
			return &team.Problem{Kind: team.NotFound, What: fmt.Sprintf("remove %s from %s", name, c.Team), Why: "it is no member", Fix: fix}
		}
	}
	if len(names) > 0 && len(names) == len(members) && !force {
		return &team.Problem{Kind: team.Conflict, What: fmt.Sprintf("remove %s from %s", strings.Join(names, ", "), c.Team),
			Why: "no member would be left, and the host would have no network through " + c.Team,
			Fix: "nicteam delete " + c.Team + " gives everything back; --force removes it all the same"}
	}
	return nil
}

func (s *session) remove(ctx context.Context, name string, force bool) (steps []string, err error) {
	if err := s.team.Drain(ctx, name, force); err != nil {
		return nil, err
	}
	index, lends := s.index(name), s.lends(name)
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

// index is a member's ifindex, 0 when its NIC is gone.
func (s *session) index(name string) int {
	for _, m := range s.team.Members() {
		if m.Name == name && m.State != "absent" {
			return m.Index
		}
	}
	return 0
}

// Set changes live settings, all or none of them.
func (s *session) Set(ctx context.Context, settings map[string]string) ([]string, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
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
		if err := s.choice.set(next.Datapath); err != nil {
			return nil, launch.FastpathProblem("set datapath="+next.Datapath+" of "+was.Team, err)
		}
	}
	if err := s.set(ctx, next, named("mtu")); err != nil {
		if chosen {
			err = errors.Join(err, s.choice.set(was.Datapath))
		}
		return nil, err
	}
	return steps, s.save()
}

// set changes the MTU, where it is named, and what the control loop decides by.
func (s *session) set(ctx context.Context, next settings.Config, named bool) error {
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
	s.changing.Lock()
	defer s.changing.Unlock()
	name := s.team.Config().Team
	if problem := launch.CheckAdapterUnused(s.host, name, s.team.Status().Adapter.Name); problem != nil && !force {
		return nil, problem
	}
	steps, err = s.release()
	if err != nil {
		return steps, &team.Problem{Kind: team.Failed, What: "delete " + name, Why: err.Error(),
			Fix: "nicteam restore " + name, Err: err}
	}
	s.forget(name)
	s.end.Do(func() { close(s.over) })
	return steps, nil
}

// save keeps the configuration as it is for the next start.
func (s *session) save() error {
	c := s.team.Config()
	c.Members = append(c.Members, s.awaited...)
	for _, path := range s.dirs.ConfigFiles(c.Team) {
		if err := config.Save(path, c); err != nil {
			return &team.Problem{Kind: team.Failed, What: "save " + path, Why: err.Error() + "; the change is in force until the team's process ends",
				Fix: "make room or rights there, and repeat the command", Err: err}
		}
	}
	return nil
}
