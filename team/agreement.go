package team

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/modes"
	"nicteam/modes/lacp"
)

// This file is what the control loop knows of 802.3ad: that the mode has agreed something with partners, that users want
// to see it, and that it is to outlive the process. What it means is the mode's business.

// updateAgreement notes what the mode has agreed after everything else has been decided, and has the owner remember what
// partners must not notice the end of this process by.
func (l *Loop) updateAgreement(now time.Time, out *Output) {
	for key := range l.warnings {
		if strings.HasPrefix(key, warnAgreement) {
			delete(l.warnings, key)
		}
	}
	if l.ended {
		return
	}
	l.agreement = l.agreementOf(l.mode)
	if l.agreement == nil {
		return
	}
	for i, hint := range l.agreement.Hints {
		l.warnings[fmt.Sprintf("%s%02d", warnAgreement, i)] = hint
	}
	l.saveMemory(l.withInherited(now, l.agreement.Memory), out)
}

// inheritFor is how long what a process before this one left of members that have not joined yet is worth keeping:
// after that their partners have given us up.
const inheritFor = 3 * time.Second

// withInherited adds to a memory the members of the process before this one that have not joined yet: this one may die
// as soon as that one. Later only their numbers are left, which never change.
func (l *Loop) withInherited(now time.Time, m lacp.Memory) *lacp.Memory {
	if l.inheritedMemory == nil || l.inheritedMemory.System != m.System {
		return &m
	}
	left := l.inheritedMemory
	if now.Sub(l.startedAt) > inheritFor {
		left = memoryIdentity(left)
	}
	m.Ports = slices.Clone(m.Ports)
	for _, p := range left.Ports {
		if m.Own(p.Name) == 0 {
			m.Ports = append(m.Ports, p)
		}
	}
	return &m
}

// forgetInherited forgets what was inherited of a member that has left.
func (l *Loop) forgetInherited(name string) {
	if l.inheritedMemory != nil {
		l.inheritedMemory.Ports = slices.DeleteFunc(l.inheritedMemory.Ports, func(p lacp.PortMemory) bool { return p.Name == name })
	}
}

// warnAgreement begins the keys of warnings that stand while the mode's hints do.
const warnAgreement = "agreement "

// saveMemory tells the owner what has changed in what is to be remembered.
func (l *Loop) saveMemory(m *lacp.Memory, out *Output) {
	if was := l.lastMemory; was != nil && was.System == m.System && slices.Equal(was.Ports, m.Ports) {
		return
	}
	l.lastMemory = cloneMemory(m)
	out.Memory = l.lastMemory
}

func cloneMemory(m *lacp.Memory) *lacp.Memory {
	return &lacp.Memory{System: m.System, Ports: slices.Clone(m.Ports)}
}

// memoryIdentity is what is left of a memory when partners have been told farewell, or nobody knows what they think: who we
// are and the ports' numbers, which never change.
func memoryIdentity(m *lacp.Memory) *lacp.Memory {
	if m == nil {
		return nil
	}
	id := &lacp.Memory{System: m.System}
	for _, p := range m.Ports {
		id.Ports = append(id.Ports, lacp.PortMemory{Name: p.Name, Number: p.Number})
	}
	return id
}

// replaceMode puts m in the place of the mode, which says farewell first.
func (l *Loop) replaceMode(now time.Time, m modes.Mode, out *Output) {
	if !l.ended {
		l.endMode(now, out)
	}
	l.mode, l.modeMemory = m, l.lastMemory
	l.resetMeasurements()
	if l.plan != nil {
		l.previousPlan = l.plan
	}
}

// endMode has the mode do what it wants to do at its end.
func (l *Loop) endMode(now time.Time, out *Output) {
	l.addEffects(now, l.mode.Handle(now, modes.Ending{}), out)
	if l.lastMemory != nil {
		l.saveMemory(memoryIdentity(l.lastMemory), out)
	}
}

// resumeMode has the team work again that has said farewell.
func (l *Loop) resumeMode() *api.Problem {
	if !l.ended {
		return nil
	}
	m, err := l.newMode(l.settings())
	if err != nil {
		return modeProblem(l.cfg.Mode, err)
	}
	// Whatever was put in force since, the mode's Plan is to be.
	l.mode, l.modeMemory, l.previousPlan, l.plan = m, l.lastMemory, l.plan, nil
	l.ended, l.dirty = false, true
	l.resetMeasurements()
	return nil
}

// addNotes makes events of what the mode notes.
func (l *Loop) addNotes(now time.Time, notes []modes.Note, out *Output) {
	for _, n := range notes {
		l.addEvent(out, now, n.Event, l.memberName(n.Member), n.Reason)
	}
}

// portOf is a member's port, nil in modes without any.
func (l *Loop) portOf(m *member) *lacp.PortStatus {
	if l.agreement == nil {
		return nil
	}
	for i := range l.agreement.Ports {
		if l.agreement.Ports[i].ID == m.id {
			return &l.agreement.Ports[i]
		}
	}
	return nil
}

// portState is the state of a usable member with a port.
func (l *Loop) portState(m *member, p *lacp.PortStatus) (state, reason string) {
	why := p.Why
	if d := m.downDelayNote(); d != "" {
		why = d
	}
	switch {
	case l.plan != nil && l.plan.Distributing.Has(m.id):
		return "up", why
	case l.isStandby(m, p):
		return "standby", why
	}
	return "down", why
}

// isStandby reports whether a member that sends nothing could at once take the place of one that does: it has agreed so
// far with its partner, or nobody has a partner and one member works alone.
func (l *Loop) isStandby(m *member, p *lacp.PortStatus) bool {
	switch {
	case m.linkState.Link.Duplex == "half":
		return false
	case p.Distributing() || p.Selected == lacp.Standby && p.Heard: // the first is held back by min_members
		return true
	}
	i := slices.IndexFunc(l.agreement.Ports, func(q lacp.PortStatus) bool { return q.ID == l.agreement.Alone })
	return i >= 0 && !anyConfirmed(l.agreement) && (!p.Looped || l.agreement.Ports[i].Looped)
}

func anyConfirmed(a *modes.Agreement) bool {
	return slices.ContainsFunc(a.Ports, func(p lacp.PortStatus) bool { return p.Confirmed })
}

// partnerFaults are the members that have a link and stay, and neither work nor stand by because of their partners, and the
// one that works though it has none, each with why.
func (l *Loop) partnerFaults() (reasons []string) {
	for _, m := range l.members {
		p := l.portOf(m)
		if p == nil || !m.usable || m.draining {
			continue
		}
		if state, why := l.portState(m, p); state == "down" || state == "up" && m.id == l.agreement.Alone {
			reasons = append(reasons, m.link.Name+": "+why)
		}
	}
	return reasons
}

// whyNoneDistributes is why nobody may send though members are usable.
func (l *Loop) whyNoneDistributes() string {
	if l.agreement == nil {
		return "no member may send"
	}
	agreed := 0
	for i := range l.agreement.Ports {
		if l.agreement.Ports[i].Distributing() {
			agreed++
		}
	}
	if need := l.cfg.MinMembers; agreed > 0 && agreed < need {
		return fmt.Sprintf("%d of %d members agreed with their partner, min_members is %d", agreed, len(l.members), need)
	}
	if reasons := l.partnerFaults(); len(reasons) > 0 {
		return strings.Join(reasons, "; ")
	}
	return "no member may send"
}
