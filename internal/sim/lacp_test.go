// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nicteam/internal/settings"
	"nicteam/modes"
)

// bonded is a bench whose switch speaks LACP on the team's ports.
type bonded struct {
	*bench
	partner *Partner
	flows   []*Flow
}

// fast and slow are what a team wants of its partner.
func fast(c *settings.Config) { c.LACP.Fast = true }
func slowly(*settings.Config) {}

// newBonded returns a team of some NICs whose cables are not in yet.
func newBonded(t *testing.T, nics int, h Habits, change ...func(*settings.Config)) *bonded {
	t.Helper()
	w := New(5)
	b := &bonded{bench: &bench{World: w, t: t, sw: w.Switch("sw")}}
	b.partner = b.sw.Partner(h)
	c := settings.DefaultConfig()
	c.Mode, c.Damping = modes.LACP, false // links come and go more often here than damping bears
	for _, f := range change {
		f(&c)
	}
	for i := range nics {
		b.nic(fmt.Sprintf("eth%d", i), b.sw, b.partner).Set(false)
	}
	b.team = w.Team("team0", c, b.nics[0].MAC)
	for _, n := range b.nics {
		b.team.Add(n, 0)
	}
	for i := range 3 {
		b.peers = append(b.peers, w.Peer(fmt.Sprintf("peer%d", i), b.sw, Line{Rate: 10e9, Queue: 1 << 20}))
	}
	b.pass(100 * time.Millisecond)
	return b
}

// nic adds a NIC and its cable to a switch, to a port of p where that is not nil.
func (b *bonded) nic(name string, sw *Switch, p *Partner) *Wire {
	n := b.NIC(name)
	n.Speed = 1e9
	wire, port := sw.Plug(n.End, Line{})
	if p != nil {
		p.Join(port)
	}
	b.nics, b.wires, b.ports = append(b.nics, n), append(b.wires, wire), append(b.ports, port)
	return wire
}

// plug puts all cables in, and waits until all ports distribute at both ends.
func (b *bonded) plug() time.Duration {
	b.t.Helper()
	for _, w := range b.wires {
		w.Set(true)
	}
	return b.until("all ports distribute at both ends", 35*time.Second, b.whole)
}

// whole reports whether all cables are used by both ends.
func (b *bonded) whole() bool {
	return b.team.plan.Distributing.Len() == len(b.team.ids) && b.partner.Distributing() == len(b.team.ids)
}

func (b *bonded) until(what string, limit time.Duration, holds func() bool) time.Duration {
	b.t.Helper()
	took, err := b.Until(what, limit, holds)
	if err != nil {
		b.t.Fatal(err)
	}
	return took
}

// talk begins flows both ways between the team and its peers, and lets them find each other.
func (b *bonded) talk(n int, interval time.Duration) {
	b.t.Helper()
	for i := range n {
		b.flows = append(b.flows, b.both(i%len(b.peers), uint16(1000+i), 300, interval)...)
	}
	b.pass(1500 * time.Millisecond)
	b.calmly(500*time.Millisecond, b.flows...)
	restart(b.flows)
}

// newTalking is a bonded team that works, with flows.
func newTalking(t *testing.T, nics int, h Habits, change ...func(*settings.Config)) *bonded {
	t.Helper()
	b := newBonded(t, nics, h, change...)
	b.plug()
	b.talk(5, 4*time.Millisecond)
	return b
}

// calmlyLost is how many frames that are sent while do lets time pass do not arrive, and holds that none is overtaken.
func (b *bonded) calmlyLost(do func()) (n uint64) {
	b.t.Helper()
	b.Calm(true)
	for _, f := range b.flows {
		f.calmSent, f.calmGot, f.counting = 0, 0, true
	}
	do()
	for _, f := range b.flows {
		f.counting, f.calmLate, f.calmEnd = false, true, b.now
	}
	b.pass(50 * time.Millisecond)
	b.Calm(false)
	for _, f := range b.flows {
		f.calmLate = false
		n += f.calmSent - f.calmGot
	}
	return n
}

// ordered holds that no frame came twice or was overtaken.
func (b *bonded) ordered() {
	b.t.Helper()
	for _, f := range b.flows {
		if f.Double != 0 || f.Reordered != 0 {
			b.t.Errorf("%s: %d doubled, %d overtaken", f.Name, f.Double, f.Reordered)
		}
	}
}

// gap is the longest time in which nothing of a flow arrived.
func (b *bonded) gap() (worst time.Duration) {
	for _, f := range b.flows {
		worst = max(worst, f.Gap, b.Now()-f.Last)
	}
	return worst
}

// warned holds that a warning says something.
func (b *bonded) warned(words ...string) {
	b.t.Helper()
	s := b.team.Status()
	for _, w := range s.Warnings {
		has := true
		for _, word := range words {
			has = has && strings.Contains(w, word)
		}
		if has {
			return
		}
	}
	b.t.Errorf("no warning says %q: state %s, %q, warnings %q", words, s.State, s.Reason, s.Warnings)
}

// habitual are the partners that scenarios meet.
var habitual = []Habits{{Fast: true}, {Coupled: true, Fast: true}}

