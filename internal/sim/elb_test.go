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

// loads are the bytes that each member sends in a time.
func (b *bench) loads(d time.Duration) (out []float64, sum, most float64) {
	b.t.Helper()
	was := map[int]uint64{}
	for _, id := range b.team.ids {
		was[id] = b.team.members[id].Out
	}
	b.pass(d)
	for _, id := range b.team.ids {
		bps := float64(b.team.members[id].Out-was[id]) * 8 / d.Seconds()
		out = append(out, bps)
		sum += bps
		most = max(most, bps)
	}
	return out, sum, most
}

// unit is the rate of a NIC that long flows fill: in a short run a slower one, since each frame costs.
func unit() uint64 {
	if testing.Short() {
		return 20e6
	}
	return 200e6
}

func goodput(flows []*Flow, d time.Duration, b *bench) float64 {
	b.t.Helper()
	var was uint64
	for _, f := range flows {
		was += f.Bytes
	}
	b.pass(d)
	sum := -float64(was)
	for _, f := range flows {
		sum += float64(f.Bytes)
	}
	return sum * 8 / d.Seconds()
}

// TestElephants: long flows fill NICs of which nobody tells the speed, each as much as the others.
func TestElephants(t *testing.T) {
	t.Parallel()
	speeds := []uint64{0, 10e6, unit(), 10e9}
	for _, told := range speeds {
		t.Run(fmt.Sprintf("told %d Mbit", told/1e6), func(t *testing.T) {
			b := newBenchThatTells(t, told, modes.ELB, 4, 1, Line{Rate: unit()})
			var flows []*Flow
			for i := range 8 {
				flows = append(flows, b.TCP(b.team.Stack, b.peers[0], FlowKey{Sport: uint16(40000 + 2*i), Dport: 5201},
					0))
			}
			b.pass(3 * time.Second)
			restart(flows)
			each, sum, most := b.loads(2 * time.Second)
			all := 4 * float64(unit())
			t.Logf("%.0f Mbit/s, sum %.3f, busiest %.3f, %d forced moves", mbit(each), sum/all, most/(sum/4),
				b.team.forced())
			if sum < 0.95*all {
				t.Errorf("sum is %.3f of what the NICs carry", sum/all)
			}
			if most > 1.05*sum/4 {
				t.Errorf("busiest carries %.3f of the mean", most/(sum/4))
			}
		})
	}
}

func mbit(bps []float64) (out []float64) {
	for _, v := range bps {
		out = append(out, v/1e6)
	}
	return out
}

// TestUnequalNICs: twelve flows over two NICs of which one carries five times as much.
func TestUnequalNICs(t *testing.T) {
	t.Parallel()
	b := newBench(t, modes.ELB, 2, 1, Line{Rate: 5 * unit() / 2})
	b.wires[0].Ends[0].Rate, b.wires[0].Ends[1].Rate = unit()/2, unit()/2
	for i := range 12 {
		b.TCP(b.team.Stack, b.peers[0], FlowKey{Sport: uint16(40000 + 2*i), Dport: 5201}, 0)
	}
	b.pass(3 * time.Second)
	each, sum, _ := b.loads(2 * time.Second)
	t.Logf("%.0f Mbit/s, %.3f of both, %d forced moves", mbit(each), sum/(3*float64(unit())), b.team.forced())
	if sum < 0.93*3*float64(unit()) {
		t.Errorf("both together carry %.3f of what they can", sum/(3*float64(unit())))
	}
}

