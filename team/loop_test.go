// SPDX-License-Identifier: MIT

package team

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nicteam/internal/api"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

func TestLoopFailover(t *testing.T) {
	r := newRig(t, nil)
	if r.state() != "down" || r.out.Carrier {
		t.Errorf("a team without members is %s, carrier %v", r.state(), r.out.Carrier)
	}
	a, b := r.join(1), r.join(2)
	r.wantEvents("joining", "member-added eth1", "member-added eth2")
	r.link(1, true)
	r.wantEvents("the first link", "member-up eth1", "active-changed eth1: eth1 is the first usable member", "team-up")
	if !r.out.Carrier || r.out.Tell != modes.TellAll || r.plan.Active != a {
		t.Errorf("carrier %v, announce %v, plan %+v", r.out.Carrier, r.out.Tell != 0, r.plan)
	}
	r.link(2, true)
	r.wantEvents("the second link", "member-up eth2")
	if got := r.member(2).State; got != "standby" {
		t.Errorf("second member is %s", got)
	}

	r.now = r.now.Add(time.Second)
	noticed := r.now
	r.link(1, false)
	r.wantEvents("the loss", "member-down eth1: carrier lost",
		"active-changed eth2: eth1 is not usable, eth2 is the first usable member", "team-degraded: eth1: carrier lost")
	if r.plan.Active != b || !r.out.Cause.Equal(noticed) || r.out.Tell != modes.TellAll {
		t.Errorf("plan %+v, cause %v, announce %v", r.plan, r.out.Cause, r.out.Tell != 0)
	}
	if diff := cmp.Diff([]int{b}, r.out.Via); diff != "" {
		t.Errorf("announced by (-want +got):\n%s", diff)
	}
	r.link(2, false)
	r.wantEvents("the other loss", "member-down eth2: carrier lost",
		"active-changed: eth2 is not usable, no member is usable",
		"team-down: eth1: carrier lost; eth2: carrier lost")
	if r.out.Carrier || r.out.Tell != 0 || r.plan.Distributing != 0 {
		t.Errorf("carrier %v, announce %v, plan %+v", r.out.Carrier, r.out.Tell != 0, r.plan)
	}
	r.link(1, true)
	r.wantEvents("one is back", "member-up eth1", "active-changed eth1: eth1 is the first usable member",
		"team-degraded: eth2: carrier lost")
	r.link(2, true)
	r.wantEvents("all are back", "member-up eth2", "team-up")
	if got := r.member(1).Failures; got != 1 {
		t.Errorf("failures %d, want 1", got)
	}
}

func TestLoopDelays(t *testing.T) {
	const delay = 500 * time.Millisecond
	r := newRig(t, func(c *settings.Config) {
		c.Mode = modes.XOR
		c.UpDelay, c.DownDelay = delay, 100*time.Millisecond
	})
	r.join(1)
	r.join(2)
	r.link(1, true)
	if got := r.member(1).State; got != "up" {
		t.Errorf("the only member waits: %s", got)
	}
	r.link(2, true)
	if m := r.member(2); m.State != "down" || m.Reason != "link is up, waits for up_delay of 500ms" {
		t.Errorf("the second member: %s, %s", m.State, m.Reason)
	}
	// A flap cancels the delay that runs.
	r.run(400 * time.Millisecond)
	r.link(2, false)
	r.run(50 * time.Millisecond)
	r.link(2, true)
	r.run(400 * time.Millisecond)
	if got := r.member(2).State; got != "down" {
		t.Errorf("up %s before its unbroken delay", got)
	}
	r.run(100 * time.Millisecond)
	if got := r.member(2).State; got != "up" || r.state() != "up" {
		t.Errorf("after the delay: %s, team %s", got, r.state())
	}
	// Down-delay: it goes on being used, and the failover counts from the loss.
	r.events()
	lost := r.now
	r.link(1, false)
	if m := r.member(1); m.State != "up" || m.Reason != "carrier lost, waits for down_delay of 100ms" {
		t.Errorf("during down_delay: %s, %s", m.State, m.Reason)
	}
	r.now = r.l.Deadline()
	r.do(Tick{})
	r.wantEvents("the end of down_delay", "member-down eth1: carrier lost", "team-degraded: eth1: carrier lost")
	if !r.out.Cause.Equal(lost) || r.now.Sub(lost) != 100*time.Millisecond {
		t.Errorf("cause %v, now %v, lost %v", r.out.Cause, r.now, lost)
	}
	// The last usable one goes while the other waits: it waits no more.
	r.link(1, true)
	r.run(10 * time.Millisecond)
	if got := r.member(1).State; got != "down" {
		t.Fatalf("eth1 is %s", got)
	}
	r.link(2, false)
	r.now = r.l.Deadline()
	r.do(Tick{})
	if got := r.member(1).State; got != "up" {
		t.Errorf("nothing else to use, and eth1 is %s", got)
	}
}

