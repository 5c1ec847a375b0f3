// SPDX-License-Identifier: MIT

package sim

import (
	"testing"
	"time"

	"nicteam/modes"
	"nicteam/modes/spread"
)

// byNIC says how many flows that the team sends leave by a NIC, and how many peers send to it.
func (b *bench) byNIC(n int, flows []*Flow) (out, in int) {
	for _, f := range flows {
		if f.from == b.team.Stack && b.memberOf(f) == b.team.ids[n] {
			out++
		}
	}
	return out, b.homes()[b.nics[n].MAC]
}

// memberOf returns the member by which a flow that the team sends left last.
func (b *bench) memberOf(f *Flow) int {
	slot := b.team.plan.Hash.Of(&f.there.h, f.there.b[:f.there.n]) % spread.FlowCount
	return int(b.team.picker.Flows().Slots[slot].Member)
}

// thinking begins flows that say something now and then: each time they go to the member with the shortest queue.
func (b *bench) thinking(n int) (flows []*Flow) {
	for i := range n {
		k := FlowKey{V6: i%2 == 1, Sport: uint16(10000 + i), Dport: 7}
		flows = append(flows, b.UDP(b.team.Stack, b.peers[i%len(b.peers)], k, 200, 1100*time.Millisecond))
	}
	return flows
}

// TestReturnIsGradual: a NIC that comes back gets few flows and peers at first, all of its share some seconds later.
// Nothing is lost, doubled or overtaken meanwhile.
func TestReturnIsGradual(t *testing.T) {
	t.Parallel()
	b := newBench(t, modes.ELB, 3, 30, Line{Rate: 1e9})
	flows := b.thinking(300)
	for i := range b.peers {
		flows = append(flows, b.UDP(b.peers[i], b.team.Stack, FlowKey{Sport: uint16(i), Dport: 9}, 200,
			10*time.Millisecond))
	}
	b.pass(5 * time.Second)
	out, in := b.byNIC(1, flows)
	if out < 80 || in < 9 {
		t.Fatalf("before: %d flows, %d peers", out, in)
	}
	b.wires[1].Set(false)
	b.pass(3 * time.Second)
	pause(b, flows)
	restart(flows)
	b.wires[1].Set(true)
	resume(b, flows)
	var outs, ins []int
	for range 14 {
		out, in := b.byNIC(1, flows)
		outs, ins = append(outs, out), append(ins, in)
		b.pass(500 * time.Millisecond)
	}
	t.Logf("flows each half second: %v, peers %v", outs, ins)
	if outs[0] > 20 || ins[0] > 1 || outs[4] > 60 || ins[4] > 7 {
		t.Error("that is not gradual")
	}
	if outs[13] < 80 || ins[13] < 9 {
		t.Error("it does not get its share")
	}
	for i := 1; i < len(ins); i++ {
		if ins[i] < ins[i-1] || ins[i] > ins[i-1]+2 {
			t.Errorf("from %d to %d peers within half a second", ins[i-1], ins[i])
		}
	}
	pause(b, flows)
	for _, f := range flows {
		if f.Got != f.Sent || f.Double > 0 || f.Reordered > 0 {
			t.Errorf("%s: %d sent, %d arrived, %d doubled, %d overtaken", f.Name, f.Sent, f.Got, f.Double, f.Reordered)
		}
	}
}

// TestFlapsHurtTheirOwn: a NIC that fails and comes back ten times a minute takes from the flows that it carries at
// that moment, and from no others.
func TestFlapsHurtTheirOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t, modes.ELB, 3, 12, Line{Rate: 1e9})
	flows := b.thinking(120)
	for i := range b.peers {
		flows = append(flows, b.both(i, uint16(3000+i), 400, 3*time.Millisecond)...)
	}
	b.pass(5 * time.Second)
	hurt := 0
	for n := range 10 {
		own := map[*Flow]bool{}
		note := func() {
			for _, f := range flows {
				if f.from == b.team.Stack {
					own[f] = own[f] || b.memberOf(f) == b.team.ids[1]
				} else {
					own[f] = own[f] || f.from.NeighbourMAC(f.to.Address(f.Key.V6)) == b.nics[1].MAC
				}
			}
		}
		for _, up := range []bool{false, true} {
			pause(b, flows)
			restart(flows)
			resume(b, flows)
			note()
			b.wires[1].Set(up)
			b.pass(carrierDelay)
			note() // until then flows may go there
			b.pass(2600*time.Millisecond - carrierDelay)
			pause(b, flows)
			for _, f := range flows {
				lost := f.Sent - f.Got
				if lost > 0 && !up && own[f] {
					hurt++
					continue
				}
				if lost > 0 || f.Double > 0 || f.Reordered > 0 {
					t.Errorf("flap %d, up %v: %s: %d lost of %d, %d doubled, %d overtaken", n, up, f.Name, lost, f.Sent,
						f.Double, f.Reordered)
				}
			}
		}
	}
	t.Logf("%d times a flow lost something", hurt)
}
