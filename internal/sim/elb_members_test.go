// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes"
)

// TestFlowsThatNeverPause: two flows that share one NIC for want of another are parted once there is one, by one move.
func TestFlowsThatNeverPause(t *testing.T) {
	t.Parallel()
	b := newBenchThatTells(t, 100e6, modes.ELB, 2, 1, Line{Rate: 100e6})
	b.wires[1].Set(false)
	b.pass(100 * time.Millisecond)
	var flows []*Flow
	for i := range 2 {
		flows = append(flows, b.UDP(b.team.Stack, b.peers[0], FlowKey{Sport: uint16(5000 + i), Dport: 9}, 1500,
			270*time.Microsecond))
	}
	b.pass(time.Second)
	b.wires[1].Set(true)
	b.order = false // counted instead
	restart(flows)
	b.pass(4 * time.Second)
	each, sum, most := b.loads(2 * time.Second)
	forced := b.team.forced()
	t.Logf("%.1f Mbit/s, %d forced moves, %d and %d frames overtaken", mbit(each), forced, flows[0].Reordered,
		flows[1].Reordered)
	if most > 1.05*sum/2 {
		t.Errorf("busiest carries %.3f of the mean", most/(sum/2))
	}
	if forced == 0 || forced > 3 {
		t.Errorf("%d forced moves", forced)
	}
	if flows[0].Reordered+flows[1].Reordered > forced {
		t.Errorf("%d and %d frames overtaken by %d moves", flows[0].Reordered, flows[1].Reordered, forced)
	}
}

// TestMembersComeAndGo: on a switch that learns a member is drained, removed and added under traffic in both directions
// without the loss of a frame.
func TestMembersComeAndGo(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup, modes.XOR, modes.RoundRobin} {
		t.Run(mode.String(), func(t *testing.T) {
			b := newBench(t, mode, 4, 4, Line{Rate: 1e9})
			var flows []*Flow
			for i := range 8 {
				flows = append(flows, b.both(i%4, uint16(3000+i), 400, 2*time.Millisecond)...)
			}
			b.pass(4 * time.Second)
			pause(b, flows)
			for n, nic := range b.nics {
				restart(flows)
				resume(b, flows)
				left := false
				if lag(mode) {
					b.ports[n].Out = true // a static group is changed by hand: first the switch's side
				}
				b.team.Remove(nic, func() { left = true })
				if _, err := b.Until("the member has left", 2*time.Second, func() bool { return left }); err != nil {
					t.Fatal(err)
				}
				b.pass(500 * time.Millisecond)
				b.team.Add(nic, 0)
				b.pass(200 * time.Millisecond)
				b.ports[n].Out = false
				b.pass(2 * time.Second)
				pause(b, flows)
				for _, f := range flows {
					if f.Got != f.Sent || f.Double > 0 {
						t.Errorf("%s removed and added: %s: %d sent, %d arrived, %d doubled", nic.Name, f.Name,
							f.Sent, f.Got, f.Double)
					}
				}
			}
		})
	}
}

// pause stops flows until nothing of them is under way.
func pause(b *bench, flows []*Flow) {
	for _, f := range flows {
		f.stopped = true
	}
	b.pass(100 * time.Millisecond)
}

func resume(b *bench, flows []*Flow) {
	for _, f := range flows {
		f.stopped = false
		f.tick.set(b.now + b.between(0, f.interval))
	}
	b.pass(300 * time.Millisecond)
}

