package team

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/frame"
)

func TestLoopBehind(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	r.link(1, true)
	seen := func(m frame.MAC) Output {
		return r.do(FromDatapath{Control{Kind: ControlBehind, Member: -1, MAC: m}})
	}
	const vm = frame.MAC(0x0200_0000_1000)
	seen(adapterMAC)
	seen(linkOf(1).MAC)
	seen(frame.Broadcast)
	seen(0)
	if len(r.plan.Behind) != 0 {
		t.Errorf("took in what is no guest: %v", r.plan.Behind)
	}
	r.run(time.Second)
	seen(vm)
	if diff := cmp.Diff([]frame.MAC{vm}, r.plan.Behind); diff != "" {
		t.Errorf("a new guest is not known at once (-want +got):\n%s", diff)
	}
	// Many new ones at once make few Plans.
	plans := 0
	for i := range 100 {
		if seen(vm+frame.MAC(i)).Plan != nil {
			plans++
		}
	}
	r.run(behindGap)
	if plans > 1 || len(r.plan.Behind) != 100 {
		t.Errorf("%d Plans for 100 guests, %d known", plans, len(r.plan.Behind))
	}
	// Those that send are reported whenever the Plan asks for them; only the first does, and it stays all the time.
	for range 100 {
		r.run(10 * time.Second)
		if !slices.Contains(r.plan.Behind, vm) {
			t.Fatal("a guest that goes on sending was forgotten")
		}
		if slices.Contains(r.plan.Ageing, vm) {
			seen(vm)
		}
	}
	if diff := cmp.Diff([]frame.MAC{vm}, r.plan.Behind); diff != "" {
		t.Errorf("after their age (-want +got):\n%s", diff)
	}
	r.run(time.Hour)
	if len(r.plan.Behind) != 0 || !r.l.Deadline().IsZero() {
		t.Errorf("silent for an hour: %v, deadline %v", r.plan.Behind, r.l.Deadline())
	}
	// A guest cannot make us remember without end.
	for i := range 3 * behindMax {
		seen(vm + frame.MAC(i))
	}
	r.run(time.Second)
	if len(r.plan.Behind) != behindMax {
		t.Errorf("%d remembered, want %d", len(r.plan.Behind), behindMax)
	}
}

func TestLoopBehindIsForgottenInTime(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	r.link(1, true)
	r.do(FromDatapath{Control{Kind: ControlBehind, Member: -1, MAC: 0x0200_0000_1000}})
	r.run(behindAge / 2)
	if len(r.plan.Behind) != 1 {
		t.Error("forgotten too early")
	}
	r.run(behindAge / 2)
	if len(r.plan.Behind) != 0 {
		t.Error("kept beyond its age")
	}
}
