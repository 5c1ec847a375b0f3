// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"testing"
	"time"

	"nicteam/internal/settings"
	"nicteam/modes"
)

// TestPortsComeAndGo: members leave and join under traffic, and no frame is lost or doubled. Flows that pause for
// longer than frames may wait are not overtaken either; others go over in a pause in which a marker is answered, or at
// last by force, which may cost their order once each time.
func TestPortsComeAndGo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		pause, skew time.Duration
		burst       uint64        // frames
		close       time.Duration // between frames of a burst
		disorders   uint64
	}{
		{"pauses", 25 * time.Millisecond, 500 * time.Microsecond, 100, 140 * time.Microsecond, 0},
		{"markers", 8 * time.Millisecond, 300 * time.Millisecond, 30, 50 * time.Microsecond, 2},
		{"force", 200 * time.Microsecond, 500 * time.Microsecond, 30, 200 * time.Microsecond, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBonded(t, 4, Habits{Fast: true}, fast, func(c *settings.Config) { c.Skew = tt.skew })
			for i, w := range b.wires { // whoever goes over too soon overtakes itself
				w.Ends[0].Delay = time.Duration(5+150*i) * time.Microsecond
			}
			b.order = tt.disorders == 0
			b.plug()
			b.talk(8, tt.pause)
			for _, f := range b.flows {
				f.Burst(tt.burst, tt.close)
			}
			for i := range 2 {
				restart(b.flows)
				lost := b.calmlyLost(func() {
					left := false
					b.team.Remove(b.nics[i], func() { left = true })
					b.until("it has left", 2*time.Second, func() bool { return left })
					b.pass(300 * time.Millisecond)
				})
				lost += b.calmlyLost(func() {
					b.team.Add(b.nics[i], 0)
					id := b.team.ids[3]
					b.until("slots go over to it", 4*time.Second, func() bool { return b.team.plan.Migration() != nil })
					b.pass(150 * time.Millisecond)
					if b.team.plan.Migration() == nil || b.team.members[id].Out == 0 && tt.name != "force" {
						t.Errorf("%s has sent %d bytes before slots go over by force", b.nics[i].Name,
							b.team.members[id].Out)
					}
					b.until("it is used again", time.Second, b.whole)
					b.pass(300 * time.Millisecond)
				})
				if lost > 0 {
					t.Errorf("%d frames lost when %s left and came", lost, b.nics[i].Name)
				}
				for _, f := range b.flows {
					if f.Double > 0 || f.Disorders > tt.disorders && f.from == b.team.Stack {
						t.Errorf("%s: %d doubled, order lost %d times", f.Name, f.Double, f.Disorders)
					}
				}
			}
			if b.partner.Lost+b.team.Refused > 0 {
				t.Errorf("%d and %d frames were sent to where nobody collects", b.partner.Lost, b.team.Refused)
			}
		})
	}
}

// TestWeightsChange: slots that go from member to member because of weights cost no frame and no order.
func TestWeightsChange(t *testing.T) {
	t.Parallel()
	b := newTalking(t, 3, Habits{Fast: true}, fast)
	lost := b.calmlyLost(func() {
		for _, weight := range []float64{4, 0.5, 1} {
			if err := b.team.Set(func(c *settings.Config) { c.Members[1].Weight = weight }); err != nil {
				t.Fatal(err)
			}
			b.pass(time.Second)
		}
	})
	if lost > 0 {
		t.Errorf("%d frames lost", lost)
	}
	b.ordered()
}

// TestProcessIsReplaced: a process is killed and another one takes its place with what the first remembered: the
// partner never stops to distribute, and our ports send again at once.
func TestProcessIsReplaced(t *testing.T) {
	t.Parallel()
	for _, h := range []Habits{{}, {Fast: true}, {Coupled: true, Fast: true}, {Coupled: true}} {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			b := newTalking(t, 3, h, fast)
			for range 3 {
				flapped := false
				b.team.Restart(700*time.Millisecond, true)
				b.pass(700*time.Millisecond + 20*time.Millisecond)
				if b.team.plan.Distributing.Len() != 3 {
					t.Errorf("distributing %b after 20 ms", b.team.plan.Distributing)
				}
				_, err := b.Until("time passes", 10*time.Second, func() bool {
					flapped = flapped || b.partner.Distributing() != 3 || b.team.plan.Distributing.Len() != 3
					return flapped || b.Now()-b.team.began > 5*time.Second
				})
				if err != nil {
					t.Fatal(err)
				}
				if flapped {
					t.Errorf("the partner distributes by %d, we by %b", b.partner.Distributing(),
						b.team.plan.Distributing)
				}
				b.pass(time.Second)
				b.calmly(500*time.Millisecond, b.flows...)
			}
		})
	}
}

