// SPDX-License-Identifier: MIT

package team

import (
	"fmt"

	"nicteam/internal/api"
	"nicteam/internal/settings"
)

// A member with link can be unfit. With a smaller MTU than the adapter's it loses the largest frames silently. Where
// each member sends with its own MAC, two with the same MAC displace each other in the switch's MAC table. An unfit
// member is not used while another one can carry.

// updateFitness decides which members are unfit, and warns of those that are used for want of another.
func (l *Loop) updateFitness() {
	for _, m := range l.members {
		m.unfit = ""
	}
	for _, m := range l.members {
		if o := l.macHolder(m); o != nil {
			m.unfit = fmt.Sprintf("has the MAC %v of %s, and in mode %v each member sends with its own",
				m.link.MAC, o.link.Name, l.cfg.Mode)
		}
	}
	fit := false // one that can carry all that the adapter sends
	for _, m := range l.members {
		fit = fit || m.verdict() && !m.draining && !l.mtuTooSmall(m)
	}
	for _, m := range l.members {
		key := "mtu " + m.link.Name
		delete(l.warnings, key)
		if !l.mtuTooSmall(m) || !m.verdict() {
			continue
		}
		why := fmt.Sprintf("MTU %d is below the adapter's %d", m.info.MTU, l.mtu)
		if fit {
			m.unfit = why
			continue
		}
		l.warnings[key] = fmt.Sprintf(
			"%s: %s, and no other member can carry: larger frames are lost; ip link set %s mtu %d",
			m.link.Name, why, m.link.Name, l.mtu)
	}
}

// mtuTooSmall reports whether m's MTU is below the adapter's.
func (l *Loop) mtuTooSmall(m *member) bool { return m.info.MTU > 0 && m.info.MTU < l.mtu }

// macHolder returns the usable member with m's MAC that keeps m from being used, nil for none: the one in use, else the
// first.
func (l *Loop) macHolder(m *member) *member {
	if !perMember(l.cfg) || m.link.MAC == 0 || m.draining || !m.linkUp() {
		return nil
	}
	holder := m
	for _, o := range l.members {
		if o.link.MAC != m.link.MAC || o.draining || !o.linkUp() {
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

// checkDuplicateMACs refuses a mode in which every member sends with its own MAC while two have the same one.
func (l *Loop) checkDuplicateMACs(next settings.Config) *api.Problem {
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
