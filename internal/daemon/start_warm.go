// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"nicteam/internal/config"
	"nicteam/internal/descriptors"
	"nicteam/internal/host"
	"nicteam/internal/settings"
	"nicteam/internal/supervisor"
	"nicteam/internal/tap"
	"nicteam/team"
)

// A warm start goes on where the process before ended, by its Checkpoint and its descriptors, which somebody has kept
// (package supervisor). Programs have moved frames all the time, the adapter has its carrier, and nothing on the host
// is touched before the control loop runs again:
//
//	Checkpoint and descriptors fit → adapter, data path, members → control loop → its Plan → the rest of the host
//
// What does not fit before the control loop runs makes the start a cold one, by the journal: the log and the status say
// why, and all that was left is dropped first.

// began is when this process began, but for the Go runtime's own start.
var began = time.Now()

// errNothingKept: there is nothing to go on with, which is no fault.
var errNothingKept = errors.New("nobody kept the descriptors of the process before")

// warmStart goes on where the process before ended, and reports whether it did. If not, the host is ready for a cold
// start. An error ends the start.
func (u *startup) warmStart(ctx context.Context) (warm bool, err error) {
	c, err := u.inheritance()
	if err == nil {
		err = u.inheritTeam(c)
	}
	if err != nil {
		u.life.reason = err.Error()
		if !errors.Is(err, errNothingKept) {
			u.log.Warn("cold start", "team", u.config.Team, "reason", err)
		}
		if c == nil {
			c, _ = loadCheckpoint(u.dirs.CheckpointFile(u.config.Team))
		}
		u.findDownByHand(c)
		u.dropInheritance()
		return false, nil
	}
	u.life.start = startWarm
	u.findDownByHand(c)
	if err := u.inheritHost(ctx); err != nil {
		return true, err
	}
	u.recordRestart()
	return true, nil
}

// expectsWarmStart reports whether the process before left an adapter that somebody has kept.
func (o *Options) expectsWarmStart() bool {
	return slices.Contains(o.Supervisor.Names(), descriptors.Tap)
}

// inheritance returns the Checkpoint of the process before, if everything that it names was kept.
func (u *startup) inheritance() (*team.Checkpoint, error) {
	if !slices.Contains(u.supervisor.Names(), descriptors.Tap) {
		return nil, errNothingKept
	}
	if n := u.life.record.ShortLived; n >= maxShortLives {
		return nil, fmt.Errorf("%d processes in a row died soon after their start", n)
	}
	if u.before == nil {
		return nil, errors.New("there is no running configuration")
	}
	if key := restartKey(u.before, &u.config); key != "" {
		return nil, fmt.Errorf("%s has changed", key)
	}
	c, err := loadCheckpoint(u.dirs.CheckpointFile(u.config.Team))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("the process before left no checkpoint")
	}
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	// Settings that have changed meanwhile are a change like any other, once the team runs.
	if u.next = u.config; !u.sameLive() {
		u.config = *u.before
	} else {
		u.next = settings.Config{}
	}
	configured := u.config.MemberNames()
	u.missing = slices.Clone(u.config.Members)
	for i := range c.Members {
		m := &c.Members[i]
		if !slices.Contains(configured, m.Link.Name) {
			return nil, fmt.Errorf("%s is no member any more", m.Link.Name)
		}
		u.missing = slices.DeleteFunc(u.missing, func(o settings.MemberConfig) bool { return o.Name == m.Link.Name })
		switch l, err := u.host.ReadLink(m.Link.Index); {
		case err != nil:
			m.Absent = true
		case l.Name != m.Link.Name || l.MAC != m.Link.MAC:
			u.renamed = append(u.renamed, host.Renamed{Was: m.Link.Name, Name: l.Name, MAC: l.MAC})
		}
	}
	u.config.Members = slices.DeleteFunc(slices.Clone(u.config.Members), func(m settings.MemberConfig) bool {
		return slices.ContainsFunc(u.missing, func(o settings.MemberConfig) bool { return o.Name == m.Name })
	})
	return c, nil
}

