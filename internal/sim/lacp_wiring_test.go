// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nicteam/internal/settings"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

// newSplit returns a team with some NICs on each of two switches that know nothing of each other's LACP.
func newSplit(t *testing.T, each int, h Habits, change ...func(*settings.Config)) (b *bonded, other *Partner) {
	t.Helper()
	b = newBonded(t, each, h, change...)
	second := b.Switch("sw2")
	other = second.Partner(h)
	b.Cable(b.sw.Port().End, second.Port().End, Line{Rate: 40e9, Queue: 4 << 20})
	for i := range each {
		b.nic(fmt.Sprintf("eth%d", each+i), second, other).Set(false)
		b.team.Add(b.nics[each+i], 0)
	}
	b.peers = append(b.peers, b.Peer("far", second, Line{Rate: 10e9, Queue: 1 << 20}))
	for _, w := range b.wires {
		w.Set(true)
	}
	b.until("one switch is used", 5*time.Second, func() bool {
		return b.team.plan.Distributing.Len() == each && b.partner.Distributing()+other.Distributing() == each
	})
	return b, other
}

// TestTwoSwitches: cables that go to two partners. Only one of them is used, and the status says so.
func TestTwoSwitches(t *testing.T) {
	t.Parallel()
	for _, h := range habitual {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			b, other := newSplit(t, 2, h, fast)
			b.talk(5, 4*time.Millisecond)
			b.pass(15 * time.Second)
			b.calmly(2*time.Second, b.flows...)
			b.ordered()
			if mine, others := b.partner.Distributing(), other.Distributing(); mine+others != 2 || mine*others != 0 {
				t.Errorf("%d and %d ports distribute", mine, others)
			}
			b.warned("two different systems")
		})
	}
}

// TestChangeOver: the switch that is used goes away, by its carriers, and the other one takes over at once.
func TestChangeOver(t *testing.T) {
	t.Parallel()
	for _, h := range habitual {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			b, _ := newSplit(t, 2, h, fast)
			b.talk(5, 4*time.Millisecond)
			for range 3 {
				restart(b.flows)
				used := b.team.plan.Distributing
				for id := range 4 {
					if used.Has(id) {
						b.wires[id].Set(false)
					}
				}
				b.pass(2 * time.Second)
				t.Logf("gap %v", b.gap())
				if g := b.gap(); g > 50*time.Millisecond {
					t.Errorf("gap of %v", g)
				}
				if b.team.plan.Distributing.Len() != 2 || b.team.plan.Distributing&used != 0 {
					t.Errorf("distributing %b after %b", b.team.plan.Distributing, used)
				}
				b.calmly(time.Second, b.flows...)
				// Stable: nobody goes back.
				for _, w := range b.wires {
					w.Set(true)
				}
				restart(b.flows)
				lost := b.calmlyLost(func() { b.pass(6 * time.Second) })
				if b.team.plan.Distributing&used != 0 {
					t.Errorf("went back to %b", b.team.plan.Distributing)
				}
				if lost > 0 {
					t.Errorf("%d frames lost when the first switch was back", lost)
				}
				b.ordered()
			}
		})
	}
}

// TestBetterSwitch: a working aggregator is left for a better one only when that is ready.
func TestBetterSwitch(t *testing.T) {
	t.Parallel()
	for _, h := range habitual {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			b, _ := newSplit(t, 3, h, fast, func(c *settings.Config) { c.LACP.Select = lacp.Count })
			b.talk(5, 4*time.Millisecond)
			used := b.team.plan.Distributing
			restart(b.flows)
			b.wires[used.First()].Set(false)
			b.until("the other switch is used", 5*time.Second, func() bool {
				return b.team.plan.Distributing.Len() == 3 && b.team.plan.Distributing&used == 0
			})
			b.pass(2 * time.Second)
			t.Logf("gap %v", b.gap())
			if g := b.gap(); g > 50*time.Millisecond {
				t.Errorf("gap of %v", g)
			}
			b.calmly(time.Second, b.flows...)
		})
	}
}