func TestLoopMinMembers(t *testing.T) {
	r := newRig(t, func(c *settings.Config) { c.Mode = modes.RoundRobin; c.MinMembers = 2 })
	r.join(1)
	r.join(2)
	r.link(1, true)
	if s := r.l.Status(); s.State != "down" || s.Reason != "1 of 2 members usable, min_members is 2" || r.out.Carrier {
		t.Errorf("%s, %s, carrier %v", s.State, s.Reason, r.out.Carrier)
	}
	r.link(2, true)
	if r.state() != "up" || !r.out.Carrier {
		t.Errorf("two of two: %s", r.state())
	}
}

func TestLoopDrainAndLeave(t *testing.T) {
	r := newRig(t, func(c *settings.Config) { c.Mode = modes.XOR })
	a, b := r.join(1), r.join(2)
	r.link(1, true)
	r.link(2, true)
	r.events()
	r.run(time.Second)

	r.do(Drain{Name: "eth3"})
	r.wantProblem(api.NotFound, `no member "eth3": the members are eth1, eth2`)
	out := r.do(Drain{Name: "eth1"})
	if !r.plan.Distributing.Has(a) || r.plan.Migration() == nil || slices.Contains(r.plan.Slots.Members, uint8(a)) {
		t.Errorf("its slots do not go over: plan %+v", r.plan)
	}
	r.run(drainQuiet)
	if out.ID != a || r.plan.Distributing.Has(a) || !r.plan.Collecting.Has(a) {
		t.Errorf("drain of %d: id %d, plan %+v", a, out.ID, r.plan)
	}
	if m := r.member(1); m.State != "draining" || r.state() != "up" {
		t.Errorf("draining: %s, team %s", m.State, r.state())
	}
	r.do(Drain{Name: "eth2"})
	r.wantProblem(api.Conflict, "last member")
	if !r.plan.Distributing.Has(b) {
		t.Error("a refused drain changed the Plan")
	}
	r.do(Undrain{Name: "eth1"})
	if !r.plan.Distributing.Has(a) {
		t.Error("undrained member does not distribute")
	}
	r.do(Drain{Name: "eth1"})
	r.do(Leave{Name: "eth1"})
	r.wantEvents("leaving", "member-removed eth1")
	if (r.plan.Collecting | r.plan.Distributing).Has(a) {
		t.Errorf("plan names a member that left: %+v", r.plan)
	}
	// The id is taken until the data path has closed it, and is not the next one to be given out.
	if c := r.join(3); c == a || c == b {
		t.Errorf("id %d given out twice", c)
	}
	r.do(Released{ID: a})
	if c := r.join(1); c == a {
		t.Error("the id free last was given out first")
	}

	r.do(Leave{Name: "eth1"})
	r.do(Leave{Name: "eth3"})
	r.do(Leave{Name: "eth2"})
	r.wantProblem(api.Conflict, "last member")
	r.do(Leave{Name: "eth2", Force: true})
	if r.out.Err != nil || r.state() != "down" || r.out.Carrier {
		t.Errorf("forced: %v, %s", r.out.Err, r.state())
	}
}

func TestLoopReserve(t *testing.T) {
	r := newRig(t, nil)
	r.do(Reserve{Link: linkOf(1)})
	id := r.out.ID
	r.do(Reserve{Link: linkOf(1)})
	r.wantProblem(api.Conflict, "being added already")
	r.do(Released{ID: id})
	r.join(1)
	r.do(Reserve{Link: linkOf(1)})
	r.wantProblem(api.Conflict, "a member already")
	for n := 2; n <= spread.MaxMembers; n++ {
		r.join(n)
	}
	r.do(Reserve{Link: linkOf(100)})
	r.wantProblem(api.Conflict, "at most 64")
}