// sameLive reports whether the live settings are those of the process before.
func (u *startup) sameLive() bool {
	return differs(u.before, &u.config, func(s *settings.Setting) bool { return s.Live }) == "" &&
		slices.Equal(u.before.Members, u.config.Members)
}

// restartKey returns a setting that differs and is not live, "" for none.
func restartKey(was, is *settings.Config) string {
	if key := differs(was, is, func(s *settings.Setting) bool { return !s.Live && !s.NoFile }); key != "" {
		return key
	}
	a, b := was.MemberNames(), is.MemberNames()
	slices.Sort(a)
	slices.Sort(b)
	if !slices.Equal(a, b) {
		return "members"
	}
	return ""
}

// differs returns the key of one of those settings that differs, "" for none.
func differs(was, is *settings.Config, which func(*settings.Setting) bool) string {
	for i := range settings.Table {
		s := &settings.Table[i]
		if !s.PerNIC && s.Key != "members" && which(s) && s.Text(was) != s.Text(is) {
			return s.Key
		}
	}
	return ""
}

// inheritTeam makes adapter, data path and control loop of what the process before left, and runs them.
func (u *startup) inheritTeam(c *team.Checkpoint) error {
	fd, ok := u.supervisor.Take(descriptors.Tap)
	if !ok {
		return errNothingKept
	}
	adapter, err := tap.Adopt(fd, tap.Options{Store: u.supervisor})
	if err != nil {
		return err
	}
	u.adapter = adapter
	a, err := u.host.ReadLink(adapter.Index())
	if err != nil {
		return err
	}
	if index := u.host.AdapterIndex(); index != adapter.Index() {
		return fmt.Errorf("the adapter has ifindex %d, in the journal %d", adapter.Index(), index)
	}
	// As they were: followHost handles what has changed.
	u.adapterName, u.adapterUp, u.mtu, u.reportedMTU = u.host.AdapterName(), !c.AdapterDown, a.MTU, c.MTU
	indices := []int{adapter.Index()}
	for _, m := range c.Present() {
		indices = append(indices, m.Link.Index)
	}
	for _, index := range indices {
		h, err := u.nics.Lock(index)
		if h != nil {
			err = h.Problem("start "+u.config.Team, u.config.Team)
		}
		if err != nil {
			return err
		}
	}
	if err := u.host.Begin(); err != nil {
		return err
	}
	// The control loop follows renames once it runs; programs are attached by the journal's names before.
	if err := u.host.RecordRenames(u.renamed); err != nil {
		return err
	}
	if u.follower, err = u.host.Follow(adapter.Index()); err != nil {
		return err
	}
	return u.startTeam(c)
}

// dropInheritance closes what was adopted, and has the supervisor close what it keeps.
func (u *startup) dropInheritance() {
	if u.path != nil {
		_ = u.path.Close()
	}
	if u.adapter != nil {
		_ = u.adapter.Close()
	}
	u.path, u.adapter, u.team, u.follower, u.next = nil, nil, nil, nil, settings.Config{}
	u.adapterName, u.mtu, u.reportedMTU = "", 0, 0
	if err := u.host.DropInherited(false); err != nil {
		u.log.Warn("programs of the process before not detached", "team", u.config.Team, "err", err)
	}
	u.dirs.RemoveCheckpoint(u.config.Team)
	// A queue that nobody reads would get a part of the frames.
	if err := errors.Join(u.supervisor.Remove(descriptors.Tap), u.supervisor.Discard(),
		u.supervisor.Sync()); err != nil {
		u.log.Warn("the supervisor keeps descriptors that nobody needs", "team", u.config.Team, "err", err)
	}
}

