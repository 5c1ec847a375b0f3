package team

import (
	"fmt"

	"nicteam/internal/api"
	"nicteam/internal/settings"
)

// A member whose link is up can be unfit all the same: by a NIC with a smaller MTU than the adapter's the largest
// frames are lost, without a word to who sent them; and where each member sends with its own MAC, two that have the
// same one take each other's place in the switch's memory. The unfit one is not used while another member can carry.

// judgeFitness says of every member whether it is unfit, and has a warning stand for those that are used for want of
// another.
func (l *Loop) judgeFitness() {
	for _, m := range l.members {
		m.unfit = ""
	}
	for _, m := range l.members {
		if o := l.twin(m); o != nil {
			m.unfit = fmt.Sprintf("has the MAC %v of %s, and in mode %v each member sends with its own",
				m.link.MAC, o.link.Name, l.cfg.Mode)
		}
	}
	fit := false // one that can carry all that the adapter sends
	for _, m := range l.members {
		fit = fit || m.verdict() && !m.draining && !l.small(m)
	}
	for _, m := range l.members {
		key := "mtu " + m.link.Name
		delete(l.warned, key)
		if !l.small(m) || !m.verdict() {
			continue
		}
		why := fmt.Sprintf("MTU %d is below the adapter's %d", m.info.MTU, l.mtu)
		if fit {
			m.unfit = why
			continue
		}
		l.warned[key] = fmt.Sprintf("%s: %s, and no other member can carry: larger frames are lost; ip link set %s mtu %d",
			m.link.Name, why, m.link.Name, l.mtu)
	}
}

// small reports whether m's NIC cannot carry all that the adapter sends.
func (l *Loop) small(m *member) bool { return m.info.MTU > 0 && m.info.MTU < l.mtu }

// twin is the member that keeps m from being used because it has the same MAC and is up, too; nil for none. It is the
// one of them that is used, else the first.
func (l *Loop) twin(m *member) *member {
	if !perMember(l.cfg) || m.link.MAC == 0 || m.draining || !m.linked() {
		return nil
	}
	holder := m
	for _, o := range l.members {
		if o.link.MAC != m.link.MAC || o.draining || !o.linked() {
			continue
		}
		if o.usable && !holder.usable || o.usable == holder.usable && o.id < holder.id {
			holder = o
		}
	}
	if holder == m {
		return nil
	}
	return holder
}

// perMember reports whether every member sends with its own MAC.
func perMember(c settings.Config) bool { return c.Mode.OwnMACs(c.Balance) }

// checkTwins refuses a mode in which every member sends with its own MAC where two have the same one.
func (l *Loop) checkTwins(next settings.Config) *api.Problem {
	if !perMember(next) || perMember(l.cfg) {
		return nil
	}
	for i, m := range l.members {
		for _, o := range l.members[:i] {
			if m.link.MAC == o.link.MAC && m.link.MAC != 0 {
				return &api.Problem{Kind: api.Conflict, What: fmt.Sprintf("set mode %v of %s", next.Mode, l.cfg.Team),
					Why: fmt.Sprintf("%s and %s both have the MAC %v, and in this mode each sends with its own",
						o.link.Name, m.link.Name, m.link.MAC),
					Fix: fmt.Sprintf("give one another MAC first: ip link set %s address MAC", m.link.Name)}
			}
		}
	}
	return nil
}
