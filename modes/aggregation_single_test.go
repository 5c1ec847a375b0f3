// SPDX-License-Identifier: MIT

package modes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"

	"pgregory.net/rapid"
)

// A primary that comes back by another switch, or with another speed, has to wait and to agree before it may send.
// Until then who works goes on.
func TestAggregationPrimaryComesBackByAnotherAggregator(t *testing.T) {
	for _, c := range []struct {
		name   string
		choose lacp.Select
	}{{"stable", lacp.Stable}, {"bandwidth", lacp.Bandwidth}, {"count", lacp.Count},
		{"port-priority", lacp.PortPriority}} {
		t.Run(c.name, func(t *testing.T) {
			w := wire(t, 2, 2, func(st *State) {
				off(st)
				st.Settings.Primary = "eth1"
				st.Settings.LACP.Select = c.choose
				st.Members[1].SpeedBps = 1e8
			})
			w.plug(1, 1)
			w.run(5 * time.Second)
			w.want(0, 1)
			w.link(1, false)
			w.want(time.Second, 0)
			w.run(5 * time.Second)
			w.link(1, true)
			w.until(10*time.Second, func() bool {
				if w.m.Plan().Distributing == 0 {
					t.Fatalf("nobody sends while the primary agrees; %s", w.words())
				}
				return w.sent(1)()
			})
			w.want(0, 1)
			w.run(10 * time.Second)
			w.want(0, 1)
		})
	}
}

// Balance is switched off while the first member is not ready.
func TestAggregationBalanceGoesOffWhileSomeAreNotReady(t *testing.T) {
	w := wire(t, 2, 2, nil)
	w.plug(0, 1) // stands by: it agrees later
	w.run(5 * time.Second)
	w.link(0, false)
	w.want(time.Second, 1)
	w.run(time.Second)
	w.link(0, true)
	w.run(time.Second)
	w.want(0, 1)
	w.state(off)
	w.until(5*time.Second, func() bool {
		if w.m.Plan().Distributing == 0 {
			t.Fatalf("nobody sends; %s", w.words())
		}
		return false
	})
}

// A partner that has us use one of two ports, as a switch with hot standby ports does, is followed.
func TestAggregationWithBalanceOffFollowsThePartner(t *testing.T) {
	w := wire(t, 2, 1, off)
	w.ports[0][0].Standby = true
	w.configure(0)
	w.want(8*time.Second, 1)
	w.run(5 * time.Second)
	w.want(0, 1)
	w.ports[0][0].Standby, w.ports[0][1].Standby = false, true
	w.configure(0)
	w.want(8*time.Second, 0)
}

// Two teams without balance that want different members come together, whoever has the say, and also where one of both
// does not hear the other one on a link.
func TestAggregationTwoWithBalanceOffComeTogether(t *testing.T) {
	for _, far := range []frame.MAC{0x000000000001, 0xfe0000000000} {
		p := couple(t, 2, far)
		p.primary("eth0", "eth1")
		p.run(8 * time.Second)
		p.agreed()
		for range 10 {
			p.run(time.Second)
			p.agreed()
		}
	}
	for dead := range 2 {
		p := couple(t, 2, 0xfe0000000000)
		p.primary("eth0", "eth0")
		p.run(8 * time.Second)
		p.agreed()
		p.drop = func(to, id int) bool { return id == 0 && to == dead }
		p.run(10 * time.Second)
		p.agreed()
		p.drop = nil
		p.run(10 * time.Second)
		p.agreed()
	}
}

// coupled are two teams whose members of the same id are wired to each other.
type coupled struct {
	t    failer
	now  time.Time
	m    [2]Mode
	st   [2]State
	wire []flying
	drop func(to, id int) bool
}

func couple(t failer, n int, far frame.MAC) *coupled {
	p := &coupled{t: t, now: t0}
	for k := range p.m {
		p.st[k] = state(LACP, n)
		off(&p.st[k])
		p.st[k].Settings.LACP = DefaultLACP()
		p.st[k].Settings.LACP.Fast = true
		for i := range p.st[k].Members {
			p.st[k].Members[i].SpeedBps, p.st[k].Members[i].PortPriority = 1e9, DefaultPortPriority
		}
		m, err := New(p.st[k].Settings)
		if err != nil {
			t.Fatalf("%v", err)
		}
		p.m[k] = m
	}
	p.st[1].Adapter = far
	return p
}

func (p *coupled) primary(a, b string) {
	p.st[0].Settings.Primary, p.st[1].Settings.Primary = a, b
	p.handle(0, p.st[0])
	p.handle(1, p.st[1])
}

func (p *coupled) handle(k int, ev Event) {
	for _, s := range p.m[k].Handle(p.now, ev).Send {
		if p.drop == nil || !p.drop(1-k, s.Member) {
			p.wire = append(p.wire, flying{p.now.Add(50 * time.Microsecond), s.Member, 1 - k, s.Frame})
		}
	}
}