// TestProcessForgets: one without memory has to agree anew.
func TestProcessForgets(t *testing.T) {
	t.Parallel()
	for _, h := range habitual {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			b := newTalking(t, 3, h, fast)
			b.team.Restart(700*time.Millisecond, false)
			b.pass(720 * time.Millisecond)
			took := b.until("all is used again", 5*time.Second, b.whole)
			t.Logf("after %v", took)
			b.pass(1500 * time.Millisecond)
			b.calmly(500*time.Millisecond, b.flows...)
		})
	}
}

// TestTeamEnds: a partner is told, and stops at once.
func TestTeamEnds(t *testing.T) {
	t.Parallel()
	for _, h := range habitual {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			b := newTalking(t, 3, h, fast)
			b.team.Delete()
			b.until("the partner has stopped", 5*time.Millisecond, func() bool { return b.partner.Distributing() == 0 })
		})
	}
}

// TestModeChanges: the running team goes to another mode and back. A switch that is told stops at once.
func TestModeChanges(t *testing.T) {
	t.Parallel()
	b := newTalking(t, 2, Habits{Fast: true}, fast)
	if err := b.team.Set(func(c *settings.Config) { c.Mode = modes.XOR }); err != nil {
		t.Fatal(err)
	}
	b.until("the partner has stopped", 5*time.Millisecond, func() bool { return b.partner.Distributing() == 0 })
	if err := b.team.Set(func(c *settings.Config) { c.Mode = modes.LACP }); err != nil {
		t.Fatal(err)
	}
	b.pass(100 * time.Millisecond)
	b.until("all is used again", 4*time.Second, b.whole)
	b.pass(1500 * time.Millisecond)
	b.calmly(500*time.Millisecond, b.flows...)
}

// TestOneSends: without balancing one port sends, the others are in no group; the one that sends can be chosen.
func TestOneSends(t *testing.T) {
	t.Parallel()
	for _, h := range habitual {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			b := newBonded(t, 3, h, fast, func(c *settings.Config) { c.Balance, c.Primary = false, "eth1" })
			for _, w := range b.wires {
				w.Set(true)
			}
			b.until("the primary works", 4*time.Second, func() bool {
				return b.team.plan.Distributing == 0b010 && b.partner.Distributing() == 1
			})
			b.talk(5, 4*time.Millisecond)
			b.pass(time.Second)
			restart(b.flows)
			b.wires[1].Set(false)
			b.pass(time.Second)
			t.Logf("gap %v", b.gap())
			if g := b.gap(); g > 50*time.Millisecond {
				t.Errorf("gap of %v", g)
			}
			b.calmly(time.Second, b.flows...)
		})
	}
}

// TestBackToBack: two teams whose members are wired to each other, 2 to 8 of them.
func TestBackToBack(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3, 5, 8} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := New(7)
			b := &bonded{bench: &bench{World: w, t: t}}
			var teams [2]*Team
			var nics [2][]*NIC
			for i := range teams {
				c := settings.DefaultConfig()
				c.Mode = modes.LACP
				c.LACP.Fast = i == 0
				for k := range n {
					nic := w.NIC(fmt.Sprintf("t%deth%d", i, k))
					nic.Speed = 1e9
					nics[i] = append(nics[i], nic)
				}
				teams[i] = w.Team(fmt.Sprintf("team%d", i), c, nics[i][0].MAC)
				for _, nic := range nics[i] {
					teams[i].Add(nic, 0)
				}
			}
			for k := range n {
				b.wires = append(b.wires, w.Cable(nics[0][k].End, nics[1][k].End, Line{}))
			}
			whole := func() bool {
				return teams[0].plan.Distributing.Len() == n && teams[1].plan.Distributing.Len() == n
			}
			took := b.until("both use all", 3200*time.Millisecond, whole)
			t.Logf("after %v", took)
			for i := range uint16(8) {
				for k := range teams {
					b.flows = append(b.flows, w.UDP(teams[k].Stack, teams[1-k].Stack,
						FlowKey{V6: i%2 == 1, Sport: 1000 + i, Dport: 7}, 300, 2*time.Millisecond))
				}
			}
			b.pass(1500 * time.Millisecond)
			b.calmly(time.Second, b.flows...)
			for i := range min(n, 3) {
				restart(b.flows)
				b.wires[i].Set(false)
				b.pass(time.Second)
				if g := b.gap(); g > 40*time.Millisecond {
					t.Errorf("gap of %v", g)
				}
				b.calmly(200*time.Millisecond, b.flows...)
				b.wires[i].Set(true)
				b.until("both use all again", 4*time.Second, whole)
				b.pass(time.Second)
				b.calmly(200*time.Millisecond, b.flows...)
				b.ordered()
			}
			teams[1].Restart(500*time.Millisecond, true)
			b.pass(500*time.Millisecond + 20*time.Millisecond)
			for range 40 {
				if !whole() {
					t.Fatalf("after a restart %b and %b distribute", teams[0].plan.Distributing,
						teams[1].plan.Distributing)
				}
				b.pass(100 * time.Millisecond)
			}
			b.calmly(500*time.Millisecond, b.flows...)
		})
	}
}
