// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/monitor"
)

// Loads of members, as the time between two frames of each of 8 flows a member and direction: busy is 1000 frames a
// second or more.
const (
	idle  = time.Duration(0)
	light = 40 * time.Millisecond
	busy  = 4 * time.Millisecond
)

// watched returns a bench whose first peer is the gateway, with flows between the team and all peers.
func watched(t *testing.T, mode modes.Kind, nics, peers int, load time.Duration,
	change ...func(*settings.Config)) (*bench,
	[]*Flow) {
	t.Helper()
	b := newBench(t, mode, nics, peers, Line{}, change...)
	b.team.Gateway(false, b.peers[0])
	var flows []*Flow
	if load > 0 {
		for i := range 8 * nics {
			flows = append(flows, b.both(i%peers, uint16(2000+i), 200, load)...)
		}
	}
	b.pass(4 * time.Second)
	return b, flows
}

// modesThatAsk are those in which members are told apart by whom they hear.
var modesThatAsk = []modes.Kind{modes.ELB, modes.ActiveBackup, modes.XOR, modes.RoundRobin}

func undamped(c *settings.Config) { c.Damping = false }

// verdict fails unless the link watches say that about a NIC.
func (b *bench) verdict(n int, want monitor.State) {
	b.t.Helper()
	if got, why := b.team.watchOf(b.nics[n]); got != want.String() {
		b.t.Errorf("at %v: %s is %s, want %v: %s", b.Now(), b.nics[n].Name, got, want, why)
	}
}

// allUp fails unless the team uses all its NICs.
func (b *bench) allUp() {
	b.t.Helper()
	for i, n := range b.nics {
		b.verdict(i, monitor.Up)
		if !b.team.Uses(n) && b.team.config.Mode != modes.ActiveBackup {
			b.t.Errorf("at %v: %s is not used", b.Now(), n.Name)
		}
	}
}

// never fails if one of the NICs leaves use while time passes.
func (b *bench) never(d time.Duration, nics ...int) {
	b.t.Helper()
	for end := b.Now() + d; b.Now() < end; {
		b.pass(10 * time.Millisecond)
		for _, n := range nics {
			if s, why := b.team.watchOf(b.nics[n]); s == monitor.Down.String() {
				b.t.Fatalf("at %v: %s is down: %s", b.Now(), b.nics[n].Name, why)
			}
		}
	}
}

// TestSilentLoss: a cable that loses all frames in one direction leaves use, others carry what it carried, and it comes
// back when it works.
func TestSilentLoss(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup} {
		for _, load := range []time.Duration{idle, busy} {
			for end := range 2 {
				t.Run(fmt.Sprintf("%v load %v end %d", mode, load, end), func(t *testing.T) {
					b, flows := watched(t, mode, 3, 4, load)
					b.allUp()
					e := b.wires[0].Ends[end]
					e.Break(1)
					limit := idleMost
					if load == busy {
						limit = 45 * time.Millisecond
					}
					took, err := b.Until("eth0 is out of use", limit, func() bool { return !b.team.Uses(b.nics[0]) })
					if err != nil {
						t.Fatal(err)
					}
					t.Logf("%v", took)
					b.never(time.Second, 1, 2)
					b.verdict(0, monitor.Down)
					b.calmly(300*time.Millisecond, flows...)
					e.Mend()
					b.pass(4 * time.Second)
					b.allUp()
					b.calmly(300*time.Millisecond, flows...)
				})
			}
		}
	}
}

// TestTargetDies: a gateway that answers nobody for a minute is nobody's fault, and the status says so.
func TestTargetDies(t *testing.T) {
	t.Parallel()
	for _, mode := range modesThatAsk {
		b, flows := watched(t, mode, 3, 3, light)
		b.peers[0].Mute = true
		b.never(time.Minute, 0, 1, 2)
		warned := false
		for _, w := range b.team.Status().Warnings {
			warned = warned || len(w) > 0
		}
		if !warned {
			t.Errorf("%v: no warning", mode)
		}
		b.peers[0].Mute = false
		b.never(12*time.Second, 0, 1, 2)
		b.allUp()
		var rest []*Flow
		for _, f := range flows {
			if f.from != b.peers[0] && f.to != b.peers[0] {
				rest = append(rest, f)
			}
		}
		b.calmly(time.Second, rest...)
	}
}

