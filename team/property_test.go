// SPDX-License-Identifier: MIT

package team

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"nicteam/internal/frame"
	"nicteam/modes"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// world is what a test knows of a team by itself, to hold the Loop against.
type world struct {
	*rig
	t        *rapid.T
	up       map[int]bool // cable, by eth number
	absent   map[int]bool
	draining map[int]bool
	ids      map[int]int // eth number → id of members
	leaving  map[int]int // eth number → id of those whose socket is still open
	state    string
	clock    time.Time // of the last event
	other    *lacpPartner
	gateway  propertyGateway
}

// check holds everything that is true at any moment.
func (w *world) check() {
	p, st := w.plan, w.l.Status()
	if p == nil {
		w.t.Fatal("no Plan")
	}
	var may, known spread.MemberSet
	for n, id := range w.ids { // who leaves goes on sending until all has gone over
		known = known.With(id)
		down := !w.up[n] && w.l.cfg.DownDelay == 0
		if !w.absent[n] && (!w.draining[n] || p.Migration() != nil) && !down {
			may = may.With(id)
		}
	}
	if bad := p.Distributing &^ may; bad != 0 {
		w.t.Fatalf("distributes on %b, only %b may", bad, may)
	}
	if bad := (p.Collecting | p.Multicast) &^ known; bad != 0 {
		w.t.Fatalf("collects on %b, which are no members", bad)
	}
	slots := p.Pins
	if p.Slots != nil {
		slots = p.Slots.Members
	}
	for _, s := range slots {
		if s != spread.NoMember && !p.Distributing.Has(int(s)) {
			w.t.Fatalf("slot of member %d, which does not distribute", s)
		}
	}
	for id := range spread.MaxMembers {
		if p.Rule == spread.RuleRoundRobin && p.Weights[id] > 0 && !p.Distributing.Has(id) {
			w.t.Fatalf("share of member %d, which does not distribute", id)
		}
	}
	c := w.l.Config()
	if single(c) && p.Distributing.Len() > 1 {
		w.t.Fatalf("active-backup distributes on %b", p.Distributing)
	}
	if p.Rule == spread.RuleSingle && !p.Distributing.Has(p.Active) {
		w.t.Fatalf("single member %d may not send", p.Active)
	}

	// Where each sends with its own MAC no two have the same one.
	macs := map[string]string{}
	for _, m := range st.Members {
		if other, twin := macs[m.MAC]; p.PerMember && m.Distributing && twin {
			w.t.Fatalf("%s and %s send with %s", other, m.Name, m.MAC)
		}
		if m.Distributing {
			macs[m.MAC] = m.Name
		}
	}

	// The state of the team follows from those of its members.
	usable, sends, bad := 0, 0, 0
	for _, m := range st.Members {
		if m.Distributing != (m.State == "up") && !(m.State == "draining" && p.Migration() != nil) {
			w.t.Fatalf("%s is %s, distributing %v", m.Name, m.State, m.Distributing)
		}
		if (m.State == "down" || m.State == "absent") && m.Reason == "" {
			w.t.Fatalf("%s is %s without a reason", m.Name, m.State)
		}
		switch m.State {
		case "up":
			usable, sends = usable+1, sends+1
		case "standby":
			usable++
		case "draining":
		default:
			bad++
		}
	}
	w.checkNotStranded(usable)
	enough := usable >= max(1, c.MinMembers)
	switch st.State {
	case "up":
		if !enough || sends == 0 {
			w.t.Fatalf("team is up: %+v", st.Members)
		}
	case "degraded":
		// In 802.3ad warnings are a reason too, and a member that works alone.
		if !enough || bad == 0 && st.LACP == nil && len(st.Warnings) == 0 || st.Reason == "" {
			w.t.Fatalf("team is degraded, %q: %+v", st.Reason, st.Members)
		}
	case "down":
		if enough && sends > 0 || st.Reason == "" {
			w.t.Fatalf("team is down, %q: %+v", st.Reason, st.Members)
		}
	}
	if w.out.Err == nil && w.out.Carrier != (st.State != "down") {
		w.t.Fatalf("carrier %v in state %s", w.out.Carrier, st.State)
	}
	if st.Since.After(w.now) {
		w.t.Fatal("since the future")
	}

	// Events: in the order of time, and a change of state has one, the last of several.
	last := ""
	for _, e := range w.out.Events {
		if e.Time.Before(w.clock) {
			w.t.Fatalf("event %s at %v after one at %v", e.Event, e.Time, w.clock)
		}
		w.clock = e.Time
		if len(e.Event) > 5 && e.Event[:5] == "team-" {
			last = e.Event[5:]
		}
	}
	if st.State != w.state && last != st.State {
		w.t.Fatalf("state %s, was %s, last event %q", st.State, w.state, last)
	}
	if st.State == w.state && last != "" && last != st.State {
		w.t.Fatalf("state %s, event %q", st.State, last)
	}
	w.state = st.State
}

func (w *world) do(in Input) Output {
	out := w.rig.do(in)
	w.check()
	w.other.hear(w, out.Send)
	w.gateway.hear(w, out.Send)
	return out
}

