// SPDX-License-Identifier: MIT

package team

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/spread"
)

// reconcile derives everything from the state: verdicts, the mode, the Plan, the team's state. Events are in the order
// of cause and effect.
func (l *Loop) reconcile(now time.Time, out *Output) {
	l.runWatches(now)
	l.updateVerdicts(now, out)
	if l.fdb.age(now) {
		l.dirty = true
	}
	if !l.ended {
		l.runWayBacks(now)
		l.runMode(now, out)
	}
	l.runOwnAsks(now, out)
	l.runWatches(now) // again: who distributes, and by which MAC each asks
	l.addWatchSends(out)
	l.updateWatchWarnings()
	l.syncFilterWarnings()
	l.updateDuplicates(now, out)
	l.updateAgreement(now, out)
	l.updateState(now, out)
	out.Carrier, out.Speed = l.carrier, l.speed()
	if out.Tell != 0 {
		l.told, l.toldAt = out.Tell, now
		l.fillAnnouncement(out)
	}
}

// runMode lets the mode handle what is due, and adopts its Plan.
func (l *Loop) runMode(now time.Time, out *Output) {
	if d := l.mode.Deadline(); !d.IsZero() && !now.Before(d) {
		l.addEffects(now, l.mode.Handle(now, modes.Tick{}), out)
	}
	if l.dirty {
		l.dirty = false
		l.addEffects(now, l.mode.Handle(now, l.modeState(now)), out)
		l.previousPlan, l.modeMemory = nil, nil
	}
	p := l.mode.Plan()
	if p != l.modePlan || l.plan == nil || l.planPending || !slices.Equal(l.plan.Asked, l.askedAddresses()) {
		l.planPending, l.modePlan = false, p
		p = l.withHeld(l.withAsking(p))
		// The end of an overlap does not count: the switch has learnt by then.
		if l.plan == nil || p.Collecting&^l.plan.Collecting != 0 {
			l.collectingGrewAt = now
		}
		l.plan, out.Plan = p, p
	}
}

// updateVerdicts decides which members are usable.
func (l *Loop) updateVerdicts(now time.Time, out *Output) {
	l.verdictDue = time.Time{}
	for _, m := range l.members {
		m.wasForced, m.forced = m.forced, false
	}
	l.updateWatchVerdicts(now, out)
	l.updateDamping(now)
	l.updateFitness()
	l.override(now)
	for _, m := range l.members {
		m.worked = m.works()
		was := m.usable
		m.usable = m.verdict()
		if m.usable == was {
			if m.fallUntold && !m.waitsOn() {
				m.fallUntold = false
				l.addEvent(out, now, "member-down", m.link.Name, m.whyDown())
			}
			continue
		}
		l.dirty = true
		if m.usable {
			m.everUsed, m.fallUntold = true, false
			l.addEvent(out, now, "member-up", m.link.Name, m.usableNote())
			continue
		}
		if !m.reopening && !(m.wasForced && m.hasLink()) {
			m.failures++
		}
		if m.wasForced && m.waitsOn() {
			m.fallUntold = true // the next answer, or its absence, decides
			continue
		}
		if m.unfit != "" {
			m.linkLostAt = now
		}
		l.addEvent(out, now, "member-down", m.link.Name, m.whyDown())
		if m.linkLostAt.After(out.Cause) {
			out.Cause = m.linkLostAt
		}
	}
	l.updateLost(now, out)
	l.tellDamping(now, out)
	l.tellSuspicions(now, out)
}

// modeState returns the State for the mode.
func (l *Loop) modeState(now time.Time) modes.State {
	behind, ageing := l.fdb.publish(now)
	s := modes.State{Adapter: l.adapter, Settings: l.settings(), Behind: behind, Ageing: ageing, RxMode: l.rxMode,
		Before: l.previousPlan, Memory: l.modeMemory,
		Flooding: !l.floodSeen.IsZero() && now.Sub(l.floodSeen) < floodingAge}
	for _, m := range l.members {
		if m.reopening {
			s.Vacant = append(s.Vacant, m.link.MAC)
		} else {
			s.Members = append(s.Members, m.modeMember())
		}
	}
	return s
}