// TestBlockedPort: a port of a switch that forwards nothing for 30 s after its link came up is used when it does.
func TestBlockedPort(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup} {
		b, flows := watched(t, mode, 2, 3, light)
		b.ports[0].Blocks = 30 * time.Second
		b.wires[0].Set(false)
		b.pass(time.Second)
		b.wires[0].Set(true)
		restart(flows)
		for range 290 {
			b.pass(100 * time.Millisecond)
			if b.team.Uses(b.nics[0]) {
				t.Fatalf("%v: used at %v, while the port blocks", mode, b.Now())
			}
		}
		for _, f := range flows {
			if f.Gap > light+20*time.Millisecond {
				t.Errorf("%v: %s: nothing for %v", mode, f.Name, f.Gap)
			}
		}
		b.pass(6 * time.Second)
		b.allUp()
		b.calmly(300*time.Millisecond, flows...)
	}
}

// TestSwitchReboots: both members' switch restarts, and its ports block for 30 s. Traffic goes on as soon as they do
// not.
func TestSwitchReboots(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup} {
		b, flows := watched(t, mode, 2, 3, light)
		for _, p := range b.sw.ports {
			p.Blocks = 30 * time.Second
		}
		b.sw.Reboot(5 * time.Second)
		b.pass(35*time.Second + 2*time.Second)
		for _, f := range flows {
			if quiet := b.Now() - f.Last; quiet > 100*time.Millisecond {
				t.Errorf("%v: %s: nothing for %v", mode, f.Name, quiet)
			}
		}
		b.pass(5 * time.Second)
		b.allUp()
		b.calmly(300*time.Millisecond, flows...)
	}
}

// TestOtherLAN: a port in another VLAN has a link and leads to nobody.
func TestOtherLAN(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup} {
		b, flows := watched(t, mode, 3, 3, busy)
		b.ports[0].VLAN, b.team.Lied = 7, true
		if _, err := b.Until("eth0 is out of use", 45*time.Millisecond, func() bool {
			return !b.team.Uses(b.nics[0])
		}); err != nil {
			t.Fatal(err)
		}
		b.never(5*time.Second, 1, 2)
		b.verdict(0, monitor.Down)
		b.calmly(300*time.Millisecond, flows...)
	}
}

// TestPortSecurity: a port that drops frames of MACs that another port has learnt. A failover and the way back bring no
// other member down, and nothing is lost but by the port.
func TestPortSecurity(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup} {
		b, flows := watched(t, mode, 3, 3, light)
		for _, p := range b.ports {
			p.Secure = true
		}
		b.team.Lied = true // by a port that drops what a NIC sends
		b.never(5*time.Second, 0, 1, 2)
		b.wires[0].Set(false) // a port that loses its link forgets
		b.pass(time.Second)
		b.calmly(300*time.Millisecond, flows...)
		b.wires[0].Set(true)
		b.never(10*time.Second, 1, 2)
		for i, p := range b.ports {
			t.Logf("%v: port %d dropped %d frames", mode, i, p.Dropped)
		}
	}
}

