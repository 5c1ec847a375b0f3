// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"testing"
	"time"

	"nicteam/internal/settings"
	"nicteam/modes/spread"
)

// TestLinksAreCut: each cable is cut and put in again under traffic. What is lost is what was under way until the
// carrier's loss was noticed; nothing is doubled or overtaken, and nothing at all is lost when it is back.
func TestLinksAreCut(t *testing.T) {
	t.Parallel()
	for _, h := range []Habits{{}, {Coupled: true, Fast: true}} {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			b := newTalking(t, 4, h, fast)
			for i, w := range b.wires[:3] {
				restart(b.flows)
				w.Set(false)
				b.pass(time.Second)
				if g := b.gap(); g > 30*time.Millisecond {
					t.Errorf("gap of %v after %s was cut", g, b.nics[i].Name)
				}
				for _, f := range b.flows {
					if f.Sent > f.Got+8 {
						t.Errorf("%s: %d of %d arrived when %s was cut", f.Name, f.Got, f.Sent, b.nics[i].Name)
					}
				}
				b.calmly(300*time.Millisecond, b.flows...)
				w.Set(true)
				took := b.until("the port is used again", 4*time.Second, b.whole)
				t.Logf("%s: gap %v, used again after %v", b.nics[i].Name, b.gap(), took)
				b.pass(time.Second)
				b.calmly(300*time.Millisecond, b.flows...)
				b.ordered()
			}
		})
	}
}

// TestNothingIsLostWhenALinkReturns: a port that comes back takes its share without a frame lost, doubled or overtaken.
func TestNothingIsLostWhenALinkReturns(t *testing.T) {
	t.Parallel()
	for _, h := range habitual {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			b := newTalking(t, 3, h, fast)
			b.wires[1].Set(false)
			b.pass(time.Second)
			restart(b.flows)
			lost := b.calmlyLost(func() {
				b.wires[1].Set(true)
				b.pass(6 * time.Second)
			})
			if !b.whole() || lost > 0 {
				t.Errorf("the port is used %v, %d frames lost", b.whole(), lost)
			}
			b.ordered()
		})
	}
}

// TestSilence: what one end of a cable sends vanishes while the carrier stays. Both directions are noticed within three
// PDUs that are missing, and all is well again when it is over.
func TestSilence(t *testing.T) {
	t.Parallel()
	for _, rate := range []struct {
		name  string
		fast  bool
		limit time.Duration
	}{{"fast", true, 3100 * time.Millisecond}, {"slow", false, 91 * time.Second}} {
		for _, coupled := range []bool{false, true} {
			for end, from := range []string{"from us", "to us"} {
				t.Run(fmt.Sprintf("%s coupled %v %s", rate.name, coupled, from), func(t *testing.T) {
					interval := 2 * time.Millisecond
					if !rate.fast {
						interval = 20 * time.Millisecond
					}
					b := newBonded(t, 3, Habits{Coupled: coupled, Fast: rate.fast}, func(c *settings.Config) {
						c.LACP.Fast = rate.fast
					})
					b.plug()
					b.talk(6, interval)
					b.pass(b.between(0, 2*time.Second))
					b.wires[1].Ends[end].Break(1)
					out := func() bool { return !b.team.plan.Distributing.Has(1) && !b.ports[1].distributes }
					limit := rate.limit
					if coupled && end == 0 {
						// Its machines say that they hear nobody with the next PDU that is due.
						limit += map[bool]time.Duration{true: time.Second, false: 30 * time.Second}[rate.fast]
					}
					took := b.until("both ends have noticed", 200*time.Second, out)
					t.Logf("noticed after %v", took)
					if took > limit {
						t.Errorf("noticed after %v", took)
					}
					b.pass(time.Second)
					b.calmly(time.Second, b.flows...)
					b.wires[1].Ends[end].Mend()
					took = b.until("the port is used again", 40*time.Second, b.whole)
					t.Logf("used again after %v", took)
					b.pass(time.Second)
					b.calmly(time.Second, b.flows...)
				})
			}
		}
	}
}

