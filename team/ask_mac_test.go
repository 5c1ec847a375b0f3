// SPDX-License-Identifier: MIT

package team

import (
	"slices"
	"testing"
	"time"

	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/monitor"
)

// TestAskMACAfterAChangeOfMode: what a NIC accepts because its member asks by it is known as the team's own in each
// Plan, also in the first one of another mode, in which NICs still accept what they did before: answers are known by
// it.
func TestAskMACAfterAChangeOfMode(t *testing.T) {
	c := activeBackup()
	c.LinkWatch = []string{"gateway"}
	l, err := NewLoop(c, LoopOptions{Adapter: linkOf(1).MAC, Salt: 42})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, l: l, now: time.Unix(1_700_000_000, 0)}
	r.do(Tick{})
	for n := 1; n <= 2; n++ {
		r.join(n)
		r.link(n, true)
	}
	r.do(WatchTargets{monitor.Targets{Gateways: []monitor.Target{{IP: gateway}}}})
	mac := monitor.AskMAC(linkOf(1).MAC)
	for _, change := range []func(*settings.Config){
		func(c *settings.Config) { c.Mode, c.Balance = modes.ELB, false },
		func(c *settings.Config) { c.Mode, c.Balance, c.Primary = modes.ActiveBackup, true, "eth2" },
		func(c *settings.Config) { c.Mode, c.Primary = modes.XOR, "" },
		func(c *settings.Config) { c.Mode = modes.ActiveBackup },
	} {
		c := l.Config()
		change(&c)
		if out := r.do(Change{Config: c}); out.Err != nil {
			t.Fatal(out.Err)
		}
		for id, filter := range r.plan.Filter {
			for _, mac := range filter {
				if !slices.Contains(r.plan.TeamMACs, mac) {
					t.Errorf("%v: member %d accepts %v, which is not the team's own", c.Mode, id, mac)
				}
			}
		}
		if accepts := slices.Contains(r.plan.Filter[0], mac); accepts != (c.Mode != modes.XOR) {
			t.Errorf("%v: eth1 accepts the MAC by which it asks: %v", c.Mode, accepts)
		}
		r.run(20 * time.Millisecond)
	}
}
