// SPDX-License-Identifier: MIT

package monitor

import (
	"fmt"
	"slices"
	"time"

	"nicteam/internal/frame"
)

// silentFor is how long a host that answered nobody is not chosen again.
const silentFor = time.Minute

// target is an address that members ask.
type target struct {
	Wanted
	spec Spec // of the first watch that wants it

	// foreign: it is whatever other team answers a probe, by its own EtherType.
	foreign bool

	mac        frame.MAC // 0 unknown
	macSince   time.Time
	confirmed  bool      // it has answered
	stackMAC   frame.MAC // that the adapter's stack has, 0 unknown
	stackSince time.Time
	wantsUs    time.Time // when mac asked for this host last
	round      round
	held       bool // the end of round waits for asks that have not left

	silent    bool      // it answers by no member
	retry     time.Time // while silent: when all ask it again
	postponed time.Duration
	quiet     time.Time // until then no miss begins a round
}

func (t *target) String() string {
	if t.foreign {
		return "another nicteam"
	}
	s := t.IP.String()
	if t.Noun != "" {
		s = t.Noun + " " + s
	}
	if t.VLAN != 0 {
		s += fmt.Sprintf(" (VLAN %d)", t.VLAN)
	}
	return s
}

// watch is a configured watch and what it wants.
type watch struct {
	Watch
	spec    Spec
	wants   Wants
	targets []*target // of wants
}

// retarget asks the watches whom to ask. Targets that stay keep what is known of them.
func (w *Watches) retarget(now time.Time) {
	s := &Surroundings{Targets: w.known, Aggregated: w.cfg.Aggregated, Silent: w.isSilent}
	var next []*target
	use := ProbeNone
	for i := range w.watches {
		v := &w.watches[i]
		v.wants = v.Wants(s)
		if w.cfg.Any {
			v.wants.Every = false
		}
		use = max(use, v.wants.Probe)
		v.targets = v.targets[:0]
		for _, want := range v.wants.Targets {
			t := find(next, want.Target)
			if t == nil {
				if t = find(w.targets, want.Target); t == nil {
					t = &target{}
				}
				t.Wanted, t.spec = want, v.spec
				t.setStackMAC(now, w.known.macOf(want.Target))
				next = append(next, t)
			}
			v.targets = append(v.targets, t)
		}
	}
	if use == ProbeDecides {
		next = append(next, w.prober.foreignTarget())
	}
	for _, t := range w.targets {
		if t.silent && !slices.Contains(next, t) {
			w.silentHosts[t.Target] = now.Add(silentFor)
		}
	}
	if changed := !slices.Equal(next, w.targets); changed {
		w.targets, w.addresses = next, nil
		for _, t := range next {
			if !t.foreign && t.IP.Is4() {
				w.addresses = append(w.addresses, t.IP)
			}
		}
		for _, m := range w.members {
			w.repath(now, m)
		}
	}
	if w.prober.use != use {
		w.prober.setUse(now, use)
	}
	if w.asksNobody() {
		for _, m := range w.members {
			m.deaf = ""
		}
	}
	w.stale = true
}

// asksNobody reports whether no watch asks, whatever the adapter knows: nothing is left to be down for.
func (w *Watches) asksNobody() bool {
	for _, v := range w.watches {
		if !v.wants.Always {
			return false
		}
	}
	return true
}

func find(ts []*target, want Target) *target {
	for _, t := range ts {
		if t.Target == want && !t.foreign {
			return t
		}
	}
	return nil
}

// repath gives a member a path to each target.
func (w *Watches) repath(now time.Time, m *watched) {
	was := m.paths
	m.paths = make([]*path, len(w.targets))
	wasDown := ""
	for _, p := range was {
		if p.state == pathDown && !slices.Contains(w.targets, p.t) {
			wasDown = p.why
		}
	}
	for i, t := range w.targets {
		for _, p := range was {
			if p.t == t {
				m.paths[i] = p
			}
		}
		if m.paths[i] == nil {
			m.paths[i] = &path{t: t, m: m, via: m.ID, nextAsk: now}
		}
	}
	if wasDown != "" && m.admitted && m.asks() {
		m.hold(now, wasDown)
	}
}

// isSilent reports whether a target answers by no member.
func (w *Watches) isSilent(t Target) bool {
	if at := find(w.targets, t); at != nil {
		return at.silent
	}
	_, silent := w.silentHosts[t]
	return silent
}

// setSilent notes whether t answers by any member.
func (w *Watches) setSilent(now time.Time, t *target, silent bool) {
	if t.silent == silent {
		return
	}
	t.silent = silent
	if silent {
		t.adopt(now, 0)
	} else {
		t.postponed, t.quiet = 0, now
		delete(w.silentHosts, t.Target)
	}
	w.retargetDue = true
}

// forgetSilent lets hosts be chosen again.
func (w *Watches) forgetSilent(now time.Time) {
	for t, until := range w.silentHosts {
		if !now.Before(until) || !slices.Contains(w.known.Hosts, t) {
			delete(w.silentHosts, t)
		}
	}
}
