// SPDX-License-Identifier: MIT

package team

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
)

func TestLoopRxMode(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	r.link(1, true)
	groups := []frame.MAC{0x01005e0000fb, 0x333300000001}
	r.do(AdapterRxMode{spread.RxMode{Groups: groups, Promiscuous: true}})
	if d := cmp.Diff(groups, r.plan.Groups); d != "" || !r.plan.Promiscuous {
		t.Errorf("promiscuous %v, groups -want +got\n%s", r.plan.Promiscuous, d)
	}
	if out := r.do(AdapterRxMode{spread.RxMode{Groups: groups, Promiscuous: true}}); out.Plan != nil {
		t.Error("a new Plan though nothing has changed")
	}
	r.do(AdapterRxMode{})
	if r.plan.Promiscuous || r.plan.Groups != nil {
		t.Errorf("promiscuous %v, groups %v after all is over", r.plan.Promiscuous, r.plan.Groups)
	}
}

// The warning of a NIC that refuses groups stands until it takes them, leaves, or is another one.
func TestLoopGroupsRefused(t *testing.T) {
	ends := map[string]func(r *rig, id int){
		"taken":    func(r *rig, id int) { r.do(FromDatapath{Control{Kind: ControlGroups, Member: id}}) },
		"left":     func(r *rig, id int) { r.do(Leave{Name: "eth1"}) },
		"returned": func(r *rig, id int) { r.do(Reopen{Name: "eth1"}); r.do(Reopened{ID: id, Link: linkOf(1)}) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			id := r.join(1)
			r.join(2)
			r.link(1, true)
			r.link(2, true)
			r.events()
			r.do(FromDatapath{Control{Kind: ControlGroups, Member: id, Err: errors.New("does not take in groups: no")}})
			if d := cmp.Diff([]string{"eth1 does not take in groups: no"}, r.l.Status().Warnings); d != "" {
				t.Error(d)
			}
			r.wantEvents("refusal", "team-degraded: eth1 does not take in groups: no")
			r.do(FromDatapath{Control{Kind: ControlGroups, Member: 40, Err: errors.New("nobody's")}})
			end(r, id)
			if w := r.l.Status().Warnings; len(w) > 0 {
				t.Errorf("warnings %q", w)
			}
		})
	}
}