// TestProxyARP: a switch that answers ARP for everybody, at its own MAC. Nobody is down for that, but a member whose
// frames end in the switch is not noticed by ARP alone.
func TestProxyARP(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup} {
		b, _ := watched(t, mode, 3, 3, idle)
		b.sw.ProxyARP = b.number(0x4)
		b.never(30*time.Second, 0, 1, 2)
		b.wires[0].Ends[0].Break(1)
		if _, err := b.Until("eth0 is out of use", idleMost, func() bool {
			return !b.team.Uses(b.nics[0])
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTargetBehindMember: the gateway is a host that only one cable leads to. Who does not reach it is down: that one
// is asked for was said so.
func TestTargetBehindMember(t *testing.T) {
	t.Parallel()
	b, _ := watched(t, modes.ELB, 3, 3, light)
	b.ports[0].VLAN, b.team.Lied = 7, true
	behind := b.Peer("behind", b.sw, Line{})
	b.sw.ports[len(b.sw.ports)-1].VLAN = 7
	b.team.Gateway(false, b.peers[0], behind)
	b.pass(5 * time.Second)
	used := 0
	for _, n := range b.nics {
		if b.team.Uses(n) {
			used++
		}
	}
	if used == 0 {
		t.Error("no member is used")
	}
}

// TestStandstills: the process stands still again and again, up to two seconds, and nobody is down for it.
func TestStandstills(t *testing.T) {
	t.Parallel()
	for _, mode := range modesThatAsk {
		b, flows := watched(t, mode, 3, 3, light)
		for range 20 {
			b.team.Stall(b.between(time.Millisecond, 2*time.Second))
			b.never(b.between(time.Millisecond, 3*time.Second), 0, 1, 2)
		}
		b.pass(3 * time.Second)
		b.allUp()
		b.calmly(300*time.Millisecond, flows...)
	}
}

// TestCrowd: two teams and 50 hosts on a switch. While all is well a member asks once a second at most.
func TestCrowd(t *testing.T) {
	t.Parallel()
	b := newBench(t, modes.ELB, 4, 50, Line{})
	other := b.Team("team1", settings.DefaultConfig(), 0)
	for i := range 4 {
		n := b.NIC(fmt.Sprintf("other%d", i))
		b.sw.Plug(n.End, Line{})
		other.Add(n, 0)
	}
	for _, x := range []*Team{b.team, other} {
		x.Gateway(false, b.peers[0])
		for i, p := range b.peers {
			k := FlowKey{Sport: uint16(3000 + i), Dport: 7}
			b.UDP(x.Stack, p, k, 200, 50*time.Millisecond)
			b.UDP(p, x.Stack, k, 200, 50*time.Millisecond)
		}
	}
	b.pass(10 * time.Second)
	was := [2]int{b.team.Asks, other.Asks}
	const seconds = 20
	b.pass(seconds * time.Second)
	for i, x := range []*Team{b.team, other} {
		rate := float64(x.Asks-was[i]) / seconds / float64(len(x.ids))
		t.Logf("%s: %.2f asks a second and member", x.Name, rate)
		if rate > 1.05 {
			t.Errorf("%s: %.2f asks a second and member", x.Name, rate)
		}
	}
}

// TestModesWatched: in every mode, with 8 members, nobody is down while all is well.
func TestModesWatched(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup, modes.XOR, modes.RoundRobin, modes.Broadcast} {
		b, flows := watched(t, mode, 8, 3, light)
		b.never(5*time.Second, 0, 1, 2, 3, 4, 5, 6, 7)
		b.allUp()
		b.calmly(300*time.Millisecond, flows...)
	}
}

// TestGatewayMoves: the gateway's address moves to another host with another MAC (VRRP without its virtual MAC), and to
// another port.
func TestGatewayMoves(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup} {
		b, _ := watched(t, mode, 3, 4, light)
		for i := range 6 {
			from, to := b.peers[i%2], b.peers[1-i%2]
			from.Mute = true
			b.never(time.Duration(50*i)*time.Millisecond, 0, 1, 2)
			from.IP4, to.IP4 = to.IP4, from.IP4
			from.Mute = false
			b.never(3*time.Second, 0, 1, 2)
		}
		b.pass(10 * time.Second)
		b.allUp()
	}
}

// TestGatewayIsTeam: the gateway is another nicteam, which answers by whichever member it likes.
func TestGatewayIsTeam(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup} {
		b := newBench(t, modes.ELB, 3, 3, Line{})
		c := settings.DefaultConfig()
		c.Mode = mode
		router := b.Team("router", c, 0)
		for i := range 3 {
			n := b.NIC(fmt.Sprintf("router%d", i))
			b.sw.Plug(n.End, Line{})
			router.Add(n, 0)
		}
		b.team.Gateway(false, router.Stack)
		b.pass(time.Second)
		for i := range 12 {
			k := FlowKey{Sport: uint16(3000 + i), Dport: 7}
			b.UDP(b.team.Stack, router.Stack, k, 200, 3*time.Millisecond)
			b.UDP(router.Stack, b.team.Stack, k, 200, 3*time.Millisecond)
		}
		b.never(20*time.Second, 0, 1, 2)
		b.allUp()
		b.wires[1].Ends[1].Break(1)
		if _, err := b.Until("eth1 is out of use", 100*time.Millisecond, func() bool {
			return !b.team.Uses(b.nics[1])
		}); err != nil {
			t.Fatal(err)
		}
		b.never(5*time.Second, 0, 2)
	}
}