// TestGuestsBehind: hosts behind the adapter are reached through a switch that floods, and nothing of theirs comes back
// once they are known, also when a member dies.
func TestGuestsBehind(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup} {
		for _, nics := range []int{2, 5, 8} {
			for _, floods := range []bool{true, false} {
				t.Run(fmt.Sprintf("%v %d NICs floods %v", mode, nics, floods), func(t *testing.T) {
					b := newBench(t, mode, nics, 3, Line{})
					b.sw.Floods = floods
					var flows []*Flow
					for g := range 3 {
						s := b.team.Guest(fmt.Sprintf("guest%d", g))
						for i, p := range b.peers {
							k := FlowKey{V6: i == 1, Sport: uint16(100*g + i), Dport: 9}
							flows = append(flows, b.UDP(s, p, k, 300, 5*time.Millisecond),
								b.UDP(p, s, k, 300, 5*time.Millisecond))
						}
					}
					flows = append(flows, b.both(0, 1000, 300, 5*time.Millisecond)...)
					b.pass(3 * time.Second)
					for _, s := range b.team.local {
						s.ProbeAddress()
					}
					b.calmly(1500*time.Millisecond, flows...)
					for _, wire := range b.wires[:2] {
						restart(flows)
						wire.Set(false)
						b.pass(300 * time.Millisecond)
						for _, f := range flows {
							if f.Gap > 30*time.Millisecond || b.Now()-f.Last > 30*time.Millisecond {
								t.Errorf("%s: gap of %v", f.Name, max(f.Gap, b.Now()-f.Last))
							}
						}
						wire.Set(true)
						b.pass(2 * time.Second)
						b.calmly(time.Second, flows...)
					}
				})
			}
		}
	}
}

// TestGuestsFirstWord: the first question of a guest that nobody knows does not come back to it, and is answered soon
// once the NICs take in what is for guests.
func TestGuestsFirstWord(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup} {
		for _, floods := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v floods %v", mode, floods), func(t *testing.T) {
				b := newBench(t, mode, 4, 1, Line{})
				b.sw.Floods = floods
				for g := range 6 {
					s := b.team.Guest(fmt.Sprintf("guest%d", g))
					k := FlowKey{V6: g%2 == 1, Sport: uint16(g), Dport: 9}
					there, back := b.UDP(s, b.peers[0], k, 100, 10*time.Millisecond),
						b.UDP(b.peers[0], s, k, 100, 10*time.Millisecond)
					took, err := b.Until("guest and peer hear each other", 2*time.Second, func() bool {
						return there.Got > 0 && back.Got > 0
					})
					if err != nil {
						t.Fatal(err)
					}
					if g > 0 && took > 30*time.Millisecond {
						t.Errorf("guest %d is reached after %v", g, took)
					}
					b.pass(200 * time.Millisecond)
				}
			})
		}
	}
}

// TestGuestMovesAway: a guest that speaks from another host is not called back by a failover, and others are announced
// as before. When it is back it is announced again.
func TestGuestMovesAway(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup} {
		t.Run(mode.String(), func(t *testing.T) {
			b := newBench(t, mode, 3, 2, Line{})
			guest, stays := b.team.Guest("guest"), b.team.Guest("stays")
			says := func() { guest.out(newPacket(frame.RARP(guest.MAC, 0))); b.pass(100 * time.Millisecond) }
			stays.out(newPacket(frame.RARP(stays.MAC, 0)))
			says()
			other := b.NIC("other host")
			_, port := b.sw.Plug(other.End, Line{})
			failover := func(want bool) {
				t.Helper()
				for _, wire := range b.wires {
					wire.Set(false)
					b.pass(500 * time.Millisecond)
					for _, s := range []*Stack{guest, stays} {
						there := b.sw.table[vlanMAC{mac: s.MAC}].port == port
						if elsewhere := s == guest && want; there != elsewhere {
							t.Errorf("%s: the switch has it at the other host: %v", s.Name, there)
						}
					}
					wire.Set(true)
					b.pass(4 * time.Second)
				}
			}
			failover(false)
			for range 3 {
				b.pass(localTime)
				other.send(newPacket(frame.RARP(guest.MAC, 0)))
			}
			b.pass(100 * time.Millisecond)
			failover(true)
			says()
			failover(false)
		})
	}
}

