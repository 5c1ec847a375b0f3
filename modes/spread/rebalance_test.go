// SPDX-License-Identifier: MIT

package spread

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// toyFlow is a flow of a toy network: it takes what its member has for it.
type toyFlow struct {
	slot  int
	wants float64 // Mbit/s, 0 all it can get
	on    func(second int) bool
}

// toyNet is a closed loop of a Rebalancer and flows that share their member evenly.
type toyNet struct {
	pl      *Plan
	f       FlowTable
	e       Rebalancer
	flows   []toyFlow
	noise   float64 // how far a flow's part of a second is from its fair one
	rand    *rand.Rand
	carried [MaxMembers]float64 // Mbit/s, in the last second
	moves   []Move
	second  int
}

// newToyNet puts flow i on member at[i].
func newToyNet(mbps []int, flows []toyFlow, at func(i int) int) *toyNet {
	n := &toyNet{pl: shortestPlan(mbps...), flows: flows, rand: rand.New(rand.NewPCG(1, 2))}
	for id, r := range mbps {
		n.f.Members[id].Rate = uint64(r) * 1e6
	}
	for i := range n.flows {
		n.flows[i].slot = i * 37
		n.f.Slots[i*37] = FlowSlot{Until: 1, Member: uint8(at(i))}
	}
	n.f.Now = 1
	n.e.Moves(&n.f, n.pl)
	return n
}

func greedy(n int) []toyFlow { return make([]toyFlow, n) }

// step goes on by a second, and returns what was moved at its end.
func (n *toyNet) step() []Move {
	n.carried = [MaxMembers]float64{}
	for id := range n.f.Members {
		var mine []toyFlow
		for _, f := range n.flows {
			if int(n.f.Slots[f.slot].Member) == id && (f.on == nil || f.on(n.second)) {
				mine = append(mine, f)
			}
		}
		left := float64(n.f.Members[id].Rate) / 1e6
		for len(mine) > 0 {
			// Those that want less than an even part get it; the rest is for the others.
			part, rest := left/float64(len(mine)), mine[:0:0]
			for _, f := range mine {
				if f.wants > 0 && f.wants <= part {
					n.carry(f, id, f.wants)
					left -= f.wants
				} else {
					rest = append(rest, f)
				}
			}
			if len(rest) == len(mine) {
				for _, f := range mine {
					n.carry(f, id, part)
				}
				break
			}
			mine = rest
		}
	}
	n.second++
	n.f.Now += int64(time.Second)
	moves := n.e.Moves(&n.f, n.pl)
	for _, m := range moves {
		n.f.Slots[m.Slot].Member = m.To
	}
	n.moves = append(n.moves, moves...)
	return moves
}

func (n *toyNet) carry(f toyFlow, id int, mbps float64) {
	mbps *= 1 + n.noise*(n.rand.Float64()*2-1)
	n.f.Slots[f.slot].Bytes += uint64(mbps * 1e6 / 8)
	n.carried[id] += mbps
}

// busiest is what the busiest member carries against the mean, by rate; sum is in Mbit/s.
func (n *toyNet) busiest() (ratio, sum float64) {
	var most, all, rates float64
	for set := n.pl.Distributing; set != 0; set = set.Without(set.First()) {
		id := set.First()
		r := float64(n.f.Members[id].Rate) / 1e6
		most = max(most, n.carried[id]/r)
		all += n.carried[id]
		rates += r
	}
	return most * rates / all, all
}

func (n *toyNet) steps(count int) {
	for range count {
		n.step()
	}
}

// After three measurements the members are even, and that took few moves.
func TestEveningFills(t *testing.T) {
	for _, c := range []struct {
		name  string
		mbps  []int
		flows []toyFlow
		at    func(i int) int
		sum   float64
		moves int
	}{
		{"8 on 2 of 4", []int{200, 200, 200, 200}, greedy(8), func(i int) int { return i % 2 }, 800, 6},
		{"8 on 1 of 4", []int{200, 200, 200, 200}, greedy(8), func(int) int { return 3 }, 800, 6},
		{"4,3,1,0", []int{200, 200, 200, 200}, greedy(8), func(i int) int {
			return []int{0, 0, 0, 0, 1, 1, 1, 2}[i]
		}, 800, 6},
		{"12 on the slow one", []int{100, 500}, greedy(12), func(int) int { return 0 }, 600, 11},
		{"12 on the fast one", []int{100, 500}, greedy(12), func(int) int { return 1 }, 600, 4},
		{"one on the slow one", []int{100, 500}, greedy(1), func(int) int { return 0 }, 500, 1},
		{"8 that want 50 on 2 of 4", []int{200, 200, 200, 200}, wanting(8, 50), func(i int) int {
			return i % 2
		}, 400, 4},
		{"200 that want 3 on 1 of 3", []int{500, 500, 500}, wanting(200, 2), func(int) int { return 0 }, 400, 140},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newToyNet(c.mbps, c.flows, c.at)
			n.noise = 0.02
			n.steps(3)
			ratio, sum := n.busiest()
			if sum < 0.97*c.sum || ratio > 1.05 && len(c.flows) > 1 {
				t.Errorf("after 3 s: busiest %.3f × mean, sum %.0f of %.0f, carried %.0f", ratio, sum, c.sum,
					n.carried[:len(c.mbps)])
			}
			n.steps(20)
			if ratio, sum := n.busiest(); sum < 0.97*c.sum || ratio > 1.05 && len(c.flows) > 1 ||
				len(n.moves) > c.moves {
				t.Errorf("after 23 s: busiest %.3f × mean, sum %.0f of %.0f, %d moves", ratio, sum, c.sum, len(n.moves))
			}
		})
	}
}

