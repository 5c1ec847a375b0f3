// SPDX-License-Identifier: MIT

package team

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/spread"
)

// TestAdapterDown: a team whose adapter was set down is down, and says how to fix it. The adapter keeps its
// carrier, which is the members'.
func TestAdapterDown(t *testing.T) {
	r := elbOf(t, 2)
	r.do(AdapterUp{Up: true})
	r.wantEvents("nothing new")
	if r.do(AdapterUp{}); r.state() != "down" || !r.out.Carrier {
		t.Errorf("%s, carrier %v", r.state(), r.out.Carrier)
	}
	r.wantEvents("down", "team-down: the adapter is down: ip link set team0 up")
	r.link(1, false)
	r.link(2, false)
	if r.out.Carrier {
		t.Error("carrier without members")
	}
	r.link(1, true)
	r.events()
	if r.do(AdapterUp{Up: true}); r.state() != "degraded" || !r.out.Carrier {
		t.Errorf("%s, carrier %v", r.state(), r.out.Carrier)
	}
}

// TestAdvice stands in the status and leaves the state as it is; a warning of its key takes its place, and the other
// way round.
func TestAdvice(t *testing.T) {
	r := elbOf(t, 1)
	for _, tt := range []struct {
		in    Warn
		state string
		want  []string
	}{
		{Warn{Key: "a", Text: "later", Advice: true}, "up", []string{"later"}},
		{Warn{Key: "b", Text: "other", Advice: true}, "up", []string{"later", "other"}},
		{Warn{Key: "a", Text: "now"}, "degraded", []string{"now", "other"}},
		{Warn{Key: "a", Text: "later", Advice: true}, "up", []string{"later", "other"}},
		{Warn{Key: "a"}, "up", []string{"other"}},
		{Warn{Key: "b", Advice: true}, "up", []string{}},
	} {
		r.do(tt.in)
		if d := cmp.Diff(tt.want, r.l.Status().Warnings); d != "" || r.state() != tt.state {
			t.Errorf("%+v: %s, warnings (-want +got):\n%s", tt.in, r.state(), d)
		}
	}
}

// renames tells the loop the names of eth1, eth2, …
func (r *rig) renames(names ...string) {
	var o Observed
	for i, name := range names {
		l := linkOf(i + 1)
		l.Name = name
		o.NICs = append(o.NICs, ObservedNIC{Link: l, MTU: 1500})
	}
	r.do(o)
}

// TestMembersRenamed: members are known by their ifindex, settings follow their names, also where two change names.
func TestMembersRenamed(t *testing.T) {
	r := newRig(t, func(c *settings.Config) {
		c.Mode, c.Primary = modes.ActiveBackup, "eth2"
		c.Members = []settings.MemberConfig{{Name: "eth1", Weight: 3, PortPriority: 1},
			{Name: "eth2", Weight: 1, PortPriority: 2}}
	})
	for i := 1; i <= 2; i++ {
		r.join(i)
		r.link(i, true)
		r.sees(1500, i, 1500, 0)
	}
	r.do(Warn{Key: "groups eth1", Text: "eth1 takes no groups"})
	r.events()
	r.renames("lan1", "eth2")
	r.wantEvents("one", "member-renamed lan1: was eth1")
	r.renames("eth2", "lan1")
	r.wantEvents("both", "member-renamed lan1: was eth2", "member-renamed eth2: was lan1")
	s := r.l.Status()
	c := r.l.Config()
	if s.Settings.Primary != "lan1" || s.Active != "lan1" || s.Warnings[0] != "eth2 takes no groups" {
		t.Errorf("primary %s, active %s, warnings %q", s.Settings.Primary, s.Active, s.Warnings)
	}
	want := []settings.MemberConfig{{Name: "eth2", Weight: 3, PortPriority: 1},
		{Name: "lan1", Weight: 1, PortPriority: 2}}
	if d := cmp.Diff(want, c.Members); d != "" {
		t.Errorf("members (-want +got):\n%s", d)
	}
	// One takes the name of another whose NIC is gone.
	r.do(Absent{Name: "eth2"})
	r.events()
	r.renames("gone", "eth2")
	r.wantEvents("taken", "member-renamed lan1: was eth2", "member-renamed eth2: was lan1")
	if s, c := r.l.Status(), r.l.Config(); s.Members[0].Name != "lan1" || s.Members[0].State != "absent" ||
		s.Members[1].Name != "eth2" || c.Members[0].Name != "lan1" || s.Settings.Primary != "eth2" {
		t.Errorf("members %+v, configured %+v", s.Members, c.Members)
	}
	r.do(Leave{Name: "eth2", Force: true})
	r.do(Reserve{Link: Link{Name: "eth2", Index: 99}})
	if r.out.Err != nil {
		t.Error(r.out.Err)
	}
}