// TestNothingIsLostWhenABetterSwitchTakesOver: an aggregator that works is left for one that has become better, without
// a frame lost or doubled.
func TestNothingIsLostWhenABetterSwitchTakesOver(t *testing.T) {
	t.Parallel()
	for _, h := range habitual {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			b, _ := newSplit(t, 3, h, fast, func(c *settings.Config) { c.LACP.Select = lacp.Bandwidth })
			b.talk(8, 4*time.Millisecond)
			for _, f := range b.flows {
				f.Pace(300 * time.Microsecond)
			}
			b.pass(10 * time.Millisecond)
			restart(b.flows)
			used := b.team.plan.Distributing
			b.order = false // the ways by the two switches differ
			lost := b.calmlyLost(func() {
				b.team.Remove(b.nics[used.First()], nil) // two remain there, and three are better
				b.until("the other switch is used", 5*time.Second, func() bool {
					return b.team.plan.Distributing.Len() == 3 && b.team.plan.Distributing&used == 0
				})
				b.pass(time.Second)
			})
			most := uint64(0)
			if h.Coupled {
				most = 16 // it says that it collects before it has heard that we are in sync, and does then
			}
			if lost > most || b.gap() > 5*time.Millisecond {
				t.Errorf("%d frames lost, gap %v", lost, b.gap())
			}
			for _, f := range b.flows {
				if f.Double > 0 {
					t.Errorf("%s: %d doubled", f.Name, f.Double)
				}
			}
		})
	}
}

// TestLoopBack: a cable between two NICs of the team is reported and not used, and does no harm.
func TestLoopBack(t *testing.T) {
	t.Parallel()
	for _, fallback := range []bool{true, false} {
		t.Run(fmt.Sprintf("fallback %v", fallback), func(t *testing.T) {
			b := newBonded(t, 2, Habits{Fast: true}, fast, func(c *settings.Config) { c.LACP.Fallback = fallback })
			ends := []*NIC{b.NIC("eth2"), b.NIC("eth3")}
			for _, n := range ends {
				n.Speed = 1e9
				b.team.Add(n, 0)
			}
			b.Cable(ends[0].End, ends[1].End, Line{})
			for _, w := range b.wires {
				w.Set(true)
			}
			two := spread.MemberSet(0b0011)
			b.until("the others are used", 4*time.Second, func() bool {
				return b.team.plan.Distributing == two && b.partner.Distributing() == 2
			})
			b.talk(5, 4*time.Millisecond)
			b.pass(5 * time.Second)
			b.calmly(3*time.Second, b.flows...)
			b.ordered()
			if b.team.plan.Distributing != two {
				t.Errorf("distributing %b", b.team.plan.Distributing)
			}
			found := false
			for _, w := range b.team.Status().Warnings {
				found = found || strings.Contains(w, "eth2") && strings.Contains(w, "loop")
			}
			if !found {
				t.Errorf("no warning of the loop: %q", b.team.Status().Warnings)
			}
		})
	}
}

// TestSpeedsDiffer: NICs of two speeds make two aggregators of which one is used: the faster one, unless the partner
// insists on the other.
func TestSpeedsDiffer(t *testing.T) {
	t.Parallel()
	for _, h := range habitual {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			b := newBonded(t, 2, h, fast)
			for i := range 2 {
				b.nic(fmt.Sprintf("eth%d", 2+i), b.sw, nil).Set(false)
				b.nics[2+i].Speed, b.ports[2+i].Rate, b.nics[2+i].Rate = 10e9, 10e9, 10e9
				b.partner.Join(b.ports[2+i])
				b.team.Add(b.nics[2+i], 0)
			}
			for _, w := range b.wires {
				w.Set(true)
			}
			took := b.until("one aggregator is used", 8*time.Second, func() bool {
				d := b.team.plan.Distributing
				return b.partner.Distributing() == 2 && (d == 0b1100 || h.Coupled && d == 0b0011)
			})
			t.Logf("%b after %v", b.team.plan.Distributing, took)
			b.talk(5, 4*time.Millisecond)
			b.pass(10 * time.Second)
			b.calmly(2*time.Second, b.flows...)
			b.warned("speed")
		})
	}
}