func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	for i := 0; ; i++ {
		next := earlier(earlier(w.l.Deadline(), w.other.deadline(w)), w.gateway.deadline(w))
		if next.IsZero() || next.After(end) {
			break
		}
		if i > 5000 {
			w.t.Fatal("deadlines without end")
		}
		if next.After(w.now) {
			w.now = next
		}
		w.other.speak(w)
		w.gateway.speak(w)
		w.do(Tick{})
	}
	w.now = end
}

func (w *world) tell(n int) {
	if w.absent[n] {
		w.gone(n)
	} else {
		w.link(n, w.up[n])
	}
	w.check()
}

func (w *world) pick(label string) int {
	return rapid.IntRange(1, 5).Draw(w.t, label)
}

func TestLoopProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		delay := func(label string) time.Duration {
			return time.Duration(rapid.SampledFrom([]int{0, 0, 30, 200}).Draw(t, label)) * time.Millisecond
		}
		kinds := []modes.Kind{modes.ELB, modes.RoundRobin, modes.ActiveBackup, modes.XOR, modes.LACP, modes.Broadcast}
		c := activeBackup()
		c.Mode = rapid.SampledFrom(kinds).Draw(t, "mode")
		c.UpDelay, c.DownDelay = delay("up-delay"), delay("down-delay")
		c.MinMembers = rapid.SampledFrom([]int{1, 1, 2}).Draw(t, "min_members")
		c.LinkWatch = rapid.SampledFrom(propertyWatches).Draw(t, "link_watch")
		l, err := NewLoop(c, LoopOptions{Adapter: adapterMAC, Salt: 1})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{rig: &rig{t: t, l: l, now: time.Unix(1_700_000_000, 0)}, t: t, up: map[int]bool{},
			absent:   map[int]bool{},
			draining: map[int]bool{}, ids: map[int]int{}, leaving: map[int]int{}, state: "down",
			other: newLACPPartner(), gateway: propertyGateway{mute: map[int]bool{}}}
		w.do(WatchTargets{monitor.Targets{Gateways: []monitor.Target{{IP: gateway}}}})

		t.Repeat(map[string]func(*rapid.T){
			"cable": func(t *rapid.T) {
				w.t = t
				n := w.pick("nic")
				w.up[n] = !w.up[n]
				w.tell(n)
			},
			"switch": func(t *rapid.T) {
				w.t = t
				w.other.silent = !w.other.silent
			},
			"told again": func(t *rapid.T) { w.t = t; w.tell(w.pick("nic")) },
			"time": func(t *rapid.T) {
				w.t = t
				w.pass(time.Duration(rapid.IntRange(0, 300).Draw(t, "ms")) * time.Millisecond)
			},
			"join": func(t *rapid.T) {
				w.t = t
				n := w.pick("nic")
				if _, ok := w.leaving[n]; ok {
					return
				}
				out := w.do(Reserve{Link: linkOf(n)})
				if _, member := w.ids[n]; member {
					if out.Err == nil {
						t.Fatal("joined twice")
					}
					return
				}
				if out.Err != nil {
					t.Fatal(out.Err)
				}
				for o, id := range w.leaving {
					if id == out.ID {
						t.Fatalf("id %d of eth%d, which has not been closed, given out again", id, o)
					}
				}
				if rapid.IntRange(0, 4).Draw(t, "opens") == 0 {
					w.do(Released{ID: out.ID})
					return
				}
				w.ids[n] = out.ID
				w.absent[n], w.draining[n] = false, false
				w.do(Joined{ID: out.ID, Link: linkOf(n)})
				w.tell(n)
			},
			"drain": func(t *rapid.T) {
				w.t = t
				n := w.pick("nic")
				if out := w.rig.do(Drain{Name: linkOf(n).Name, Force: rapid.Bool().Draw(t, "force")}); out.Err == nil {
					w.draining[n] = true
				}
				w.check()
			},
			"undrain": func(t *rapid.T) {
				w.t = t
				n := w.pick("nic")
				w.draining[n] = false
				w.do(Undrain{Name: linkOf(n).Name})
			},
			"leave": func(t *rapid.T) {
				w.t = t
				n := w.pick("nic")
				out := w.rig.do(Leave{Name: linkOf(n).Name, Force: rapid.Bool().Draw(t, "force")})
				if out.Err == nil {
					w.leaving[n] = out.ID
					delete(w.ids, n)
				}
				w.check()
			},
			"released": func(t *rapid.T) {
				w.t = t
				n := w.pick("nic")
				if id, ok := w.leaving[n]; ok {
					delete(w.leaving, n)
					w.do(Released{ID: id})
				}
			},
			"gone": func(t *rapid.T) {
				w.t = t
				n := w.pick("nic")
				if _, ok := w.ids[n]; ok {
					w.absent[n] = true
					w.tell(n)
				}
			},
			"return": func(t *rapid.T) {
				w.t = t
				n := w.pick("nic")
				if id, ok := w.ids[n]; ok {
					w.absent[n] = true
					if w.do(Reopen{Name: linkOf(n).Name}); (w.plan.Collecting | w.plan.Distributing).Has(id) ||
						len(w.plan.Filter[id]) > 0 {
						t.Fatal("plan names a member that is opened anew")
					}
					w.absent[n] = false
					w.do(Reopened{ID: id, Link: linkOf(n)})
					w.tell(n)
				}
			},
			"set": func(t *rapid.T) {
				w.t = t
				c := w.l.Config()
				c.Mode = rapid.SampledFrom(kinds).Draw(t, "mode")
				c.Balance = rapid.IntRange(0, 3).Draw(t, "balance") > 0
				c.UpDelay, c.DownDelay = delay("up-delay"), delay("down-delay")
				c.MinMembers = rapid.IntRange(0, 2).Draw(t, "min_members")
				c.PacketsPerMember = rapid.IntRange(0, 3).Draw(t, "packets_per_member")
				c.LinkWatch = rapid.SampledFrom(propertyWatches).Draw(t, "link_watch")
				c.Damping = rapid.Bool().Draw(t, "damping")
				c.PrimaryReselect = modes.Reselect(rapid.IntRange(0, 2).Draw(t, "primary_reselect"))
				if rapid.Bool().Draw(t, "primary?") {
					c.Primary = linkOf(w.pick("primary")).Name
				}
				if rapid.Bool().Draw(t, "active?") {
					c.Active = linkOf(w.pick("active")).Name
				}
				for i := range c.Members {
					c.Members[i].Weight = rapid.SampledFrom([]float64{0.1, 1, 10}).Draw(t, "weight")
				}
				w.do(Change{Config: c})
			},
			"mute": func(t *rapid.T) {
				w.t = t
				n := w.pick("nic")
				w.gateway.mute[n] = !w.gateway.mute[n]
			},
			"gateway": func(t *rapid.T) {
				w.t = t
				w.gateway.down = !w.gateway.down
			},
			"targets": func(t *rapid.T) {
				w.t = t
				var targets monitor.Targets
				if rapid.Bool().Draw(t, "gateway") {
					targets.Gateways = []monitor.Target{{IP: gateway}}
				}
				w.do(WatchTargets{targets})
			},
			"traffic": func(t *rapid.T) {
				w.t = t
				w.gateway.traffic(w, rapid.Bool().Draw(t, "late"))
			},
			"guest": func(t *rapid.T) {
				w.t = t
				w.do(FromDatapath{Control{Kind: ControlStation, Member: -1,
					Station: frame.StationOf(0x0200_0000_5000+frame.MAC(w.pick("guest")), uint16(w.pick("VLAN")%2))}})
			},
			"guest moves": func(t *rapid.T) {
				w.t = t
				w.do(FromDatapath{Control{Kind: ControlStationMoved, Member: -1,
					Station: frame.StationOf(0x0200_0000_5000+frame.MAC(w.pick("guest")), uint16(w.pick("VLAN")%2))}})
			},
			"seen": func(t *rapid.T) {
				w.t = t
				n := w.pick("nic")
				mac := linkOf(w.pick("MAC")).MAC
				w.do(Observed{MTU: rapid.SampledFrom([]int{0, 1500, 1200}).Draw(t, "MTU"), NICs: []ObservedNIC{{
					Link: Link{Name: linkOf(n).Name, Index: linkOf(n).Index, MAC: mac},
					MTU:  rapid.SampledFrom([]int{1500, 1200, 900}).Draw(t, "MTU of it")}}})
			},
			"next process": func(t *rapid.T) {
				w.t = t
				w.restart()
			},
			"flooding": func(t *rapid.T) {
				w.t = t
				w.do(Flooding{ID: w.pick("id"), Frames: 500})
			},
		})

		// Everything heals: after the longest delay every member works.
		w.t = t
		for n, id := range w.ids {
			if w.draining[n] {
				w.draining[n] = false
				w.do(Undrain{Name: linkOf(n).Name})
			}
			if w.absent[n] {
				w.do(Reopen{Name: linkOf(n).Name})
				w.absent[n] = false
				w.do(Reopened{ID: id, Link: linkOf(n)})
			}
			w.up[n] = true
			w.tell(n)
			w.do(Observed{MTU: 1500, NICs: []ObservedNIC{{Link: linkOf(n), MTU: 1500}}})
		}
		w.other.silent = false
		c = w.l.Config()
		c.Damping, c.ProbeInterval = false, 10*time.Second
		w.do(Change{Config: c})
		w.gateway.down, w.gateway.mute = false, map[int]bool{}
		w.pass(3 * time.Minute)
		end := w.l.Config()
		if len(w.ids) < max(1, end.MinMembers) {
			return
		}
		want := len(w.ids)
		if single(end) {
			want = 1
		}
		if st := w.l.Status(); w.plan.Distributing.Len() != want || st.State != "up" || len(st.Members) != len(w.ids) {
			t.Fatalf("healed: %d of %d distribute, state %s: %s", w.plan.Distributing.Len(), want, st.State, st.Reason)
		}
	})
}