// TestChangingLoad: 64 flows whose rates change lose nothing, double nothing, and keep their order but for moves by
// order. Where NICs are full now and then, what is lost is only told, and order is lost once a second at most.
func TestChangingLoad(t *testing.T) {
	t.Parallel()
	for _, rate := range []uint64{100e6, 1e9} {
		t.Run(fmt.Sprintf("%d Mbit", rate/1e6), func(t *testing.T) {
			b := newBench(t, modes.ELB, 3, 4, Line{Rate: rate})
			b.order = false // counted instead
			var flows []*Flow
			for i := range 64 {
				k := FlowKey{V6: i%3 == 0, Sport: uint16(5000 + i), Dport: 9}
				flows = append(flows, b.UDP(b.team.Stack, b.peers[i%4], k, 100+20*i, 3200*time.Microsecond))
			}
			b.pass(time.Second)
			pause(b, flows)
			restart(flows)
			resume(b, flows)
			seconds := 60
			if testing.Short() {
				seconds = 4
			}
			for range seconds {
				for _, f := range flows {
					f.Pace(b.between(500*time.Microsecond, 6*time.Millisecond))
				}
				b.pass(time.Second)
			}
			pause(b, flows)
			var sent, got, doubled, reordered, disorders uint64
			for _, f := range flows {
				sent, got, doubled, reordered, disorders = sent+f.Sent, got+f.Got, doubled+f.Double,
					reordered+f.Reordered, disorders+f.Disorders
			}
			used := map[uint8]bool{}
			for _, s := range b.team.picker.Flows().Slots {
				if s.Until != 0 {
					used[s.Member] = true
				}
			}
			forced := b.team.forced()
			t.Logf("%d frames, %d lost, %d doubled, %d reordered at %d times, %d forced moves", sent, sent-got, doubled,
				reordered, disorders, forced)
			allowed := forced
			if rate < 300e6 {
				allowed += uint64(seconds) // what stands in a full queue is measured
			}
			if got != sent && rate > 300e6 || doubled != 0 || disorders > allowed || len(used) != 3 {
				t.Errorf("%d of %d frames arrived, %d doubled, %d times reordered by %d forced moves, %d NICs used",
					got, sent, doubled, disorders, forced, len(used))
			}
		})
	}
}

// TestReceivingFromEight: peers that all send fill all NICs.
func TestReceivingFromEight(t *testing.T) {
	t.Parallel()
	for _, v6 := range []bool{false, true} {
		t.Run(fmt.Sprintf("IPv6 %v", v6), func(t *testing.T) {
			b := newBench(t, modes.ELB, 4, 8, Line{Rate: unit()})
			var flows []*Flow
			for i, p := range b.peers {
				flows = append(flows, b.TCP(p, b.team.Stack, FlowKey{V6: v6, Sport: uint16(40000 + 2*i), Dport: 5201},
					0))
			}
			b.pass(5 * time.Second)
			got := goodput(flows, 2*time.Second, b)
			t.Logf("%.3f of four NICs", got/(4*float64(unit())))
			if got < 0.9*4*float64(unit()) {
				t.Errorf("eight peers fill %.3f of four NICs", got/(4*float64(unit())))
			}
		})
	}
}

// TestElbTakesOver: a team that changes to elb under traffic spreads what peers send that have known it for long, and
// loses nothing; nor when it changes back.
func TestElbTakesOver(t *testing.T) {
	t.Parallel()
	b := newBench(t, modes.ActiveBackup, 4, 8, Line{Rate: 1e9})
	var flows []*Flow
	for i := range 16 {
		flows = append(flows, b.both(i%8, uint16(4000+i+i/8), 400, 3*time.Millisecond)...)
	}
	b.pass(2 * time.Second)
	for _, mode := range []modes.Kind{modes.ELB, modes.ActiveBackup, modes.ELB} {
		pause(b, flows)
		restart(flows)
		resume(b, flows)
		if err := b.team.Set(func(c *settings.Config) { c.Mode = mode }); err != nil {
			t.Fatal(err)
		}
		b.pass(5 * time.Second)
		pause(b, flows)
		for _, f := range flows {
			if f.Got != f.Sent || f.Double > 0 {
				t.Errorf("to %v: %s: %d sent, %d arrived, %d doubled", mode, f.Name, f.Sent, f.Got, f.Double)
			}
		}
		want := 1
		if mode == modes.ELB {
			want = 4
		}
		if is := b.homes(); len(is) != want {
			t.Errorf("in %v peers reach the team at %v", mode, is)
		}
	}
}

// homes says by which member each peer reaches the team.
func (b *bench) homes() map[frame.MAC]int {
	n := map[frame.MAC]int{}
	for _, p := range b.peers {
		n[p.NeighbourMAC(b.team.Stack.IP4)]++
	}
	return n
}

