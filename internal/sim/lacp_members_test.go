package sim

import (
	"fmt"
	"testing"
	"time"

	"nicteam/modes"
	"nicteam/team"
)

// TestPortsComeAndGo: members leave and join under traffic, and no frame is lost or doubled. Flows that pause, be it for as
// long as a marker takes to be answered, are not overtaken either; others are, once each time.
func TestPortsComeAndGo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		interval time.Duration
		pauses   bool
	}{{2 * time.Millisecond, true}, {450 * time.Microsecond, true}, {100 * time.Microsecond, false}} {
		t.Run(fmt.Sprint(tt.interval), func(t *testing.T) {
			b := newBonded(t, 4, Habits{Fast: true}, fast)
			for i, w := range b.wires { // whoever goes over too soon overtakes itself
				w.Ends[0].Delay = time.Duration(5+60*i) * time.Microsecond
			}
			b.order = tt.pauses
			b.plug()
			b.talk(8, tt.interval)
			for i := range 2 {
				restart(b.flows)
				b.Calm(true)
				left := false
				b.team.Remove(b.nics[i], func() { left = true })
				b.until("it has left", 2*time.Second, func() bool { return left })
				b.pass(300 * time.Millisecond)
				if n := b.lost(); n != 0 {
					t.Errorf("%d frames lost when %s left", n, b.nics[i].Name)
				}
				b.team.Add(b.nics[i], 0)
				b.until("it is used again", 4*time.Second, b.whole)
				b.pass(300 * time.Millisecond)
				b.Calm(false)
				if n := b.lost(); n != 0 {
					t.Errorf("%d frames lost until %s was back", n, b.nics[i].Name)
				}
				for _, f := range b.flows {
					if most := map[bool]uint64{true: 0, false: 2}[tt.pauses]; f.Double > 0 || f.Disorders > most && f.from == b.team.Stack {
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
	b.Calm(true)
	for _, weight := range []float64{4, 0.5, 1} {
		if err := b.team.Set(func(c *team.Config) { c.Members[1].Weight = weight }); err != nil {
			t.Fatal(err)
		}
		b.pass(time.Second)
	}
	b.Calm(false)
	if n := b.lost(); n != 0 {
		t.Errorf("%d frames lost", n)
	}
	b.ordered()
}

// TestProcessIsReplaced: a process is killed and another one takes its place with what the first remembered: the partner
// never stops to distribute, and our ports send again at once.
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
					t.Errorf("the partner distributes by %d, we by %b", b.partner.Distributing(), b.team.plan.Distributing)
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
	if err := b.team.Set(func(c *team.Config) { c.Mode = modes.XOR }); err != nil {
		t.Fatal(err)
	}
	b.until("the partner has stopped", 5*time.Millisecond, func() bool { return b.partner.Distributing() == 0 })
	if err := b.team.Set(func(c *team.Config) { c.Mode = modes.LACP }); err != nil {
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
			b := newBonded(t, 3, h, fast, func(c *team.Config) { c.Balance, c.Primary = false, "eth1" })
			for _, w := range b.wires {
				w.Set(true)
			}
			b.until("the primary works", 4*time.Second, func() bool { return b.team.plan.Distributing == 0b010 && b.partner.Distributing() == 1 })
			b.talk(6, 2*time.Millisecond)
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
				c := team.DefaultConfig()
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
					b.flows = append(b.flows, w.UDP(teams[k].Stack, teams[1-k].Stack, FlowKey{V6: i%2 == 1, Sport: 1000 + i, Dport: 7}, 300, 2*time.Millisecond))
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
					t.Fatalf("after a restart %b and %b distribute", teams[0].plan.Distributing, teams[1].plan.Distributing)
				}
				b.pass(100 * time.Millisecond)
			}
			b.calmly(500*time.Millisecond, b.flows...)
		})
	}
}