// TestPartnerRestarts: a switch's control plane forgets everything while the carriers stay.
func TestPartnerRestarts(t *testing.T) {
	t.Parallel()
	for _, h := range []Habits{{}, {Fast: true}, {Passive: true, Fast: true}, {Coupled: true},
		{Coupled: true, Fast: true}} {
		for _, away := range []time.Duration{10 * time.Millisecond, 5 * time.Second} {
			t.Run(fmt.Sprintf("%v, away %v", h, away), func(t *testing.T) {
				b := newBonded(t, 3, h, fast)
				b.plug()
				b.talk(4, 10*time.Millisecond)
				for range 2 {
					b.partner.Restart(away)
					b.pass(away + time.Millisecond)
					limit := 6 * time.Second
					if h.Passive || !h.Fast {
						limit = 36 * time.Second
					}
					took := b.until("all is used again", limit, b.whole)
					t.Logf("after %v", took)
					b.pass(1500 * time.Millisecond)
					b.calmly(500*time.Millisecond, b.flows...)
				}
			})
		}
	}
}

// TestKeyChanges: the switch's administrator changes the group's key.
func TestKeyChanges(t *testing.T) {
	t.Parallel()
	for _, h := range habitual {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			b := newTalking(t, 3, h, fast)
			h.Key = 5
			b.partner.Set(h)
			b.pass(500 * time.Millisecond)
			took := b.until("all is used again", 5*time.Second, b.whole)
			t.Logf("after %v, gap %v", took, b.gap())
			b.pass(time.Second)
			b.calmly(time.Second, b.flows...)
			if err := b.team.Set(func(c *settings.Config) { c.LACP.Key = 9 }); err != nil {
				t.Fatal(err)
			}
			b.pass(500 * time.Millisecond)
			b.until("all is used after our key has changed", 5*time.Second, b.whole)
			b.pass(time.Second)
			b.calmly(time.Second, b.flows...)
		})
	}
}

// TestRatesChange: either end wants another rate, and nobody notices.
func TestRatesChange(t *testing.T) {
	t.Parallel()
	for _, h := range habitual {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			b := newBonded(t, 3, h, fast)
			b.plug()
			b.talk(4, 20*time.Millisecond)
			ours := true
			for range 6 {
				if ours = !ours; b.chance(2) {
					h.Fast = !h.Fast
					b.partner.Set(h)
				}
				if err := b.team.Set(func(c *settings.Config) { c.LACP.Fast = ours }); err != nil {
					t.Fatal(err)
				}
				end := b.Now() + b.between(time.Second, 40*time.Second)
				b.until("time passes", time.Minute, func() bool { return b.Now() >= end || !b.whole() })
				if !b.whole() {
					b.breach("we distribute by %b, the partner by %d, though only rates were changed",
						b.team.plan.Distributing, b.partner.Distributing())
					t.Fatal(b.fail)
				}
			}
			b.calmly(2*time.Second, b.flows...)
			b.ordered()
		})
	}
}

// TestOtherLinksRestart: other ports of the partner, and ours, come and go 200 times; the rest never flaps.
func TestOtherLinksRestart(t *testing.T) {
	t.Parallel()
	for _, h := range habitual {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			b := newBonded(t, 4, h, fast, func(c *settings.Config) { c.Damping = false })
			b.plug()
			b.talk(6, 10*time.Millisecond)
			rest := spread.MemberSet(0b0011)
			flapped := 0
			for i := range 400 {
				w := b.wires[2+i%2]
				w.Set(i/2%2 == 1)
				next := b.Now() + b.between(20*time.Millisecond, 500*time.Millisecond)
				if i%50 == 0 {
					next += 3 * time.Second
				}
				_, err := b.Until("time passes", time.Hour, func() bool {
					if b.team.plan.Distributing&rest != rest || !b.ports[0].distributes || !b.ports[1].distributes {
						flapped++
						return true
					}
					return b.Now() > next
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if flapped > 0 {
				t.Errorf("the rest flapped %d times", flapped)
			}
			b.wires[2].Set(true)
			b.wires[3].Set(true)
			b.until("all are used", 5*time.Second, b.whole)
			b.pass(time.Second)
			b.calmly(time.Second, b.flows...)
			b.ordered()
		})
	}
}

// TestMinMembers: fewer ports than wanted hold the carrier down.
func TestMinMembers(t *testing.T) {
	t.Parallel()
	b := newBonded(t, 3, Habits{}, fast, func(c *settings.Config) { c.MinMembers = 2 })
	b.plug()
	b.wires[0].Set(false)
	b.wires[1].Set(false)
	b.pass(time.Second)
	if b.team.carrier || b.team.Status().State != "down" {
		t.Errorf("carrier %v, state %s", b.team.carrier, b.team.Status().State)
	}
	b.wires[0].Set(true)
	b.until("the carrier is up", 4*time.Second, func() bool { return b.team.carrier })
}
