// SPDX-License-Identifier: MIT

package team

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes"
)

// sees tells the loop what the kernel says of eth<n>, and of the adapter unless mtu is 0.
func (r *rig) sees(mtu, n, nicMTU int, mac frame.MAC) Output {
	l := linkOf(n)
	if mac != 0 {
		l.MAC = mac
	}
	return r.do(Observed{MTU: mtu, NICs: []ObservedNIC{{Link: l, MTU: nicMTU}}})
}

// elbOf is a rig of a team in mode elb with eth1 to eth<n>, all up, whose adapter and NICs have MTU 1500.
func elbOf(t *testing.T, n int) *rig {
	t.Helper()
	r := newRig(t, func(c *settings.Config) { c.Mode = modes.ELB })
	for i := 1; i <= n; i++ {
		r.join(i)
		r.link(i, true)
		r.sees(1500, i, 1500, 0)
	}
	r.events()
	return r
}

func TestAMemberOfSmallerMTUIsNotUsed(t *testing.T) {
	r := elbOf(t, 3)
	r.sees(0, 2, 1200, 0)
	want := []string{"mtu-changed eth2: 1200, was 1500", "member-down eth2: MTU 1200 is below the adapter's 1500",
		"team-degraded: eth2: MTU 1200 is below the adapter's 1500"}
	if d := cmp.Diff(want, r.events()); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	m := r.member(2)
	if m.State != "down" || m.MTU != 1200 || m.Reason != "MTU 1200 is below the adapter's 1500" ||
		r.plan.Distributing.Has(1) {
		t.Errorf("%+v, distributing %b", m, r.plan.Distributing)
	}
	// The others die: it is better than nothing, and takes over at once.
	r.link(1, false)
	r.link(3, false)
	if m := r.member(2); m.State != "up" || r.plan.Distributing != 0b010 {
		t.Errorf("the last one is %+v, distributing %b", m, r.plan.Distributing)
	}
	if w := r.l.Status().Warnings; len(w) != 1 || !strings.Contains(w[0], "ip link set eth2 mtu 1500") {
		t.Errorf("warnings %q", w)
	}
	r.link(3, true)
	if m := r.member(2); m.State != "down" || len(r.l.Status().Warnings) != 0 {
		t.Errorf("another is back: %+v, %q", m, r.l.Status().Warnings)
	}
	r.link(1, true)
	r.events()
	r.sees(0, 2, 1500, 0)
	if d := cmp.Diff([]string{"member-up eth2", "team-up"}, r.events()); d != "" {
		t.Errorf("as large again (-want +got):\n%s", d)
	}
	// The adapter's becomes smaller, too.
	r.do(Observed{MTU: 1400})
	r.sees(0, 2, 1400, 0)
	if m := r.member(2); m.State != "up" || m.MTU != 1400 {
		t.Errorf("%+v", m)
	}
	if d := cmp.Diff([]string{"mtu-changed: 1400, was 1500"}, r.events()); d != "" {
		t.Errorf("with the adapter (-want +got):\n%s", d)
	}
}

// A member of smaller MTU waits for its delay like any other, and is hurried when there is no other.
func TestASmallerMTUAndDelays(t *testing.T) {
	r := newRig(t, func(c *settings.Config) { c.UpDelay = time.Minute })
	for i := 1; i <= 2; i++ {
		r.join(i)
		r.link(i, true)
	}
	r.run(time.Minute)
	r.sees(1500, 1, 1500, 0)
	r.sees(1500, 2, 1200, 0)
	r.link(2, false)
	r.link(2, true)
	r.link(1, false)
	if m := r.member(2); m.State != "up" {
		t.Errorf("%+v", m)
	}
}

func TestAMembersMACChanges(t *testing.T) {
	const other = frame.MAC(0x02_0000_00ee01)
	r := elbOf(t, 2)
	out := r.sees(0, 2, 1500, other)
	if d := cmp.Diff([]string{"mac-changed eth2: 02:00:00:00:ee:01, was 02:00:00:00:00:02"}, r.events()); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if r.member(2).MAC != other.String() || out.Plan == nil || out.Plan.MACs[1] != other ||
		!slices.Contains(out.Plan.TeamMACs, other) {
		t.Errorf("status %s, plan %+v", r.member(2).MAC, out.Plan)
	}
	if out := r.sees(0, 2, 1500, other); out.Plan != nil || len(out.Events) != 0 {
		t.Errorf("seen again: %+v", out)
	}
	// Another NIC by that name, or one that is away, is not the member.
	stale := linkOf(2)
	stale.Index += 7
	r.do(Observed{NICs: []ObservedNIC{{Link: stale, MTU: 900}, {Link: Link{Name: "eth9"}}}})
	r.gone(2)
	r.events()
	if r.sees(0, 2, 900, 0); len(r.events()) != 0 || r.member(2).MAC != other.String() || r.member(2).MTU != 1500 {
		t.Errorf("%+v", r.member(2))
	}
	back := Link{Name: "eth2", Index: 70, MAC: linkOf(2).MAC}
	out = r.do(Reopen{Name: "eth2"})
	r.do(Reopened{ID: out.ID, Link: back, Info: MemberInfo{MTU: 1500}})
	if r.member(2).MAC != back.MAC.String() {
		t.Errorf("it came back with %s", r.member(2).MAC)
	}
}

// Of two members with one MAC, in the mode in which each sends with its own, one is used, and stays so.
func TestTwinMembers(t *testing.T) {
	r := elbOf(t, 3)
	r.sees(0, 3, 1500, linkOf(1).MAC)
	const why = "has the MAC 02:00:00:00:00:01 of eth1, and in mode elb each member sends with its own"
	if m := r.member(3); m.State != "down" || m.Reason != why {
		t.Errorf("%+v", m)
	}
	r.link(1, false)
	if r.plan.Distributing != 0b110 {
		t.Errorf("after the first has died distributing %b", r.plan.Distributing)
	}
	r.link(1, true)
	if r.plan.Distributing != 0b110 || r.member(1).State != "down" {
		t.Errorf("after it came back distributing %b, it is %+v", r.plan.Distributing, r.member(1))
	}
	// Where all send with the adapter's MAC it makes no difference.
	c := r.l.Config()
	c.Mode = modes.XOR
	if r.do(Change{Config: c}); r.plan.Distributing != 0b111 {
		t.Errorf("in mode xor distributing %b", r.plan.Distributing)
	}
	for _, balance := range []bool{false, true} {
		c := r.l.Config()
		c.Mode, c.Balance = modes.ELB, balance
		out := r.do(Change{Config: c})
		var p *api.Problem
		switch refused := errors.As(out.Err, &p); {
		case refused == !balance:
			t.Errorf("mode elb, balance %v: %v", balance, out.Err)
		case refused && (p.Kind != api.Conflict || !strings.Contains(p.Why, "eth1 and eth3 both have the MAC") ||
			!strings.Contains(p.Fix, "ip link set eth3 address")):
			t.Errorf("%+v", p)
		}
	}
	r.sees(0, 3, 1500, linkOf(3).MAC)
	c = r.l.Config()
	c.Mode, c.Balance = modes.ELB, true
	if out := r.do(Change{Config: c}); out.Err != nil || r.plan.Distributing != 0b111 {
		t.Errorf("with MACs of their own: %v, distributing %b", out.Err, r.plan.Distributing)
	}
}