func wanting(n int, mbps float64) []toyFlow {
	f := make([]toyFlow, n)
	for i := range f {
		f[i].wants = mbps
	}
	return f
}

// Where nothing can be won nothing moves.
func TestEveningRests(t *testing.T) {
	for _, c := range []struct {
		name  string
		mbps  []int
		flows []toyFlow
		at    func(i int) int
		noise float64
	}{
		{"all are full", []int{200, 200, 200, 200}, greedy(64), func(i int) int { return i % 4 }, 0.2},
		{"all are full, unevenly", []int{200, 200}, greedy(9), func(i int) int { return min(i, 1) }, 0.02},
		{"one elephant", []int{200, 200, 200}, greedy(1), func(int) int { return 0 }, 0.1},
		{"one on each of two of three", []int{200, 200, 200}, greedy(2), func(i int) int { return i }, 0.1},
		{"one on the fast one", []int{100, 500}, greedy(1), func(int) int { return 1 }, 0.1},
		{"one on each, and the slow one could be left", []int{100, 500}, greedy(2), func(i int) int { return i }, 0.02},
		{"hardly anything", []int{1000, 1000}, wanting(10, 10), func(int) int { return 0 }, 0.1},
		{"one member", []int{1000}, greedy(10), func(int) int { return 0 }, 0.1},
		{"a move would win 4 %", []int{100, 100}, []toyFlow{{wants: 45}, {wants: 45}, {wants: 44}}, func(i int) int {
			return i / 2
		}, 0},
		{"nearly even", []int{200, 200}, wanting(20, 15), func(i int) int { return i % 2 }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newToyNet(c.mbps, c.flows, c.at)
			n.noise = c.noise
			for range 30 {
				if m := n.step(); len(m) > 0 {
					t.Fatalf("second %d: %v, carried %.0f", n.second, m, n.carried[:len(c.mbps)])
				}
			}
		})
	}
}

// Greedy flows, as many as members or more, fill equal members within three measurements, wherever they begin; what is
// full is then left alone.
func TestEveningFillsFromAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.IntRange(2, 6).Draw(t, "members")
		at := rapid.SliceOfN(rapid.IntRange(0, members-1), 2*members, 40).Draw(t, "at")
		mbps := make([]int, members)
		for i := range mbps {
			mbps[i] = 200
		}
		n := newToyNet(mbps, greedy(len(at)), func(i int) int { return at[i] })
		n.steps(4)
		if ratio, sum := n.busiest(); ratio > 1.001 || sum < 199.9*float64(members) {
			t.Fatalf("busiest %.3f × mean, carried %.0f", ratio, n.carried[:members])
		}
		n.moves = nil
		n.steps(30)
		if ratio, _ := n.busiest(); ratio > 1.001 || len(n.moves) > 0 {
			t.Fatalf("later busiest %.3f × mean, moves %v", ratio, n.moves)
		}
	})
}

// Flows that come and go do not flap: no slot is moved more than once in its rest, and few are at all.
func TestEveningDoesNotFlap(t *testing.T) {
	for _, period := range []int{1, 2, 5} {
		flows := wanting(16, 40)
		for i := range flows {
			flows[i].on = func(second int) bool { return (second/period+i)%2 == 0 }
		}
		n := newToyNet([]int{200, 200, 200}, flows, func(i int) int { return i * i % 3 })
		n.noise = 0.1
		last := map[uint16]int{}
		for range 60 {
			for _, m := range n.step() {
				if was, ok := last[m.Slot]; ok && n.second-was < minHold {
					t.Errorf("period %d: slot %d moved after %d s", period, m.Slot, n.second-was)
				}
				last[m.Slot] = n.second
			}
		}
		t.Logf("period %d: %d moves in 60 s", period, len(n.moves))
		if len(n.moves) > 30 {
			t.Errorf("period %d: %d moves in 60 s", period, len(n.moves))
		}
	}
}

// What is of no slot counts too: a member that carries a lot for MACs behind the adapter is relieved of flows.
func TestEveningSeesWhatIsFixed(t *testing.T) {
	n := newToyNet([]int{200, 200}, wanting(8, 10), func(i int) int { return i % 2 })
	for range 3 {
		n.f.Members[0].Fixed += 60e6 / 8
		n.step()
	}
	if n.carried[0] > 21 || n.carried[1] < 59 {
		t.Errorf("carried %.0f besides 60", n.carried[:2])
	}
}

// Members that are full are even, whatever more they were given.
func TestEveningOfFullMembers(t *testing.T) {
	n := newToyNet([]int{200, 200}, greedy(20), func(i int) int { return i / 15 })
	for range 5 {
		n.f.Now += int64(time.Second)
		for _, f := range n.flows {
			n.f.Slots[f.slot].Bytes += 40e6 / 8
		}
		if m := n.e.Moves(&n.f, n.pl); len(m) > 0 {
			t.Errorf("3 and 1 times as much as they carry: %v", m)
		}
	}
}

// Another data path begins with an empty table, and a table is not looked at twice.
func TestEveningOfAnotherTable(t *testing.T) {
	n := newToyNet([]int{200, 200}, greedy(8), func(int) int { return 0 })
	n.step()
	if m := n.e.Moves(&n.f, n.pl); len(m) > 0 {
		t.Errorf("the same table again: %v", m)
	}
	n.f = FlowTable{Now: 5}
	if m := n.e.Moves(&n.f, n.pl); len(m) > 0 {
		t.Errorf("an empty table: %v", m)
	}
}