func TestLoopAbsentAndReopened(t *testing.T) {
	r := newRig(t, nil)
	a, b := r.join(1), r.join(2)
	r.link(1, true)
	r.link(2, true)
	r.events()
	r.gone(1)
	r.wantEvents("going", "member-down eth1: NIC is gone",
		"active-changed eth2: eth1 is not usable, eth2 is the first usable member",
		"team-degraded: eth1: NIC is gone")
	if got := r.member(1).State; got != "absent" {
		t.Errorf("member is %s", got)
	}
	// Its socket is dead: a link that is up again under the same ifindex does not help.
	r.link(1, true)
	if got := r.member(1).State; got != "absent" {
		t.Errorf("member is %s without its socket", got)
	}
	r.do(Reopen{Name: "eth1"})
	if r.out.ID != a || r.out.Link.Index != 11 || (r.plan.Collecting | r.plan.Distributing).Has(a) ||
		len(r.plan.Filter[a]) != 0 {
		t.Errorf("vacated: %+v, plan %+v", r.out, r.plan)
	}
	was := r.now
	r.now = r.now.Add(time.Second)
	back := linkOf(1)
	back.Index = 50
	r.do(Reopened{ID: a, Link: back})
	r.do(LinkChanged{monitor.LinkState{Index: 50, Reason: monitor.ReasonGone, At: was}}) // about the NIC before
	if got := r.member(1).State; got != "down" {
		t.Errorf("believed what is older than the return: %s", got)
	}
	r.events()
	r.do(LinkChanged{monitor.LinkState{Index: 50, Up: true, At: r.now,
		Link: monitor.Link{Exists: true, AdminUp: true, Carrier: true}}})
	r.wantEvents("returning", "member-up eth1", "team-up")
	if r.plan.Active != b {
		t.Error("active changed without need")
	}
}

func TestLoopChange(t *testing.T) {
	set := func(r *rig, change func(*settings.Config)) Output {
		c := r.l.Config()
		change(&c)
		return r.do(Change{Config: c})
	}
	start := func(t *testing.T) *rig {
		r := newRig(t, nil)
		for n := 1; n <= 3; n++ {
			r.join(n)
			r.link(n, true)
		}
		r.run(time.Second)
		r.events()
		return r
	}
	t.Run("mode", func(t *testing.T) {
		r := start(t)
		set(r, func(c *settings.Config) { c.Mode = modes.XOR })
		r.wantEvents("mode", "mode-changed: xor, was active-backup")
		if r.plan.Rule != spread.RuleSlots || r.plan.Distributing.Len() != 3 || r.l.Status().Active != "" {
			t.Errorf("plan %+v", r.plan)
		}
	})
	t.Run("balance", func(t *testing.T) {
		r := start(t)
		set(r, func(c *settings.Config) { c.Mode = modes.XOR })
		r.events()
		set(r, func(c *settings.Config) { c.Balance = false })
		r.wantEvents("off", "setting-changed: balance=off, was on",
			"active-changed eth1: eth1 is the first usable member")
		if r.plan.Rule != spread.RuleSingle || r.l.Status().Active != "eth1" {
			t.Errorf("plan %+v", r.plan)
		}
		set(r, func(c *settings.Config) { c.Balance = true })
		if r.plan.Rule != spread.RuleSlots || r.plan.Distributing.Len() != 3 {
			t.Errorf("plan %+v", r.plan)
		}
	})
	t.Run("refused mode", func(t *testing.T) {
		r := start(t)
		was := r.l.Config()
		r.l.newMode = func(modes.Settings) (modes.Mode, error) { return nil, errors.New("no such mode") }
		set(r, func(c *settings.Config) { c.Mode = modes.LACP; c.Hash = spread.Layer2 })
		r.wantProblem(api.Failed, "no such mode")
		if diff := cmp.Diff(was, r.l.Config(), cmpopts.EquateComparable(was.Gateway)); diff != "" {
			t.Errorf("refused, and changed (-want +got):\n%s", diff)
		}
		r.wantEvents("refused")
	})
	t.Run("active", func(t *testing.T) {
		r := start(t)
		set(r, func(c *settings.Config) { c.Active = "eth3" })
		r.wantEvents("active", "setting-changed: active=eth3, was not set",
			"active-changed eth3: eth3 was chosen by hand")
		set(r, func(c *settings.Config) { c.Active = "" })
		r.wantEvents("no choice any more", "setting-changed: active=not set, was eth3")
		set(r, func(c *settings.Config) { c.Active = "eth3" })
		r.link(2, false)
		set(r, func(c *settings.Config) { c.Active = "eth2" })
		r.wantProblem(api.Conflict, "not usable: carrier lost")
		set(r, func(c *settings.Config) { c.Active = "eth9" })
		r.wantProblem(api.NotFound, "eth9")
		set(r, func(c *settings.Config) { c.Mode = modes.XOR })
		if r.l.Config().Active != "" {
			t.Error("the wish outlived the mode")
		}
		set(r, func(c *settings.Config) { c.Active = "eth1" })
		r.wantProblem(api.Conflict, "no member stands for all")
	})
	t.Run("primary", func(t *testing.T) {
		r := start(t)
		set(r, func(c *settings.Config) { c.Primary = "eth2" })
		if r.l.Status().Active != "eth2" {
			t.Errorf("active is %s", r.l.Status().Active)
		}
		set(r, func(c *settings.Config) { c.Primary = "eth9" })
		r.wantProblem(api.NotFound, "eth9")
	})
	t.Run("weight", func(t *testing.T) {
		r := start(t)
		set(r, func(c *settings.Config) { c.Mode = modes.RoundRobin; c.Members[1].Weight = 10 })
		r.wantEvents("weight", "mode-changed: round-robin, was active-backup", "setting-changed eth2: weight=10, was 1")
		if w := r.plan.Weights; w[1] < 9*w[0] {
			t.Errorf("weights %v", w[:3])
		}
		set(r, func(c *settings.Config) { c.Members[1].Weight = -1 })
		r.wantProblem(api.Usage, "weight.eth2: -1")
		set(r, func(c *settings.Config) { c.Members[1].Name = "eth9" })
		r.wantProblem(api.NotFound, "eth9")
	})
	t.Run("a delay that runs", func(t *testing.T) {
		r := newRig(t, func(c *settings.Config) { c.Mode = modes.XOR; c.UpDelay = time.Hour })
		r.join(1)
		r.join(2)
		r.link(1, true)
		r.link(2, true)
		r.run(time.Minute)
		set(r, func(c *settings.Config) { c.UpDelay = time.Second })
		if got := r.member(2).State; got != "up" {
			t.Errorf("member is %s, its new delay has long passed", got)
		}
	})
	for _, bad := range []struct {
		name   string
		change func(*settings.Config)
	}{
		{"min_members", func(c *settings.Config) { c.MinMembers = 65 }},
		{"packets_per_member", func(c *settings.Config) { c.PacketsPerMember = -1 }},
		{"up_delay", func(c *settings.Config) { c.UpDelay = -1 }},
		{"down_delay", func(c *settings.Config) { c.DownDelay = 2 * time.Hour }},
		{"announce_count", func(c *settings.Config) { c.AnnounceCount = 256 }},
		{"announce_interval", func(c *settings.Config) { c.AnnounceInterval = time.Hour }},
		{"hash", func(c *settings.Config) { c.Hash = 77 }},
		{"primary_reselect", func(c *settings.Config) { c.PrimaryReselect = 9 }},
	} {
		t.Run("wrong "+bad.name, func(t *testing.T) {
			r := start(t)
			set(r, func(c *settings.Config) { c.Mode = modes.XOR; bad.change(c) })
			r.wantProblem(api.Usage, bad.name)
			if r.l.Config().Mode != modes.ActiveBackup {
				t.Error("half of a refused change was made")
			}
		})
	}
}