// addEffects adds what the mode wants to out.
func (l *Loop) addEffects(now time.Time, e modes.Effects, out *Output) {
	out.Send = append(out.Send, e.Send...)
	out.Tell |= e.Tell
	l.addNotes(now, e.Notes, out)
	if e.Active {
		l.addEvent(out, now, "active-changed", l.memberName(activeOf(l.mode.Plan())), e.Reason)
	}
}

// updateState sets the team's state and carrier.
func (l *Loop) updateState(now time.Time, out *Output) {
	state, reason := l.teamState()
	l.carrier = state != "down"
	if l.adapterDown {
		state, reason = "down", "the adapter is down: ip link set "+l.cfg.Team+" up"
	}
	if state != l.state {
		l.since = now
		l.addEvent(out, now, "team-"+state, "", reason)
	}
	l.state, l.reason = state, reason
}

// teamState returns the team's state and the reason.
func (l *Loop) teamState() (state, reason string) {
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
		if !m.joining() || m.absent || m.reopening {
			not = append(not, m.link.Name)
		}
		reasons = append(reasons, m.link.Name+": "+m.whyDown())
	}
	switch need := l.cfg.MinMembers; {
	case len(l.members) == 0:
		return "down", "no members"
	case staying == 0:
		return "down", "all members leave the team"
	case usable == 0:
		return "down", strings.Join(reasons, "; ")
	case len(l.members) < need:
		return "down", fmt.Sprintf("the team has %d members and min_members is %d: set min_members=%d, or add NICs",
			len(l.members), need, len(l.members))
	case usable < need:
		return "down", fmt.Sprintf("%d of %d members usable, min_members is %d", usable, staying, need)
	case l.plan == nil || l.plan.Distributing == 0:
		return "down", l.whyNoneDistributes()
	}
	if len(not) == 0 {
		reasons = nil
	}
	reasons = append(reasons, l.partnerFaults()...)
	for _, key := range slices.Sorted(maps.Keys(l.warnings)) {
		reasons = append(reasons, l.warnings[key])
	}
	if len(reasons) == 0 {
		return "up", ""
	}
	return "degraded", strings.Join(reasons, "; ")
}

// fillAnnouncement completes an announcement: by which members, with which MAC, of which stations.
func (l *Loop) fillAnnouncement(out *Output) {
	if out.Via = l.announceVia(); len(out.Via) == 0 {
		out.Tell = 0
		return
	}
	out.AnnounceMAC = l.adapter
	if l.plan.PerMember {
		out.Pin = l.plan.Pin
	}
	if m := l.byID(out.Via[0]); l.plan.PerMember && m != nil {
		out.AnnounceMAC = m.link.MAC
	}
	if out.Tell&modes.TellBehind == 0 {
		return
	}
	for _, s := range l.plan.Stations {
		if !l.plan.PerMember {
			for _, id := range out.Via {
				out.Stations = append(out.Stations, StationPath{Station: s, Member: id})
			}
		} else if id := l.plan.Pin(s.MAC()); id >= 0 {
			out.Stations = append(out.Stations, StationPath{Station: s, Member: id})
		}
	}
}

// announceVia returns the members that announce: the active one, all in broadcast, else the first that distributes.
func (l *Loop) announceVia() (ids []int) {
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

func (l *Loop) memberName(id int) string {
	if m := l.byID(id); m != nil {
		return m.link.Name
	}
	return ""
}

// Config returns the configuration in force, with the present members.
func (l *Loop) Config() settings.Config {
	c := l.cfg
	c.Members = nil
	for _, m := range l.members {
		c.Members = append(c.Members, settings.MemberConfig{Name: m.link.Name, Weight: m.weight,
			PortPriority: m.priority})
	}
	c.LinkWatch, c.Addresses = slices.Clone(c.LinkWatch), slices.Clone(c.Addresses)
	return c
}