// TestNegotiates: from the moment in which cables are put in until both ends use all of them.
func TestNegotiates(t *testing.T) {
	t.Parallel()
	for _, h := range []Habits{{}, {Fast: true}, {Passive: true}, {Passive: true, Fast: true},
		{Coupled: true}, {Coupled: true, Fast: true}, {Coupled: true, Passive: true},
		{Coupled: true, Passive: true, Fast: true}} {
		for name, rate := range map[string]func(*settings.Config){"slow": slowly, "fast": fast} {
			for _, active := range []bool{true, false} {
				if !active && h.Passive {
					continue
				}
				t.Run(fmt.Sprintf("%v, ours %s active %v", h, name, active), func(t *testing.T) {
					b := newBonded(t, 4, h, rate, func(c *settings.Config) { c.LACP.Active = active })
					took := b.plug()
					limit := 3200 * time.Millisecond
					if h.Coupled {
						limit = 4 * time.Second
					}
					t.Log(took)
					if took > limit {
						t.Errorf("took %v", took)
					}
					b.talk(4, 5*time.Millisecond)
					if s := b.team.Status(); s.State != "up" {
						t.Errorf("state %s: %s", s.State, s.Reason)
					}
				})
			}
		}
	}
}

// TestAllAreUsed: flows in both directions are spread over all members.
func TestAllAreUsed(t *testing.T) {
	t.Parallel()
	b := newBonded(t, 4, Habits{}, fast)
	b.plug()
	b.talk(60, 10*time.Millisecond)
	b.pass(time.Second)
	for _, id := range b.team.ids {
		if m := b.team.members[id]; m.Out < 1000 || m.In < 1000 {
			t.Errorf("%s has carried %d bytes out and %d in", m.nic.Name, m.Out, m.In)
		}
	}
}

// TestNobodyAnswers: on a switch without LACP one member works alone, or none, as wanted.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	for _, fallback := range []bool{true, false} {
		for _, primary := range []string{"", "eth1"} {
			t.Run(fmt.Sprintf("fallback %v primary %q", fallback, primary), func(t *testing.T) {
				b := newBonded(t, 3, Habits{}, func(c *settings.Config) {
					c.LACP.Fallback, c.Primary = fallback, primary
				})
				for _, p := range b.ports {
					p.partner, p.Group = nil, 0
				}
				for _, w := range b.wires {
					w.Set(true)
				}
				if !fallback {
					b.pass(15 * time.Second)
					if s := b.team.Status(); s.State != "down" || b.team.plan.Distributing != 0 {
						t.Errorf("state %s, distributing %b", s.State, b.team.plan.Distributing)
					}
					b.warned("LACPDU")
					return
				}
				took := b.until("one works alone", 5*time.Second, func() bool {
					return b.team.plan.Distributing.Len() == 1
				})
				t.Logf("one works alone after %v", took)
				b.talk(5, 4*time.Millisecond)
				b.pass(10 * time.Second)
				b.calmly(5*time.Second, b.flows...)
				b.ordered()
				b.warned("LACPDU")
				if s := b.team.Status(); s.State != "degraded" {
					t.Errorf("state %s: %s", s.State, s.Reason)
				}
				if primary != "" && !b.team.plan.Distributing.Has(1) {
					t.Errorf("distributing %b", b.team.plan.Distributing)
				}
				// The one that works loses its cable: another takes its place.
				restart(b.flows)
				b.wires[b.team.plan.Active].Set(false)
				b.pass(300 * time.Millisecond)
				if g := b.gap(); g > 100*time.Millisecond {
					t.Errorf("gap of %v", g)
				}
			})
		}
	}
}

// TestPartnerComes: a switch begins to speak LACP while one member works alone.
func TestPartnerComes(t *testing.T) {
	t.Parallel()
	for _, h := range habitual {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			b := newBonded(t, 2, h, fast)
			b.partner.Restart(20 * time.Second)
			for _, p := range b.ports {
				p.partner, p.Group = nil, 0
			}
			for _, w := range b.wires {
				w.Set(true)
			}
			b.until("one works alone", 5*time.Second, func() bool { return b.team.plan.Distributing.Len() == 1 })
			b.talk(4, 2*time.Millisecond)
			b.pass(12 * time.Second)
			for _, p := range b.ports {
				p.partner, p.Group = b.partner, b.partner.group
			}
			took := b.until("all are used", 6*time.Second, b.whole)
			t.Logf("%v after the switch has changed", took)
			b.pass(time.Second)
			b.calmly(time.Second, b.flows...)
			if s := b.team.Status(); s.State != "up" {
				t.Errorf("state %s: %s", s.State, s.Reason)
			}
		})
	}
}

// TestBothPassive: nobody speaks, and who looks is told so.
func TestBothPassive(t *testing.T) {
	t.Parallel()
	b := newBonded(t, 2, Habits{Passive: true}, func(c *settings.Config) {
		c.LACP.Active, c.LACP.Fallback = false, false
	})
	for _, w := range b.wires {
		w.Set(true)
	}
	b.pass(12 * time.Second)
	b.warned("passive")
}

// TestHalfDuplex: a NIC with half duplex is not used, and the status says why.
func TestHalfDuplex(t *testing.T) {
	t.Parallel()
	b := newBonded(t, 3, Habits{}, fast)
	b.nics[1].Half = true
	for _, w := range b.wires {
		w.Set(true)
	}
	b.until("two are used", 4*time.Second, func() bool {
		return b.team.plan.Distributing == 0b101 && b.partner.Distributing() == 2
	})
	b.talk(4, 2*time.Millisecond)
	b.pass(5 * time.Second)
	s := b.team.Status()
	if s.State != "degraded" || !strings.Contains(s.Members[1].Reason, "half duplex") {
		t.Errorf("state %s %q, eth1 %s %q", s.State, s.Reason, s.Members[1].State, s.Members[1].Reason)
	}
}