// TestSpreadComesBack: our own broadcast tells all peers one address; soon each has its own again.
func TestSpreadComesBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, modes.ELB, 4, 8, Line{Rate: 200e6})
	for i, p := range b.peers {
		k := FlowKey{Sport: uint16(4000 + i), Dport: 9}
		b.UDP(p, b.team.Stack, k, 1000, 2*time.Millisecond)
		b.UDP(b.team.Stack, p, k, 100, 20*time.Millisecond)
	}
	b.pass(5 * time.Second)
	before := b.homes()
	stranger := b.Peer("stranger", b.sw, Line{})
	b.UDP(b.team.Stack, stranger, FlowKey{Sport: 1, Dport: 2}, 100, 50*time.Millisecond)
	_, err := b.Until("the broadcast has told all peers one address", time.Second, func() bool {
		return len(b.homes()) == 1
	})
	if err != nil {
		t.Fatal(err)
	}
	took, err := b.Until("every peer has its own address again", time.Second, func() bool {
		return len(b.homes()) == len(before)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v before, back after %v", before, took)
	if took > 100*time.Millisecond {
		t.Errorf("the spread is back after %v", took)
	}
}

// TestMemberThatReceivesDies: what a peer sends comes again as soon as the control loop knows of it, though the peer
// has learnt nothing.
func TestMemberThatReceivesDies(t *testing.T) {
	t.Parallel()
	for _, sort := range []Switch{{Name: "flushes", Flush: true}, {Name: "keeps"}, {Name: "floods", Floods: true}} {
		t.Run(sort.Name, func(t *testing.T) {
			b := newBench(t, modes.ELB, 4, 4, Line{Rate: 1e9})
			b.sw.Floods, b.sw.Flush = sort.Floods, sort.Flush
			var flows []*Flow
			for i, p := range b.peers {
				k := FlowKey{Sport: uint16(4000 + i), Dport: 9}
				flows = append(flows, b.UDP(p, b.team.Stack, k, 200, 200*time.Microsecond))
				b.UDP(b.team.Stack, p, k, 100, 20*time.Millisecond)
			}
			b.pass(3 * time.Second)
			for n, wire := range b.wires {
				told := b.team.members[b.team.ids[n]]
				restart(flows)
				begin := b.Now()
				wire.Set(false)
				known, err := b.Until("the loop knows of the cut", 20*time.Millisecond, func() bool {
					return !told.toldUp
				})
				if err != nil {
					t.Fatal(err)
				}
				b.pass(100 * time.Millisecond)
				for _, f := range flows {
					if f.Gap > known+time.Millisecond {
						t.Errorf("%s cut at %v: %s had a gap of %v, the loop knew after %v", b.nics[n].Name,
							begin, f.Name, f.Gap, known)
					}
				}
				wire.Set(true)
				b.pass(time.Second)
			}
		})
	}
}

// TestTwoBalancingHosts: two hosts in elb that talk to each other do not stir each other up.
func TestTwoBalancingHosts(t *testing.T) {
	t.Parallel()
	b := newBench(t, modes.ELB, 3, 2, Line{Rate: 1e9})
	other := b.other(3, Line{Rate: 1e9})
	k := FlowKey{Sport: 5000, Dport: 9}
	b.UDP(b.team.Stack, other.Stack, k, 500, time.Millisecond)
	b.UDP(other.Stack, b.team.Stack, k, 500, time.Millisecond)
	k.V6 = true
	b.UDP(b.team.Stack, other.Stack, k, 500, time.Millisecond)
	b.UDP(other.Stack, b.team.Stack, k, 500, time.Millisecond)
	for _, p := range b.peers {
		b.UDP(p, other.Stack, k, 500, 3*time.Millisecond)
		b.UDP(b.team.Stack, p, k, 500, 3*time.Millisecond)
	}
	b.pass(5 * time.Second)
	was := b.team.Steers + other.Steers
	asked := b.team.Stack.Asked + other.Stack.Asked
	b.pass(20 * time.Second)
	told := b.team.Steers + other.Steers - was
	asked = b.team.Stack.Asked + other.Stack.Asked - asked
	t.Logf("in 20 s %d ARP and ND frames of the loops, the stacks have asked %d times", told, asked)
	// What a stack asks by itself the loop passes on, and an answer is due to who asks.
	if told > 4*asked+8 {
		t.Errorf("two balancing hosts send each other %d ARP and ND frames in 20 s", told)
	}
}

// other adds a second team in elb to the switch.
func (b *bench) other(nics int, l Line) *Team {
	c := settings.DefaultConfig()
	c.Mode = modes.ELB
	t := b.Team("team1", c, 0)
	for i := range nics {
		n := b.NIC(fmt.Sprintf("other%d", i))
		b.sw.Plug(n.End, l)
		t.Add(n, 0)
	}
	return t
}
