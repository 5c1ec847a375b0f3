// SPDX-License-Identifier: MIT

package team

import (
	"net/netip"
	"slices"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// A member asks by its own MAC. Where another member receives for that one, and peers may send to it (the adapter's MAC
// belongs to a member that stands by; elb gave a dead member's MAC to another), an ask by it would teach the switch the
// wrong port, and frames for this host would end there. Such a member asks by a MAC for that ([monitor.AskMAC]), which
// its NIC must accept.

// askMAC returns the MAC by which a member asks under p, 0 if it cannot ask.
func (l *Loop) askMAC(m *member, p *spread.Plan) frame.MAC {
	for _, o := range l.members {
		if o.link.MAC == m.link.MAC && o.id < m.id {
			return 0
		}
	}
	if l.watchesConfig.Group && !m.info.OwnMAC && m.wayBack.variant > 0 {
		return monitor.AskMACs(m.link.MAC, m.wayBack.variant)
	}
	if !l.receivedByOther(m, p) || !m.ownAsk.until.IsZero() {
		return m.link.MAC
	}
	if m.info.OwnMAC && !m.ownAsk.next.IsZero() {
		return m.link.MAC // and is quiet
	}
	if m.info.OwnMAC {
		return 0
	}
	return monitor.AskMAC(m.link.MAC)
}

// receivedByOther reports whether another member receives for m's own MAC under p.
func (l *Loop) receivedByOther(m *member, p *spread.Plan) bool {
	switch {
	case p == nil || m.link.MAC == 0:
		return false
	case p.PerMember && !m.everUsed && m.link.MAC != l.adapter:
		// Nobody sends to it yet. A switch whose ports allow one MAC each sees no second one when a team begins.
		return false
	case p.PerMember:
		return slices.ContainsFunc(l.members, func(o *member) bool { return o != m && accepts(p, o, m.link.MAC) })
	case m.link.MAC != l.adapter:
		return false
	case p.Rule == spread.RuleSingle:
		return p.Active != m.id
	}
	// All send by the adapter's MAC, and the switch returns frames by whichever it likes.
	return p.Collecting&^spread.MemberSet(0).With(m.id) != 0 && !p.Collecting.Has(m.id)
}

// accepts reports whether o's NIC accepts frames for another's MAC under p.
func accepts(p *spread.Plan, o *member, mac frame.MAC) bool {
	return slices.Contains(p.Filter[o.id], mac)
}

// needsAskMAC reports whether m's NIC must accept its [monitor.AskMAC] under p. Where one member is active, the one
// with the adapter's MAC accepts it always: a failover must not wait until its NIC's filter is set.
func (l *Loop) needsAskMAC(m *member, p *spread.Plan) bool {
	if m.info.OwnMAC || m.link.MAC == 0 || m.reopening {
		return false
	}
	return l.receivedByOther(m, p) || p.Rule == spread.RuleSingle && !p.PerMember && m.link.MAC == l.adapter
}

// asks reports whether any link watch asks.
func (l *Loop) asks() bool {
	return slices.ContainsFunc(l.watchesConfig.Specs, func(s monitor.Spec) bool {
		return s.Kind != monitor.KindCarrier && !(s.Kind == monitor.KindAuto && l.watchesConfig.Aggregated)
	})
}

// withAsking returns p with the addresses that are asked for, and with the MACs by which members ask that are not their
// own: their NICs accept them, and what comes back of them is known as ours.
func (l *Loop) withAsking(p *spread.Plan) *spread.Plan {
	with := *p
	with.Asked = l.askedAddresses()
	if l.asks() && len(l.members) > 1 {
		l.acceptAnswers(p, &with)
	} else if len(with.Asked) == 0 {
		return p
	}
	return &with
}

// acceptAnswers adds to with, a copy of p, the MACs by which members ask that are not their own.
func (l *Loop) acceptAnswers(p, with *spread.Plan) {
	var group []frame.MAC // by which members of a group ask
	if isGroup(p) {
		for _, m := range l.members {
			if mac := l.askMAC(m, p); mac != 0 {
				group = append(group, mac)
			}
		}
		slices.Sort(group)
		group = slices.Compact(group)
	}
	accepted := make([]bool, len(group)) // by any member
	var own []frame.MAC                  // for members alone
	for _, m := range l.members {
		if m.info.OwnMAC || m.reopening {
			continue
		}
		was := with.Filter[m.id]
		list := make([]frame.MAC, 0, len(group)+1+len(was))
		accepts := func(mac frame.MAC) bool {
			if mac == m.link.MAC {
				return false
			}
			// After a change of mode NICs still accept what they did before, of which the mode's TeamMACs know nothing.
			if !slices.Contains(was, mac) {
				list = append(list, mac)
			}
			return true
		}
		for i, mac := range group {
			accepted[i] = accepts(mac) || accepted[i]
		}
		sorted := len(was) == 0
		if l.needsAskMAC(m, p) {
			if mac := monitor.AskMAC(m.link.MAC); accepts(mac) {
				own, sorted = append(own, mac), false
			}
		}
		if len(list) == 0 {
			continue
		}
		if list = append(list, was...); !sorted {
			slices.Sort(list)
			list = slices.Compact(list)
		}
		with.Filter[m.id] = list
	}
	for i, yes := range accepted {
		if yes {
			own = append(own, group[i])
		}
	}
	if len(own) > 0 {
		with.TeamMACs = append(slices.Clone(with.TeamMACs), own...)
		slices.Sort(with.TeamMACs)
		with.TeamMACs = slices.Compact(with.TeamMACs)
	}
}

// askedAddresses returns the IPv4 addresses that link watches ask for; between two sets of watches those of the earlier
// one.
func (l *Loop) askedAddresses() []netip.Addr {
	if l.watches != nil {
		l.asked = l.watches.Addresses()
	}
	return l.asked
}

// isGroup reports whether the switch takes the members for one link under p: it returns an answer to any of them by
// whichever it likes.
func isGroup(p *spread.Plan) bool {
	return !p.PerMember && (p.Rule == spread.RuleSlots || p.Rule == spread.RuleRoundRobin ||
		p.Rule == spread.RuleBroadcast)
}