const otherMAC = frame.MAC(0x0200_0000_00bb)

func TestAdapterMACIsFollowed(t *testing.T) {
	for _, mode := range []modes.Kind{modes.ActiveBackup, modes.XOR, modes.RoundRobin, modes.Broadcast, modes.ELB} {
		t.Run(mode.String(), func(t *testing.T) {
			r := newRig(t, func(c *settings.Config) {
				*c = elb()
				c.Mode = mode
			})
			r.join(1)
			r.join(2)
			r.link(1, true)
			r.link(2, true)
			// the adapter sends before anybody has told
			r.do(FromDatapath{Control{Kind: ControlStation, Station: frame.StationOf(otherMAC, 0)}})
			r.run(time.Minute) // no overlap is left
			if !slices.Contains(r.plan.Behind, otherMAC) {
				t.Fatalf("behind are %v", r.plan.Behind)
			}
			r.events()

			r.do(AdapterMAC{MAC: otherMAC})
			r.wantEvents("the change", "adapter-mac-changed: 02:00:00:00:00:bb, was 02:00:00:00:00:aa")
			if r.plan.Adapter != otherMAC || !slices.Contains(r.plan.TeamMACs, otherMAC) ||
				slices.Contains(r.plan.TeamMACs, adapterMAC) {
				t.Errorf("adapter %v, own %v", r.plan.Adapter, r.plan.TeamMACs)
			}
			if len(r.plan.Behind) != 0 || r.plan.Promiscuous {
				t.Errorf("behind are %v", r.plan.Behind)
			}
			takes := spread.MemberSet(0)
			for id := range spread.MaxMembers {
				if slices.Contains(r.plan.Filter[id], otherMAC) {
					takes = takes.With(id)
				}
				if slices.Contains(r.plan.Filter[id], adapterMAC) {
					t.Errorf("member %d still takes in what is for the address before", id)
				}
			}
			if takes&r.plan.Collecting == 0 {
				t.Errorf("nobody takes in what is for the adapter; filters %v", r.plan.Filter[:2])
			}
			if r.out.Tell&modes.TellAll != modes.TellAll || len(r.out.Via) == 0 {
				t.Errorf("told %b by %v", r.out.Tell, r.out.Via)
			}
			if got := r.l.Status().Adapter.MAC; got != otherMAC.String() {
				t.Errorf("status says %s", got)
			}
			// A member may have it: with its own address nobody needs another's.
			r.do(AdapterMAC{MAC: linkOf(1).MAC})
			r.run(time.Minute)
			for id := range spread.MaxMembers {
				if slices.Contains(r.plan.Filter[id], otherMAC) {
					t.Errorf("member %d still takes in what is for %v", id, otherMAC)
				}
			}
			r.do(AdapterMAC{MAC: otherMAC})
			for _, same := range []frame.MAC{otherMAC, 0, frame.Broadcast} {
				if out := r.do(AdapterMAC{MAC: same}); out.Plan != nil || out.Tell != 0 || len(out.Events) > 0 {
					t.Errorf("%v: plan %v, told %b, events %v", same, out.Plan, out.Tell, out.Events)
				}
			}
		})
	}
}

// TestAdapterMACLeavesTheSystem has 802.3ad go on under the address that the team began with.
func TestAdapterMACLeavesTheSystem(t *testing.T) {
	r := newRig(t, func(c *settings.Config) { c.Mode, c.Balance = modes.LACP, true })
	r.join(1)
	r.link(1, true)
	was := r.l.Status().LACP.Actor.System
	r.do(AdapterMAC{MAC: otherMAC})
	if got := r.l.Status().LACP.Actor.System; r.plan.Adapter != otherMAC || got != was {
		t.Errorf("adapter %v, system %v, was %v", r.plan.Adapter, got, was)
	}
}
