package team

import (
	"slices"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/spread"
)

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
			r.do(FromDatapath{Control{Kind: ControlStation, Station: frame.StationOf(otherMAC, 0)}}) // the adapter sends before anybody has told
			r.run(time.Minute)                                                                       // no overlap is left
			if !slices.Contains(r.plan.Behind, otherMAC) {
				t.Fatalf("behind are %v", r.plan.Behind)
			}
			r.events()

			r.do(AdapterMAC{MAC: otherMAC})
			r.wantEvents("the change", "adapter-mac-changed: 02:00:00:00:00:bb, was 02:00:00:00:00:aa")
			if r.plan.Adapter != otherMAC || !slices.Contains(r.plan.TeamMACs, otherMAC) || slices.Contains(r.plan.TeamMACs, adapterMAC) {
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