func (p *coupled) run(d time.Duration) {
	end := p.now.Add(d)
	for n := 0; ; n++ {
		if n > 100_000 {
			p.t.Fatalf("it does not come to rest")
		}
		next, who := end, -1
		if len(p.wire) > 0 && p.wire[0].at.Before(next) {
			next, who = p.wire[0].at, 2
		}
		for k, m := range p.m {
			if t := m.Deadline(); !t.IsZero() && t.Before(next) {
				next, who = t, k
			}
		}
		if next.After(p.now) {
			p.now = next
		}
		switch who {
		case -1:
			return
		case 2:
			f := p.wire[0]
			p.wire = p.wire[1:]
			p.handle(f.to, Received{Member: f.id, Frame: f.b})
		default:
			p.handle(who, Tick{})
		}
	}
}

// agreed fails unless both send by the same member.
func (p *coupled) agreed() {
	p.t.Helper()
	a, b := p.m[0].Plan().Distributing, p.m[1].Plan().Distributing
	if a != b || a.Len() != 1 {
		var ports []string
		for k := range p.m {
			for _, s := range Agreed(p.m[k]).Ports {
				ports = append(ports, fmt.Sprintf("%d of %d: %v %v %v %q", s.ID, k, s.Receive, s.Selected, s.Mux,
					s.Why))
			}
		}
		p.t.Fatalf("at %v %b and %b distribute\n%s", p.now.Sub(t0), a, b, strings.Join(ports, "\n"))
	}
}

// A time that has passed is no deadline any more, whatever becomes of the member that was about to be given up.
func TestAggregationGivesUpNobodyTwice(t *testing.T) {
	for _, then := range []func(w *wired){
		func(w *wired) { w.drop, w.flying = func(int, int) bool { return true }, nil },
		func(w *wired) { w.drain(0) },
		func(w *wired) { w.state(func(st *State) { st.Settings.MinMembers = 3 }) },
		func(w *wired) { w.state(func(st *State) { st.Settings.Balance = true }) },
		func(w *wired) { w.link(0, false); w.link(1, false) },
	} {
		w := wire(t, 2, 1, func(st *State) { off(st); st.Settings.LACP.Fast = true })
		w.ports[0][0].Standby = true
		w.configure(0)
		w.until(5*time.Second, func() bool {
			return !w.m.Deadline().IsZero() && Agreed(w.m).Ports[0].Why == "partner not in sync"
		})
		w.run(100 * time.Millisecond)
		then(w)
		w.run(20 * time.Second)
	}
}

// Whatever two teams wish and whatever their links do, both send by the same member when all is well again.
func TestAggregationTwoAlwaysComeTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 3).Draw(t, "members")
		p := couple(t, n, rapid.SampledFrom([]frame.MAC{1, 0xfe0000000000}).Draw(t, "far"))
		for k := range p.st {
			p.st[k].Settings.Balance = rapid.Bool().Draw(t, "balance") && k == 1
			p.st[k].Settings.LACP.Select = rapid.SampledFrom(lacp.Selects()).Draw(t, "select")
			p.handle(k, p.st[k])
		}
		var lost [2]spread.MemberSet
		p.drop = func(to, id int) bool { return lost[to].Has(id) }
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			id, k := rapid.IntRange(0, n-1).Draw(t, "which"), rapid.IntRange(0, 1).Draw(t, "team")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				for k := range p.st {
					p.change(k, func(st *State) { st.Members[id].Usable = !st.Members[id].Usable })
				}
			case 1:
				lost[k] ^= 1 << id
			case 2:
				p.change(k, func(st *State) { st.Settings.Primary = names(id) })
			case 3:
				p.change(k, func(st *State) {
					st.Settings.Active = rapid.SampledFrom([]string{"", names(id)}).Draw(t, "active")
				})
			case 4:
				for k := range p.st {
					p.change(k, func(st *State) { st.Members[id].SpeedBps = 1e9 + 1e10 - st.Members[id].SpeedBps })
				}
			case 5:
				p.change(k, func(st *State) { st.Members[id].Draining = !st.Members[id].Draining })
			}
			p.run(rapid.SampledFrom([]time.Duration{0, 20 * time.Microsecond, time.Millisecond, time.Second,
				5 * time.Second}).Draw(t, "wait"))
		}
		lost = [2]spread.MemberSet{}
		for k := range p.st {
			p.change(k, func(st *State) {
				for i := range st.Members {
					st.Members[i].Usable, st.Members[i].Draining = true, false
				}
			})
		}
		p.run(30 * time.Second)
		was := p.m[0].Plan().Distributing
		p.agreed()
		p.run(30 * time.Second)
		if p.agreed(); p.m[0].Plan().Distributing != was {
			t.Fatalf("%b distributes, and then %b", was, p.m[0].Plan().Distributing)
		}
	})
}

func (p *coupled) change(k int, f func(*State)) {
	p.st[k] = change(p.st[k], func([]Member) {})
	f(&p.st[k])
	p.handle(k, p.st[k])
}

// A partner that goes by bandwidth does not insist on what it wants to leave anyway.
func TestAggregationPrimaryBecomesFaster(t *testing.T) {
	p := couple(t, 2, 1)
	p.st[1].Settings.Balance, p.st[1].Settings.LACP.Select = true, lacp.Bandwidth
	p.primary("eth0", "")
	p.primary("eth1", "")
	p.run(5 * time.Second)
	for k := range p.st {
		p.change(k, func(st *State) { st.Members[1].SpeedBps = 1e10 })
	}
	p.run(4 * time.Second) // of which it waits 2 s for other ports
	for range 10 {
		p.agreed()
		p.run(time.Second)
	}
}
