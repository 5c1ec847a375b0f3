package team

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/spread"
)

// settle brings everything that follows from the state in line with it: verdicts, the mode, the
// Plan, the team's own state. Events are in the order in which one thing led to the next.
func (l *Loop) settle(now time.Time, out *Output) {
	l.judge(now, out)
	if l.behind.tick(now) {
		l.dirty = true
	}
	if !l.ended {
		l.plans(now, out)
	}
	l.complain()
	l.agree(now, out)
	l.assess(now, out)
	out.Carrier, out.Speed = l.carrier, l.speed()
	if out.Tell != 0 {
		l.address(out)
	}
}

// plans has the mode do what is due, and takes its Plan.
func (l *Loop) plans(now time.Time, out *Output) {
	if d := l.mode.Deadline(); !d.IsZero() && !now.Before(d) {
		l.effects(now, l.mode.Handle(now, modes.Tick{}), out)
	}
	if l.dirty {
		l.dirty = false
		l.effects(now, l.mode.Handle(now, l.modeState(now)), out)
		l.before, l.handed = nil, nil
	}
	if p := l.mode.Plan(); p != l.plan {
		// The end of an overlap is no change for the switch: it has learnt by then.
		if l.plan == nil || p.Collecting&^l.plan.Collecting != 0 {
			l.moved = now
		}
		l.plan, out.Plan = p, p
	}
}

// judge gives every member its verdict.
func (l *Loop) judge(now time.Time, out *Output) {
	others := 0 // members that can be used whatever becomes of those whose delay runs
	for _, m := range l.members {
		m.debounce.Tick(now)
	}
	l.judgeFitness()
	for _, m := range l.members {
		if m.verdict() && !m.draining {
			others++
		}
	}
	if others == 0 {
		l.hurry()
		l.judgeFitness()
	}
	for _, m := range l.members {
		was := m.usable
		m.usable = m.verdict()
		if m.usable == was {
			continue
		}
		l.dirty = true
		if m.usable {
			l.event(out, now, "member-up", m.link.Name, "")
			continue
		}
		if !m.vacant {
			m.failures++
		}
		if m.unfit != "" {
			m.lost = now
		}
		l.event(out, now, "member-down", m.link.Name, m.why())
		if m.lost.After(out.Cause) {
			out.Cause = m.lost
		}
	}
}

// hurry ends the up-delay of the member that has waited longest: there is no other to use.
func (l *Loop) hurry() {
	var first *member
	for _, m := range l.members {
		d := m.debounce.Deadline()
		if !m.known || m.absent || m.vacant || m.draining || m.debounce.Up() || d.IsZero() {
			continue
		}
		if first == nil || d.Before(first.debounce.Deadline()) {
			first = m
		}
	}
	if first != nil {
		first.debounce.SkipUpDelay()
	}
}

// modeState is the State as the mode is to know it.
func (l *Loop) modeState(now time.Time) modes.State {
	behind, ageing := l.behind.publish(now)
	s := modes.State{Adapter: l.adapter, Settings: l.settings(), Behind: behind, Ageing: ageing, RxMode: l.rxMode, Before: l.before, Memory: l.handed,
		Flooding: !l.floodSeen.IsZero() && now.Sub(l.floodSeen) < floodingAge}
	for _, m := range l.members {
		if m.vacant {
			s.Vacant = append(s.Vacant, m.link.MAC)
		} else {
			s.Members = append(s.Members, m.mode())
		}
	}
	return s
}

// effects notes what the mode wants done.
func (l *Loop) effects(now time.Time, e modes.Effects, out *Output) {
	out.Send = append(out.Send, e.Send...)
	out.Tell |= e.Tell
	l.note(now, e.Notes, out)
	if e.Active {
		l.event(out, now, "active-changed", l.name(activeOf(l.mode.Plan())), e.Reason)
	}
}

// assess gives the team its state.
func (l *Loop) assess(now time.Time, out *Output) {
	state, reason := l.word()
	l.carrier = state != "down"
	if l.down {
		state, reason = "down", "the adapter is down: ip link set "+l.cfg.Team+" up"
	}
	if state != l.state {
		l.since = now
		l.event(out, now, "team-"+state, "", reason)
	}
	l.state, l.reason = state, reason
}

// word is the team's state with the reason in words.
func (l *Loop) word() (state, reason string) {
	var not, reasons []string // members that are not usable, and why
	usable, staying := 0, 0
	for _, m := range l.members {
		if m.draining {
			continue
		}
		staying++
		if m.usable {
			usable++
			continue
		}
		if !m.fresh || m.absent || m.vacant {
			not = append(not, m.link.Name)
		}
		reasons = append(reasons, m.link.Name+": "+m.why())
	}
	switch need := l.cfg.MinMembers; {
	case len(l.members) == 0:
		return "down", "no members"
	case staying == 0:
		return "down", "all members leave the team"
	case usable == 0:
		return "down", strings.Join(reasons, "; ")
	case usable < need:
		return "down", fmt.Sprintf("%d of %d members usable, min_members is %d", usable, staying, need)
	case l.plan == nil || l.plan.Distributing == 0:
		return "down", l.unspoken()
	}
	if len(not) == 0 {
		reasons = nil
	}
	reasons = append(reasons, l.faults()...)
	for _, key := range slices.Sorted(maps.Keys(l.warned)) {
		reasons = append(reasons, l.warned[key])
	}
	if len(reasons) == 0 {
		return "up", ""
	}
	return "degraded", strings.Join(reasons, "; ")
}

