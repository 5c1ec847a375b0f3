// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes"
)

// bench is a world with one switch, a team on it and peers.
type bench struct {
	*World
	t     *testing.T
	sw    *Switch
	team  *Team
	nics  []*NIC
	wires []*Wire
	ports []*Port
	peers []*Stack
}

// newBench returns a team of some NICs and some peers that have settled. The peers' wires carry 10 Gbit/s.
func newBench(t *testing.T, mode modes.Kind, nics, peers int, l Line, change ...func(*settings.Config)) *bench {
	t.Helper()
	return newBenchThatTells(t, 0, mode, nics, peers, l, change...)
}

// newBenchThatTells is newBench with NICs that tell a speed.
func newBenchThatTells(t *testing.T, told uint64, mode modes.Kind, nics, peers int, l Line,
	change ...func(*settings.Config)) *bench {
	t.Helper()
	w := New(1)
	b := &bench{World: w, t: t, sw: w.Switch("sw")}
	c := settings.DefaultConfig()
	c.Mode = mode
	for _, f := range change {
		f(&c)
	}
	for i := range nics {
		n := w.NIC(fmt.Sprintf("eth%d", i))
		n.Speed = told
		wire, port := b.sw.Plug(n.End, l)
		if lag(mode) {
			port.Group = 1
		}
		b.nics, b.wires, b.ports = append(b.nics, n), append(b.wires, wire), append(b.ports, port)
	}
	var mac frame.MAC
	if nics > 0 {
		mac = b.nics[0].MAC
	}
	b.team = w.Team("team0", c, mac)
	for _, n := range b.nics {
		b.team.Add(n, 0)
	}
	for i := range peers {
		b.peers = append(b.peers, w.Peer(fmt.Sprintf("peer%d", i), b.sw, Line{Rate: 10e9, Queue: 1 << 20}))
	}
	b.pass(300 * time.Millisecond)
	return b
}

func lag(k modes.Kind) bool { return k == modes.XOR || k == modes.RoundRobin || k == modes.Broadcast }

func (b *bench) pass(d time.Duration) {
	b.t.Helper()
	if err := b.Run(d); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) calmly(d time.Duration, flows ...*Flow) {
	b.t.Helper()
	if err := b.Calmly(d, 50*time.Millisecond, flows...); err != nil {
		b.t.Fatal(err)
	}
}

// both begins a UDP flow each way between the team and a peer.
func (b *bench) both(peer int, port uint16, size int, interval time.Duration) []*Flow {
	k := FlowKey{V6: port%2 == 1, Sport: port, Dport: 7}
	return []*Flow{
		b.UDP(b.team.Stack, b.peers[peer], k, size, interval),
		b.UDP(b.peers[peer], b.team.Stack, k, size, interval),
	}
}

func restart(flows []*Flow) {
	for _, f := range flows {
		f.Restart()
	}
}

// TestCutAndHeal: in every mode and behind every switch that it is made for traffic goes on after a cable was cut,
// and nobody notices that it is back.
func TestCutAndHeal(t *testing.T) {
	t.Parallel()
	for _, mode := range []modes.Kind{modes.ActiveBackup, modes.ELB, modes.XOR, modes.RoundRobin, modes.Broadcast} {
		for _, floods := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v floods %v", mode, floods), func(t *testing.T) {
				b := newBench(t, mode, 3, 3, Line{})
				b.sw.Floods, b.sw.Flush = floods, false
				var flows []*Flow
				for i := range 6 {
					flows = append(flows, b.both(i%3, uint16(1000+i), 500, 2*time.Millisecond)...)
				}
				b.pass(time.Second)
				b.calmly(500*time.Millisecond, flows...)
				for n := range b.wires {
					restart(flows)
					b.wires[n].Set(false)
					b.pass(300 * time.Millisecond)
					for _, f := range flows {
						if gone := b.Now() - f.Last; gone > 10*time.Millisecond {
							t.Errorf("%s: nothing for %v", f.Name, gone)
						}
						if f.Gap > 20*time.Millisecond {
							t.Errorf("%s: gap of %v after %s was cut", f.Name, f.Gap, b.nics[n].Name)
						}
					}
					b.calmly(300*time.Millisecond, flows...)
					b.wires[n].Set(true)
					b.pass(500 * time.Millisecond)
					b.calmly(300*time.Millisecond, flows...)
				}
			})
		}
	}
}
