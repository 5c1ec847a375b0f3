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

// agree notes what the mode has agreed after everything else has been decided, and has the owner remember what
// partners must not notice the end of this process by.
func (l *Loop) agree(now time.Time, out *Output) {
	for key := range l.warned {
		if strings.HasPrefix(key, warnAgreement) {
			delete(l.warned, key)
		}
	}
	if l.ended {
		return
	}
	l.agreement = l.agreed(l.mode)
	if l.agreement == nil {
		return
	}
	for i, hint := range l.agreement.Hints {
		l.warned[fmt.Sprintf("%s%02d", warnAgreement, i)] = hint
	}
	l.remember(l.withInherited(now, l.agreement.Memory), out)
}

// inheritFor is how long what a process before this one left of members that have not joined yet is worth keeping:
// after that their partners have given us up.
const inheritFor = 3 * time.Second

// withInherited adds to a memory the members of the process before this one that have not joined yet: this one may die
// as soon as that one. Later only their numbers are left, which never change.
func (l *Loop) withInherited(now time.Time, m lacp.Memory) *lacp.Memory {
	if l.inherited == nil || l.inherited.System != m.System {
		return &m
	}
	left := l.inherited
	if now.Sub(l.born) > inheritFor {
		left = identity(left)
	}
	m.Ports = slices.Clone(m.Ports)
	for _, p := range left.Ports {
		if m.Own(p.Name) == 0 {
			m.Ports = append(m.Ports, p)
		}
	}
	return &m
}

// disown forgets what was inherited of a member that has left.
func (l *Loop) disown(name string) {
	if l.inherited != nil {
		l.inherited.Ports = slices.DeleteFunc(l.inherited.Ports, func(p lacp.PortMemory) bool { return p.Name == name })
	}
}

// warnAgreement begins the keys of warnings that stand while the mode's hints do.
const warnAgreement = "agreement "

// remember tells the owner what has changed in what is to be remembered.
func (l *Loop) remember(m *lacp.Memory, out *Output) {
	if was := l.memory; was != nil && was.System == m.System && slices.Equal(was.Ports, m.Ports) {
		return
	}
	l.memory = kept(m)
	out.Memory = l.memory
}

func kept(m *lacp.Memory) *lacp.Memory {
	return &lacp.Memory{System: m.System, Ports: slices.Clone(m.Ports)}
}

// identity is what is left of a memory when partners have been told farewell, or nobody knows what they think: who we
// are and the ports' numbers, which never change.
func identity(m *lacp.Memory) *lacp.Memory {
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
		l.end(now, out)
	}
	l.mode, l.handed = m, l.memory
	l.unmeasured()
	if l.plan != nil {
		l.before = l.plan
	}
}

// end has the mode do what it wants to do at its end.
func (l *Loop) end(now time.Time, out *Output) {
	l.effects(now, l.mode.Handle(now, modes.Ending{}), out)
	if l.memory != nil {
		l.remember(identity(l.memory), out)
	}
}

// resume has the team work again that has said farewell.
func (l *Loop) resume() *api.Problem {
	if !l.ended {
		return nil
	}
	m, err := l.newMode(l.settings())
	if err != nil {
		return modeProblem(l.cfg.Mode, err)
	}
	// Whatever was put in force since, the mode's Plan is to be.
	l.mode, l.handed, l.before, l.plan = m, l.memory, l.plan, nil
	l.ended, l.dirty = false, true
	l.unmeasured()
	return nil
}

// note makes events of what the mode notes.
func (l *Loop) note(now time.Time, notes []modes.Note, out *Output) {
	for _, n := range notes {
		l.event(out, now, n.Event, l.name(n.Member), n.Reason)
	}
}

// port is a member's port, nil in modes without any.
func (l *Loop) port(m *member) *lacp.PortStatus {
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

// agreedWord is the state of a usable member with a port.
func (l *Loop) agreedWord(m *member, p *lacp.PortStatus) (state, reason string) {
	why := p.Why
	if d := m.delayed(); d != "" {
		why = d
	}
	switch {
	case l.plan != nil && l.plan.Distributing.Has(m.id):
		return "up", why
	case l.standsBy(m, p):
		return "standby", why
	}
	return "down", why
}

// standsBy reports whether a member that sends nothing could at once take the place of one that does: it has agreed so
// far with its partner, or nobody has a partner and one member works alone.
func (l *Loop) standsBy(m *member, p *lacp.PortStatus) bool {
	switch {
	case m.state.Link.Duplex == "half":
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

// faults are the members that have a link and stay, and neither work nor stand by because of their partners, and the
// one that works though it has none, each with why.
func (l *Loop) faults() (reasons []string) {
	for _, m := range l.members {
		p := l.port(m)
		if p == nil || !m.usable || m.draining {
			continue
		}
		if state, why := l.agreedWord(m, p); state == "down" || state == "up" && m.id == l.agreement.Alone {
			reasons = append(reasons, m.link.Name+": "+why)
		}
	}
	return reasons
}

// unspoken is why nobody may send though members are usable.
func (l *Loop) unspoken() string {
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
	if reasons := l.faults(); len(reasons) > 0 {
		return strings.Join(reasons, "; ")
	}
	return "no member may send"
}
