// SPDX-License-Identifier: MIT

package steer

import (
	"testing"
	"time"

	"nicteam/modes/spread"

	"github.com/google/go-cmp/cmp"
)

// A suspect member keeps its peers and is told nothing; new peers get others, unless all are suspect.
func TestSuspectGetsNoPeer(t *testing.T) {
	r := rig(t, 3)
	for i := range 6 {
		r.sent(answer(i))
	}
	before := r.members()
	if told := r.change(func(m []Member) { m[1].Suspect = true }); len(told) > 0 || len(r.wait(time.Minute)) > 0 {
		t.Error("a suspicion made the team tell peers something")
	}
	if d := cmp.Diff(before, r.members()); d != "" {
		t.Errorf("a suspicion moved peers, -was +is\n%s", d)
	}
	for i := 6; i < 14; i++ {
		r.sent(answer(i))
	}
	if d := cmp.Diff([]int{6, 2, 6}, r.counts()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	r.change(func(m []Member) { m[2].Usable = false })
	if d := cmp.Diff([]int{12, 2, 0}, r.counts()); d != "" {
		t.Errorf("orphans, -want +got\n%s", d)
	}
	r.change(func(m []Member) { m[0].Suspect = true })
	for i := 14; i < 26; i++ {
		r.sent(answer(i))
	}
	if d := cmp.Diff([]int{13, 13, 0}, r.counts()); d != "" {
		t.Errorf("all are suspect, -want +got\n%s", d)
	}
}

// A member that joins while it is suspect gets its share when it is no more.
func TestSuspectJoins(t *testing.T) {
	r := rig(t, 2)
	r.change(func(m []Member) { m[1].Usable = false })
	for i := range 6 {
		r.sent(answer(i))
	}
	r.change(func(m []Member) { m[1].Usable, m[1].Suspect = true, true })
	if d := cmp.Diff([]int{6, 0}, r.counts()); d != "" {
		t.Errorf("suspect, -want +got\n%s", d)
	}
	r.change(func(m []Member) { m[1].Suspect = false })
	if d := cmp.Diff([]int{3, 3}, r.counts()); d != "" {
		t.Errorf("trusted, -want +got\n%s", d)
	}
}

// A member that returns gets peers as far as its part goes: those that others give away, new ones, and orphans. A
// suspicion of the others gives it no more.
func TestReturningMemberGetsItsPart(t *testing.T) {
	r := rig(t, 3)
	for i := range 60 {
		r.sent(answer(i))
	}
	r.change(func(m []Member) { m[2].Usable = false })
	if d := cmp.Diff([]int{30, 30, 0}, r.counts()); d != "" {
		t.Fatalf("-want +got\n%s", d)
	}
	r.wait(time.Minute)
	step := func(closed uint8, want []int) {
		t.Helper()
		was := r.members()
		r.change(func(m []Member) { m[2].Usable, m[2].Closed = true, closed })
		if d := cmp.Diff(want, r.counts()); d != "" {
			t.Errorf("closed %d, -want +got\n%s", closed, d)
		}
		for peer, id := range r.members() {
			if id != was[peer] && id != 2 {
				t.Errorf("closed %d: %s moved from %d to %d", closed, peer, was[peer], id)
			}
		}
	}
	step(230, []int{29, 29, 2})
	step(230, []int{29, 29, 2})
	r.change(func(m []Member) { m[0].Suspect, m[1].Suspect = true, true })
	if d := cmp.Diff([]int{29, 29, 2}, r.counts()); d != "" {
		t.Errorf("the others are suspect, -want +got\n%s", d)
	}
	r.change(func(m []Member) { m[0].Suspect, m[1].Suspect = false, false })
	for i := 60; i < 70; i++ {
		r.sent(answer(i))
	}
	if d := cmp.Diff([]int{34, 34, 2}, r.counts()); d != "" {
		t.Errorf("new peers, -want +got\n%s", d)
	}
	step(128, []int{29, 30, 11})
	r.change(func(m []Member) { m[1].Usable = false })
	if c := r.counts(); c[0]+c[2] != 70 || c[2] > 18 {
		t.Errorf("orphans: %v", c)
	}
	r.change(func(m []Member) { m[1].Usable = true })
	step(0, []int{23, 24, 23})
}

// Whatever peers send, no load moves one to a member that returns: it gets its part of them, whoever they are.
func TestReturningMemberGetsNobodyForLoad(t *testing.T) {
	r := rig(t, 2)
	for i := range 8 {
		r.sent(answer(i))
	}
	r.change(func(m []Member) { m[1].Usable = false })
	r.wait(time.Minute)
	r.change(func(m []Member) { m[1].Usable, m[1].Closed = true, 230 })
	var h spread.RxBytes
	for range 30 {
		r.hear(&h, 90*mega, 90*mega, 90*mega, 90*mega, 90*mega, 90*mega, 90*mega, 90*mega)
	}
	if d := cmp.Diff([]int{8, 0}, r.counts()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	r.change(func(m []Member) { m[1].Closed = 0 })
	if d := cmp.Diff([]int{4, 4}, r.counts()); d != "" {
		t.Errorf("returned, -want +got\n%s", d)
	}
}