// TestIPv6Only: a gateway with an IPv6 address is asked by neighbour discovery.
func TestIPv6Only(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup} {
		for end := range 2 {
			b, _ := watched(t, mode, 3, 3, busy)
			b.team.Gateway(true, b.peers[1])
			b.never(5*time.Second, 0, 1, 2)
			b.allUp()
			b.wires[0].Ends[end].Break(1)
			if _, err := b.Until("eth0 is out of use", 45*time.Millisecond, func() bool {
				return !b.team.Uses(b.nics[0])
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestNoGateway: hosts heard from lately are asked, and where there is none the members listen to each other.
func TestNoGateway(t *testing.T) {
	t.Parallel()
	for _, quiet := range []bool{false, true} {
		for end := range 2 {
			b := newBench(t, modes.ELB, 3, 3, Line{})
			b.team.NoHosts = quiet
			for i := range 24 {
				b.both(i%3, uint16(2000+i), 200, 4*time.Millisecond)
			}
			b.pass(8 * time.Second)
			b.never(5*time.Second, 0, 1, 2)
			b.allUp()
			b.wires[0].Ends[end].Break(1)
			if _, err := b.Until("eth0 is out of use", 60*time.Millisecond, func() bool {
				return !b.team.Uses(b.nics[0])
			}); err != nil {
				t.Fatal(err)
			}
			b.never(3*time.Second, 1, 2)
		}
	}
}

// TestQueueFillsAtOnce: a burst that waits in the queue of a slow NIC for longer than a round takes is no silent loss:
// the asks of the member wait behind it. A loss while it waits is noticed when the queue has left.
func TestQueueFillsAtOnce(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup} {
		b := newBench(t, mode, 2, 3, Line{Rate: 20e6})
		b.team.Gateway(false, b.peers[0])
		for i := range 8 {
			b.both(i%3, uint16(2000+i), 100, 10*time.Millisecond)
		}
		b.pass(4 * time.Second)
		f := b.UDP(b.team.Stack, b.peers[1], FlowKey{Sport: 4000, Dport: 7}, 1400, 2*time.Second)
		f.Burst(120, 10*time.Microsecond) // some 70 ms, the first time
		b.never(8*time.Second, 0, 1)
		b.allUp()
		n := -1
		if _, err := b.Until("a burst", 3*time.Second, func() bool {
			n = slices.IndexFunc(b.nics, func(n *NIC) bool { return n.waiting() > 15_000 })
			return n >= 0
		}); err != nil {
			t.Fatal(err)
		}
		b.wires[n].Ends[0].Break(1)
		took, err := b.Until("out of use", 300*time.Millisecond, func() bool { return !b.team.Uses(b.nics[n]) })
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%v: %v", mode, took)
		b.never(time.Second, 1-n)
	}
}

// TestNICsThatTakeNoOtherMAC: NICs that take in what is for their own address only, and may not even say so, are used
// again after a cable was out or silent; while it is silent they stay out of use.
func TestNICsThatTakeNoOtherMAC(t *testing.T) {
	t.Parallel()
	for _, ignore := range []bool{false, true} {
		for own := range 2 {
			for _, damping := range []bool{false, true} {
				if damping && !ignore {
					continue
				}
				t.Run(fmt.Sprintf("ignore %v, from %d on, damping %v", ignore, own, damping), func(t *testing.T) {
					b := newBench(t, modes.ELB, 0, 3, Line{}, func(c *settings.Config) { c.Damping = damping })
					for i := range 3 {
						n := b.NIC(fmt.Sprintf("vf%d", i))
						n.OwnMAC, n.Hidden, n.Ignore = i >= own, i%2 == 1 || ignore, ignore
						wire, _ := b.sw.Plug(n.End, Line{})
						b.nics, b.wires = append(b.nics, n), append(b.wires, wire)
						b.team.Add(n, 0)
					}
					b.team.Gateway(false, b.peers[0])
					var flows []*Flow
					for i := range 3 {
						flows = append(flows, b.both(i, uint16(3000+i), 200, light)...)
					}
					b.pass(3 * time.Second)
					b.allUp()
					for i := range b.nics {
						for _, end := range []int{-1, 0, 1} {
							mend := b.breaks(i, end)
							if _, err := b.Until(b.nics[i].Name+" is out of use", idleMost,
								func() bool { return !b.team.Uses(b.nics[i]) }); err != nil {
								t.Fatal(err)
							}
							used := 0
							for end := b.Now() + 3*time.Second; b.Now() < end; {
								was := b.team.Uses(b.nics[i])
								b.pass(5 * time.Millisecond)
								if now := b.team.Uses(b.nics[i]); now && !was {
									used++
								}
							}
							if used > 0 {
								t.Errorf("%s, end %d broken: used %d times in 3 s", b.nics[i].Name, end, used)
							}
							mend()
							b.pass(12 * time.Second) // an ask by its own MAC, and a wait of damping
							b.allUp()
							b.calmly(300*time.Millisecond, flows...)
							if damping {
								b.pass(30 * time.Second)
							}
						}
					}
				})
			}
		}
	}
}

// breaks lets the cable of a NIC lose all frames in one direction, or pulls it if end is -1, and returns what mends it.
func (b *bench) breaks(nic, end int) (mend func()) {
	w := b.wires[nic]
	if end < 0 {
		w.Set(false)
		return func() { w.Set(true) }
	}
	w.Ends[end].Break(1)
	return w.Ends[end].Mend
}
