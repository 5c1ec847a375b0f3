// SPDX-License-Identifier: MIT

package team

import (
	"strings"
	"testing"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/settings"
	"nicteam/monitor"
)

// flap pulls eth<n> and plugs it in again, one time after the other.
func (r *rig) flap(n, times int, every time.Duration) {
	r.t.Helper()
	for range times {
		r.link(n, false)
		r.run(every / 2)
		r.link(n, true)
		r.run(every / 2)
	}
}

// TestDamping: the third loss within a minute makes a member wait; the event says so once, the status as long as it
// lasts.
func TestDamping(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	r.join(2)
	r.link(1, true)
	r.link(2, true)
	r.events()
	r.flap(2, 2, time.Second)
	r.wantEvents("two losses", "member-down eth2: carrier lost", "team-degraded: eth2: carrier lost", "member-up eth2",
		"team-up", "member-down eth2: carrier lost", "team-degraded: eth2: carrier lost", "member-up eth2", "team-up")
	r.flap(2, 1, time.Second)
	r.wantEvents("the third", "member-down eth2: carrier lost", "team-degraded: eth2: carrier lost",
		"member-damped eth2: flapped 3 times in 60 s, back in 5s")
	m := r.member(2)
	if m.State != "down" || !strings.HasPrefix(m.Reason, "flapped too often, waits until ") || m.Damped == nil ||
		m.Damped.Failures != 3 || m.Damped.Until.Sub(r.now) != 4*time.Second {
		t.Errorf("%s, %q, %+v", m.State, m.Reason, m.Damped)
	}
	r.run(4 * time.Second)
	r.wantEvents("after the wait", "member-up eth2", "team-up")
	if m := r.member(2); m.Damped != nil || m.State != "standby" {
		t.Errorf("%s, %+v", m.State, m.Damped)
	}
}

// TestDampingOfFlap: 10 minutes of flapping at 10 Hz are few events, and the member is used again afterwards.
func TestDampingOfFlap(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	r.join(2)
	r.link(1, true)
	r.link(2, true)
	r.events()
	r.flap(2, 6000, 100*time.Millisecond)
	ups := 0
	for _, e := range r.log {
		if strings.HasPrefix(e, "member-up") {
			ups++
		}
	}
	if n := len(r.events()); n > 40 || ups > 8 {
		t.Errorf("%d events, %d returns", n, ups)
	}
	r.run(6 * time.Minute)
	if m := r.member(2); m.State != "standby" || m.Failures > 9 {
		t.Errorf("afterwards %s, %d failures", m.State, m.Failures)
	}
}

// TestDampedMemberIsUsedForWantOfAnother: at once, and from then on; another loss makes it wait again.
func TestDampedMemberIsUsedForWantOfAnother(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	r.join(2)
	r.link(1, true)
	r.link(2, true)
	r.flap(2, 3, 100*time.Millisecond)
	if m := r.member(2); m.State != "down" {
		t.Fatalf("eth2 is %s", m.State)
	}
	r.link(1, false)
	if m := r.member(2); m.State != "up" || m.Damped != nil || r.state() != "degraded" {
		t.Errorf("eth2 is %s, the team %s: %q", m.State, r.state(), m.Reason)
	}
	r.link(1, true)
	if m := r.member(2); m.State != "up" {
		t.Errorf("eth1 is back: eth2 is %s, %q", m.State, m.Reason)
	}
	r.flap(2, 1, 100*time.Millisecond)
	if m := r.member(2); m.State != "down" || m.Damped == nil {
		t.Errorf("after another loss eth2 is %s", m.State)
	}
}

// TestOnlyMemberFlaps: nothing else is there, so each time it is used at once, and no event says that it waits.
func TestOnlyMemberFlaps(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	r.link(1, true)
	for range 20 {
		r.flap(1, 1, 100*time.Millisecond)
		if m := r.member(1); m.State != "up" {
			t.Fatalf("%s, %q", m.State, m.Reason)
		}
	}
	for _, e := range r.events() {
		if strings.HasPrefix(e, "member-damped") {
			t.Fatal(e)
		}
	}
}