// inheritHost brings the rest in line, now that frames move. What is as the journal says stays untouched.
func (u *startup) inheritHost(ctx context.Context) error {
	if err := u.syncLinks(ctx); err != nil { // renames come first: the rest goes by names
		return err
	}
	names := u.presentMembers()
	for _, m := range u.team.Members() {
		if m.State == "absent" {
			continue
		}
		if err := u.host.Isolate(m.Index); err != nil && !errors.Is(err, host.ErrNoNIC) {
			return err
		}
	}
	select {
	case <-u.path.Planned(): // until then frames may go by programs that nobody has replaced
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := u.host.DropInherited(true); err != nil {
		u.log.Warn("programs of the process before not detached", "team", u.config.Team, "err", err)
	}
	if err := u.warnMissing(ctx); err != nil {
		return err
	}
	u.datapath.inherit(u.config.Datapath)
	if u.adapterIsUp() { // else the follower restores them when it is
		if err := u.configureAddresses(names); err != nil {
			return err
		}
	}
	setup := u.memberSetup()
	setup.KeepDown = u.downByHand
	for _, name := range names {
		if err := u.host.Strip(name, setup); err != nil && !errors.Is(err, host.ErrNoNIC) {
			return err
		}
	}
	if u.config.Address.FromMembers() {
		if err := u.host.JournalRemoved(u.adapter.Index()); err != nil {
			return err
		}
	}
	u.updateFollower()
	u.leases.noClient = !u.hasLeaseClient()
	return u.changeSettings(ctx)
}

// findDownByHand finds the members that were set down while the team ran, or since. c may be nil.
func (u *startup) findDownByHand(c *team.Checkpoint) {
	var seenUp []int
	if c != nil {
		for i := range c.Members {
			if m := &c.Members[i]; m.EverUsed || m.Usable {
				seenUp = append(seenUp, m.Link.Index)
			}
		}
	}
	u.downByHand = u.host.DownByHand(seenUp)
}

// adapterIsUp reports whether the adapter is administratively up: routes need that, and it has lost some if it is not.
func (u *startup) adapterIsUp() bool {
	a, err := u.host.ReadLink(u.adapter.Index())
	return err == nil && a.Up
}

// changeSettings adopts live settings that were changed since the process before ended.
func (u *startup) changeSettings(ctx context.Context) error {
	if u.next.Team == "" {
		return nil
	}
	next := u.next
	next.Members = slices.DeleteFunc(slices.Clone(next.Members), func(m settings.MemberConfig) bool {
		return u.isMissing(m.Name)
	})
	u.missing = slices.DeleteFunc(slices.Clone(u.next.Members), func(m settings.MemberConfig) bool {
		return !u.isMissing(m.Name)
	})
	next.Active = u.team.Config().Active // by hand, not of a file
	if next.Datapath != u.config.Datapath {
		if err := u.datapath.setWanted(next.Datapath); err != nil {
			u.rep.Warn("datapath=" + next.Datapath + " is not possible: " + err.Error())
		}
	}
	if err := u.applySettings(ctx, next, next.MTU != u.config.MTU); err != nil {
		u.rep.Warn("settings that have changed are not adopted: " + err.Error())
	}
	u.config = next
	return u.saveConfig()
}

// recordRestart adds the event of a start after another process.
func (u *startup) recordRestart() {
	if u.life.before == nil {
		return
	}
	reason := map[string]string{afterHandover: "handed over", afterDeath: "the process before died"}[u.life.after()]
	if was := u.life.before.Version; was != u.life.record.Version {
		reason += fmt.Sprintf(", version %s, was %s", u.life.record.Version, was)
	}
	if u.life.start == startCold {
		reason += ", cold start"
		if u.life.reason != "" {
			reason += ": " + u.life.reason
		}
	}
	u.team.RecordDuration("restarted", "", reason, time.Since(began))
}

// loadRunning returns the configuration with which the process before ended, nil if it is not known.
func (o *Options) loadRunning() *settings.Config {
	l, err := config.Load(config.Options{Team: o.Config.Team, Path: o.RunningConfig(o.Config.Team)})
	if err != nil || l.Config.Team != o.Config.Team {
		return nil
	}
	return &l.Config
}

var _ descriptors.Store = (*supervisor.Supervisor)(nil)