// TestNICsThatRefuseAddresses: NICs that take in what is for their own address only, as Wi-Fi does, carry traffic of
// all peers again soon after one is lost.
func TestNICsThatRefuseAddresses(t *testing.T) {
	t.Parallel()
	for _, floods := range []bool{false, true} {
		for own := range 3 {
			t.Run(fmt.Sprintf("floods %v, from %d on", floods, own), func(t *testing.T) {
				b := newBench(t, modes.ELB, 0, 4, Line{})
				b.sw.Floods = floods
				for i := range 3 {
					n := b.NIC(fmt.Sprintf("wlan%d", i))
					n.OwnMAC, n.Hidden = i >= own, i%2 == 1
					wire, _ := b.sw.Plug(n.End, Line{})
					b.nics, b.wires = append(b.nics, n), append(b.wires, wire)
					b.team.Add(n, 0)
				}
				var flows []*Flow
				for i := range 4 {
					flows = append(flows, b.both(i, uint16(3000+i), 400, 4*time.Millisecond)...)
				}
				b.pass(3 * time.Second)
				b.calmly(time.Second, flows...)
				for n, wire := range b.wires {
					restart(flows)
					wire.Set(false)
					b.pass(500 * time.Millisecond)
					for _, f := range flows {
						if gap := max(f.Gap, b.Now()-f.Last); gap > 50*time.Millisecond {
							t.Errorf("%s cut: %s: gap of %v", b.nics[n].Name, f.Name, gap)
						}
					}
					wire.Set(true)
					b.pass(3 * time.Second)
					b.calmly(time.Second, flows...)
				}
			})
		}
	}
}

// TestForger: what somebody says in others' names moves nobody else, and does not make the team remember it.
func TestForger(t *testing.T) {
	t.Parallel()
	b := newBench(t, modes.ELB, 4, 4, Line{})
	for i := range 4 {
		b.both(i, uint16(3000+i), 400, 2*time.Millisecond)
	}
	b.pass(3 * time.Second)
	before := b.byPeer()
	evil := b.NIC("evil")
	b.sw.Plug(evil.End, Line{})
	b.pass(time.Millisecond)
	for range 2000 {
		b.Forge(evil, b.peers[b.rng.IntN(4)].IP4.Next().Next().Next().Next().Next(), evil.MAC, b.team.Stack)
		b.Forge(evil, b.peers[1].IP6, evil.MAC, b.team.Stack)
		b.pass(200 * time.Microsecond)
	}
	after := b.byPeer()
	for i := range before {
		if i != 1 && before[i] != after[i] {
			t.Errorf("%s reaches the team at %v, before the forger at %v", b.peers[i].Name, after[i], before[i])
		}
	}
	if out := b.team.peers(); len(out) > 8 {
		t.Errorf("%d peers in the table", len(out))
	}
}

// byPeer is at which MAC each peer has the team.
func (b *bench) byPeer() (macs []string) {
	for _, p := range b.peers {
		macs = append(macs, p.NeighbourMAC(b.team.Stack.IP4).String())
	}
	return macs
}

// TestForgedMember: somebody shows the switch a member's address elsewhere. The member sends nothing itself, and still
// has what is for it again within seconds.
func TestForgedMember(t *testing.T) {
	t.Parallel()
	b := newBench(t, modes.ELB, 4, 4, Line{})
	var flows []*Flow
	for _, p := range b.peers {
		flows = append(flows, b.UDP(p, b.team.Stack, FlowKey{Sport: 5000, Dport: 80}, 400, 2*time.Millisecond))
	}
	b.pass(3 * time.Second)
	evil := b.NIC("evil")
	_, port := b.sw.Plug(evil.End, Line{})
	b.pass(time.Millisecond)
	for _, p := range b.peers {
		evil.send(newPacket(frame.RARP(p.NeighbourMAC(b.team.Stack.IP4), 0)))
	}
	b.pass(100 * time.Microsecond) // the probes of the link watches soon lead the switch back
	led := 0
	for _, n := range b.nics {
		if b.sw.table[vlanMAC{mac: n.MAC}].port == port {
			led++
		}
	}
	if led == 0 {
		t.Fatal("the switch does not believe the forger")
	}
	b.pass(8 * time.Second)
	for _, f := range flows {
		if quiet := b.Now() - f.Last; quiet > 50*time.Millisecond {
			t.Errorf("%s: nothing for %v", f.Name, quiet)
		}
	}
}