// TestUndamp ends a wait, as an input and as a setting, and damping=off ends all.
func TestUndamp(t *testing.T) {
	damped := func() *rig {
		r := newRig(t, nil)
		r.join(1)
		r.join(2)
		r.link(1, true)
		r.link(2, true)
		r.flap(2, 3, 100*time.Millisecond)
		if m := r.member(2); m.State != "down" || m.Damped == nil {
			t.Fatalf("eth2 is %s", m.State)
		}
		return r
	}
	set := func(r *rig, change func(*settings.Config)) {
		c := r.l.Config()
		change(&c)
		r.do(Change{c})
	}
	for name, end := range map[string]func(*rig){
		"input":   func(r *rig) { r.do(Undamp{"eth2"}) },
		"setting": func(r *rig) { set(r, func(c *settings.Config) { c.Undamp = "eth2" }) },
		"off":     func(r *rig) { set(r, func(c *settings.Config) { c.Damping = false }) },
	} {
		r := damped()
		end(r)
		if m := r.member(2); m.State != "standby" || m.Damped != nil {
			t.Errorf("%s: %s, %+v", name, m.State, m.Damped)
		}
		if c := r.l.Config(); c.Undamp != "" {
			t.Errorf("%s: kept as a setting", name)
		}
		r.flap(2, 2, 100*time.Millisecond)
		if m := r.member(2); m.State != "standby" {
			t.Errorf("%s: %s after two more losses", name, m.State)
		}
		r.flap(2, 10, 100*time.Millisecond)
		if m := r.member(2); (m.State == "standby") != (name == "off") {
			t.Errorf("%s: %s after many more losses", name, m.State)
		}
	}
	r := damped()
	r.do(Undamp{"eth9"})
	r.wantProblem(api.NotFound, "eth9")
	set(r, func(c *settings.Config) { c.Undamp = "eth9"; c.MinMembers = 2 })
	r.wantProblem(api.NotFound, "eth9")
	if r.l.Config().MinMembers != 1 {
		t.Error("a refused change has changed something")
	}
}

// TestAdministrativeLossIsNoFailure: who takes a link down means it.
func TestAdministrativeLossIsNoFailure(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	r.join(2)
	r.link(1, true)
	r.link(2, true)
	for range 10 {
		r.do(LinkChanged{monitor.LinkState{Index: 12, At: r.now, Reason: monitor.ReasonAdmin,
			Link: monitor.Link{Exists: true}}})
		r.run(time.Second)
		r.link(2, true)
		r.run(time.Second)
	}
	if m := r.member(2); m.State != "standby" || m.Damped != nil {
		t.Errorf("%s, %+v", m.State, m.Damped)
	}
}

// TestDampingInACheckpoint: the next process goes on waiting.
func TestDampingInACheckpoint(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	r.join(2)
	r.link(1, true)
	r.link(2, true)
	r.flap(2, 3, 100*time.Millisecond)
	c := r.l.Checkpoint(r.now)
	c.Rebase(r.now.Add(time.Hour))
	l, err := NewLoop(r.l.cfg, LoopOptions{Adapter: adapterMAC, Salt: 42, Checkpoint: c})
	if err != nil {
		t.Fatal(err)
	}
	next := &rig{t: t, l: l, now: r.now.Add(time.Hour)}
	next.do(Tick{})
	next.run(4 * time.Second)
	if m := next.member(2); m.State != "down" || m.Damped == nil {
		t.Errorf("%s, %q", m.State, m.Reason)
	}
	next.run(time.Second)
	if m := next.member(2); m.State != "standby" {
		t.Errorf("%s, %q", m.State, m.Reason)
	}
	next.wantEvents("the next process", "member-up eth2", "team-up")
}