// address completes what the neighbours are to be told with the ways by which they are told.
func (l *Loop) address(out *Output) {
	if out.Via = l.via(); len(out.Via) == 0 {
		out.Tell = 0
		return
	}
	out.As = l.adapter
	if l.plan.PerMember {
		out.Pin = l.plan.Pin
	}
	if m := l.byID(out.Via[0]); l.plan.PerMember && m != nil {
		out.As = m.link.MAC
	}
	if out.Tell&modes.TellBehind == 0 {
		return
	}
	for _, s := range l.plan.Stations {
		if !l.plan.PerMember {
			for _, id := range out.Via {
				out.Behind = append(out.Behind, Behind{Station: s, Member: id})
			}
		} else if id := l.plan.Pin(s.MAC()); id >= 0 {
			out.Behind = append(out.Behind, Behind{Station: s, Member: id})
		}
	}
}

// via lists the members by which announcements go: the active one, every one in broadcast, else
// the first that may send.
func (l *Loop) via() (ids []int) {
	if l.plan == nil {
		return nil
	}
	if id := activeOf(l.plan); id >= 0 && l.plan.Distributing.Has(id) {
		return []int{id}
	}
	for _, m := range l.members {
		if !l.plan.Distributing.Has(m.id) {
			continue
		}
		ids = append(ids, m.id)
		if l.plan.Rule != spread.RuleBroadcast {
			break
		}
	}
	return ids
}

// activeOf returns the member that stands for the team, -1 where none does.
func activeOf(p *spread.Plan) int {
	if p == nil {
		return -1
	}
	return p.Active
}

func (l *Loop) name(id int) string {
	if m := l.byID(id); m != nil {
		return m.link.Name
	}
	return ""
}

// Status is the state without counters and without what only the host knows of the adapter.
func (l *Loop) Status() *api.Status {
	s := &api.Status{Schema: "nicteam.status/v1", Team: l.cfg.Team, Mode: l.cfg.Mode.String(), State: l.state, Reason: l.reason,
		Since: l.since, Active: l.name(activeOf(l.plan)), Balance: l.cfg.Balance,
		Datapath: l.path, DatapathReason: l.pathReason,
		Settings: settingsStatus(&l.cfg), Members: []api.Member{}, Warnings: []string{}}
	s.Adapter = api.Adapter{MAC: l.adapter.String(), SpeedBps: l.speed().Bps, KernelCounts: l.kernelCounts(), Addresses: []string{}}
	for _, m := range l.members {
		st := api.Member{Name: m.link.Name, Index: m.link.Index, MAC: m.link.MAC.String(), Driver: m.info.Driver,
			Link: m.known && m.state.Up && !m.absent, SpeedBps: m.state.Link.SpeedBps, Duplex: m.state.Link.Duplex,
			MTU: m.info.MTU, Weight: m.weight, Failures: m.failures}
		st.RateBps, st.RateSource = l.rateOf(m)
		st.State, st.Reason = m.word(l.plan)
		if p := l.port(m); p != nil {
			st.LACP = memberLACP(p)
			if m.usable && !m.draining && !m.absent && !m.vacant {
				st.State, st.Reason = l.agreedWord(m, p)
			}
		}
		if l.plan != nil {
			// Where all collect always, one without a link still cannot.
			st.Collecting, st.Distributing = st.Link && l.plan.Collecting.Has(m.id), l.plan.Distributing.Has(m.id)
		}
		s.Members = append(s.Members, st)
	}
	if l.agreement != nil {
		s.LACP = lacpStatus(l.agreement)
	}
	if shortest(l.plan) {
		s.FlowMoves = &api.FlowMoves{Forced: l.forced}
	}
	for _, list := range []map[string]string{l.warned, l.advised} {
		for _, key := range slices.Sorted(maps.Keys(list)) {
			s.Warnings = append(s.Warnings, list[key])
		}
	}
	s.Warnings = append(s.Warnings, l.notes...)
	return s
}

// Config is the configuration in force, with the members as they are.
func (l *Loop) Config() settings.Config {
	c := l.cfg
	c.Members = nil
	for _, m := range l.members {
		c.Members = append(c.Members, settings.MemberConfig{Name: m.link.Name, Weight: m.weight, PortPriority: m.priority})
	}
	c.LinkWatch, c.Addresses = slices.Clone(c.LinkWatch), slices.Clone(c.Addresses)
	return c
}
