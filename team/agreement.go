// SPDX-License-Identifier: MIT

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

// The control loop shows what the mode has agreed with partners in 802.3ad, and keeps the LACP state for the next
// process. What it means only the mode knows.

// updateAgreement adopts what the mode has agreed, after all other decisions, and gives the owner the LACP state to
// keep.
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

// inheritFor is how long the LACP state of members that have not joined yet is kept from the process before: longer,
// and partners have expired us (3 s with short timeouts).
const inheritFor = 3 * time.Second

// withInherited adds the members of the process before that have not joined yet: this process may end as soon as that
// one. Later only their port numbers are kept, which never change.
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

// forgetInherited drops the inherited state of a member that has left.
func (l *Loop) forgetInherited(name string) {
	if l.inheritedMemory != nil {
		l.inheritedMemory.Ports = slices.DeleteFunc(l.inheritedMemory.Ports, func(p lacp.PortMemory) bool {
			return p.Name == name
		})
	}
}

// warnAgreement begins the keys of warnings that are hints of the mode.
const warnAgreement = "agreement "

// saveMemory gives the owner the LACP state when it has changed.
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

// memoryIdentity returns what stays valid after a farewell, or when the partners' view is unknown: the system and the
// port numbers.
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

// replaceMode ends the mode and starts m.
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

// endMode lets the mode say farewell to partners.
func (l *Loop) endMode(now time.Time, out *Output) {
	l.addEffects(now, l.mode.Handle(now, modes.Ending{}), out)
	if l.lastMemory != nil {
		l.saveMemory(memoryIdentity(l.lastMemory), out)
	}
}

// resumeMode takes an End back.
func (l *Loop) resumeMode() *api.Problem {
	if !l.ended {
		return nil
	}
	m, err := l.newMode(l.settings())
	if err != nil {
		return modeProblem(l.cfg.Mode, err)
	}
	// The data path may have another Plan by now: forget ours, so that the new mode's is applied.
	l.mode, l.modeMemory, l.previousPlan, l.plan = m, l.lastMemory, l.plan, nil
	l.ended, l.dirty = false, true
	l.resetMeasurements()
	return nil
}

// addNotes makes events of the mode's notes.
func (l *Loop) addNotes(now time.Time, notes []modes.Note, out *Output) {
	for _, n := range notes {
		l.addEvent(out, now, n.Event, l.memberName(n.Member), n.Reason)
	}
}

// portOf returns the LACP port of a member, nil in other modes.
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

// agreed reports whether m and its partner have agreed to send and receive by it.
func (l *Loop) agreed(m *member) bool {
	p := l.portOf(m)
	return p != nil && p.Distributing()
}

// portState returns the state of a usable member with a port, and the reason.
func (l *Loop) portState(m *member, p *lacp.PortStatus) (state, reason string) {
	why := p.Why
	if d := m.usableNote(); d != "" {
		why = d
	}
	switch {
	case l.plan != nil && l.plan.Distributing.Has(m.id):
		return "up", why
	case m.lost:
		return "down", m.watchReason()
	case l.isStandby(m, p):
		return "standby", why
	}
	return "down", why
}

// isStandby reports whether a member that does not distribute could at once replace one that does: it has agreed with
// its partner, or no port has a partner and one member works alone.
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

// partnerFaults lists members that have link but neither distribute nor stand by because of their partner, and the one
// that works alone without a partner, each with the reason.
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

// whyNoneDistributes says why no member distributes although some are usable.
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
		return fmt.Sprintf("%d of %d members agreed with their partner, min_members is %d", agreed, len(l.members),
			need)
	}
	if reasons := l.partnerFaults(); len(reasons) > 0 {
		return strings.Join(reasons, "; ")
	}
	return "no member may send"
}
