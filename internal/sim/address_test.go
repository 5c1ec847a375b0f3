// SPDX-License-Identifier: MIT

package sim

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes"
)

// duplicates are the warnings of duplicate addresses.
func (b *bench) duplicates() (list []string) {
	for _, w := range b.team.Status().Warnings {
		if strings.HasPrefix(w, "duplicate address") {
			list = append(list, w)
		}
	}
	return list
}

// believe fails unless all peers but some believe that ip is at a MAC.
func (b *bench) believe(when string, ip netip.Addr, mac frame.MAC, but ...*Stack) {
	b.t.Helper()
	for _, p := range b.peers {
		if got := p.NeighbourMAC(ip); !slices.Contains(but, p) && got != 0 && got != mac {
			b.t.Fatalf("%s: %s believes that %v is at %v, and it is at %v", when, p.Name, ip, got, mac)
		}
	}
}

// TestAddressMovesToAnotherHost: as VRRP moves an address, its next host announces it, some time before or after the
// team's host has given it up. From then on no peer hears of it from the team, whatever happens to members and however
// peers send; and when it comes back peers are steered as before. Nothing of this is a duplicate address.
func TestAddressMovesToAnotherHost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		overlap time.Duration // for which both have it; < 0: none has
		killed  bool          // the team's process is dead meanwhile
	}{{"given up first", -20 * time.Millisecond, false}, {"both for a moment", 20 * time.Millisecond, false},
		{"while no process runs", -20 * time.Millisecond, true}} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, modes.ELB, 3, 6, Line{Rate: 1e9})
			next := b.peers[5]
			for i := range 5 {
				b.both(i, uint16(2000+2*i), 700, 3*time.Millisecond)
			}
			b.pass(5 * time.Second)
			if n := len(b.team.peers()); n < 5 {
				t.Fatalf("%d peers are steered", n)
			}
			was := next.IP4
			if tt.killed {
				b.team.Replace(300 * time.Millisecond)
				b.pass(100 * time.Millisecond)
			}
			vip := b.team.Stack.IP4
			if tt.overlap > 0 {
				next.TakeOver(vip)
				b.pass(tt.overlap) // in which the host still speaks for it
			}
			b.team.GiveUp()
			if tt.overlap < 0 {
				b.pass(-tt.overlap)
				next.TakeOver(vip)
			} else {
				b.pass(10 * time.Millisecond)
				next.Claim(vip) // VRRP repeats itself
			}
			b.pass(10 * time.Millisecond)
			b.believe("at once", vip, next.MAC, next)
			if tt.killed {
				b.team.awaitProcess()
			}
			for i, wire := range b.wires {
				wire.Set(false)
				b.pass(500 * time.Millisecond)
				b.believe(b.nics[i].Name+" is dead", vip, next.MAC, next)
				wire.Set(true)
				b.pass(6 * time.Second)
				b.believe(b.nics[i].Name+" is back", vip, next.MAC, next)
			}
			for _, p := range b.team.peers() {
				if p.Ours == vip {
					t.Errorf("%v is steered for it by member %d", p.Address, p.Member)
				}
			}
			if d := b.duplicates(); len(d) > 0 {
				t.Errorf("warnings: %q", d)
			}
			next.IP4 = was
			b.team.TakeOver(vip)
			b.pass(5 * time.Second)
			if n := len(b.team.peers()); n < 5 {
				t.Errorf("%d peers are steered after it came back", n)
			}
			if d := b.duplicates(); len(d) > 0 {
				t.Errorf("warnings after it came back: %q", d)
			}
		})
	}
}

// TestDuplicateAddress: in each mode another host that claims an address which this one keeps is warned of within the
// grace, by its MAC and once; elb tells nobody any more that it is here, until somebody asks. The warning ends when the
// claims do.
func TestDuplicateAddress(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup, modes.XOR, modes.RoundRobin, modes.Broadcast,
		modes.LACP} {
		for _, v6 := range []bool{false, true} {
			name := mode.String()
			if v6 {
				name += " IPv6"
			}
			if v6 && mode != modes.ELB && mode != modes.ActiveBackup {
				continue
			}
			t.Run(name, func(t *testing.T) {
				b := newBench(t, mode, 2, 3, Line{Rate: 1e9}, func(c *settings.Config) {
					c.LACP.Fallback = true
				})
				if mode == modes.LACP {
					b.pass(5 * time.Second) // until the one that works without a partner does
				}
				other, ip := b.peers[2], b.team.Stack.Address(v6)
				var flows []*Flow
				for i := range 2 {
					k := FlowKey{V6: v6, Sport: uint16(i), Dport: 9}
					flows = append(flows, b.UDP(b.peers[i], b.team.Stack, k, 300, 10*time.Millisecond))
				}
				b.pass(2 * time.Second)
				if mode == modes.ELB && len(b.team.peers()) == 0 {
					t.Fatal("nobody is steered")
				}
				other.Claim(ip)
				b.pass(10 * time.Millisecond)
				if mode == modes.ELB {
					for _, p := range b.team.peers() {
						if p.Ours == ip {
							t.Errorf("%v is steered after another host has claimed the address", p.Address)
						}
					}
				}
				if d := b.duplicates(); len(d) > 0 {
					t.Errorf("at once: %q", d)
				}
				state := b.team.Status().State
				for range 20 {
					other.Claim(ip)
					b.pass(100 * time.Millisecond)
				}
				want := "duplicate address: " + ip.String() + " is also at " + other.MAC.String() +
					": take it from one of the two hosts"
				if d := b.duplicates(); len(d) != 1 || d[0] != want {
					t.Errorf("warnings %q, want %q", d, want)
				}
				if is := b.team.Status().State; is != state {
					t.Errorf("the team is %s, was %s", is, state)
				}
				pause(b, flows)
				b.pass(4 * time.Minute)
				if d := b.duplicates(); len(d) != 1 {
					t.Errorf("four minutes later: %q", d)
				}
				b.pass(2 * time.Minute)
				if d := b.duplicates(); len(d) > 0 {
					t.Errorf("six minutes later: %q", d)
				}
			})
		}
	}
}