func TestLoopWarning(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	r.link(1, true)
	r.events()
	r.do(Warn{Key: "x", Text: "speeds differ"})
	r.wantEvents("warning", "team-degraded: speeds differ")
	if diff := cmp.Diff([]string{"speeds differ"}, r.l.Status().Warnings); diff != "" {
		t.Error(diff)
	}
	r.do(Warn{Key: "x"})
	r.wantEvents("cleared", "team-up")
}

// TestLoopModeHandsOver: who took frames in goes on for a moment when a mode comes that has one member do so.
func TestLoopModeHandsOver(t *testing.T) {
	r := newRig(t, func(c *settings.Config) { c.Mode = modes.XOR })
	for i := 1; i <= 3; i++ {
		r.join(i)
		r.link(i, true)
	}
	r.run(time.Second)
	c := r.l.Config()
	c.Mode = modes.ActiveBackup
	r.do(Change{Config: c})
	if n := r.plan.Collecting.Len(); n != 3 || r.plan.Distributing.Len() != 1 {
		t.Errorf("%d members take frames in, %d send", n, r.plan.Distributing.Len())
	}
	r.run(2 * modes.Overlap)
	if n := r.plan.Collecting.Len(); n != 1 {
		t.Errorf("later %d members take frames in", n)
	}
	// Once the new mode knows, nobody needs to be told again.
	c = r.l.Config()
	c.Primary = "eth1"
	r.do(Change{Config: c})
	if n := r.plan.Collecting.Len(); n != 1 {
		t.Errorf("after another setting %d members take frames in", n)
	}
}

func TestLoopSuspect(t *testing.T) {
	r := newRig(t, nil)
	id := r.join(1)
	r.do(FromDatapath{Control{Kind: ControlSuspect, Member: id}})
	if !r.out.ReadLinks {
		t.Error("links not read")
	}
	r.do(FromDatapath{Control{Kind: ControlSuspect, Member: 40}})
	if r.out.ReadLinks {
		t.Error("links read for an id without member")
	}
}
