// SPDX-License-Identifier: MIT

package team

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes"
)

// Another host that claims an address of this one, by ARP or neighbour discovery, is seen here whatever the mode. The
// mode stops telling peers otherwise at once. A warning comes only if this host keeps the address: where VRRP moves an
// address, its next host claims it a moment before this one gives it up. Whether to defend it (RFC 5227) is the
// business of the host's stack and of whoever set the address.
const (
	// duplicateGrace is how long this host may keep a claimed address without a warning. What is claimed within that
	// time after the address came here is from before it left there.
	duplicateGrace = time.Second
	// duplicateAge is how long after the last claim the warning stands.
	duplicateAge = 5 * time.Minute
	// duplicateEventGap is the least time between two events about one address, which several hosts may claim.
	duplicateEventGap = time.Minute
	// maxDuplicates bounds the addresses that are warned of.
	maxDuplicates = 64
	// warnDuplicate begins the keys of the warnings.
	warnDuplicate = "duplicate "
)

// duplicate is an address of this host that another one claims.
type duplicate struct {
	first, last time.Time // claim
	mac         frame.MAC // of the last one
	warned      frame.MAC // of whom the warning speaks; 0: there is none yet
	told        frame.MAC // of whom the last event spoke
	toldAt      time.Time
}

// noteClaim notes what a received frame says of this host's addresses, and reports whether it claims one of them.
func (l *Loop) noteClaim(now time.Time, f []byte, out *Output) bool {
	if len(l.held) == 0 || l.plan == nil || l.ended {
		return false
	}
	c, ok := frame.ParseClaim(f)
	if !ok {
		return false
	}
	a := HeldAddress{c.IP, c.VLAN}
	since, held := l.held[a]
	if !held || l.isOwnMAC(c.MAC) {
		return false
	}
	l.addEffects(now, l.mode.Handle(now, modes.AddressClaimed{IP: a.IP, VLAN: a.VLAN}), out)
	if !since.IsZero() && now.Sub(since) < duplicateGrace {
		return true
	}
	d := l.duplicates[a]
	switch {
	case d == nil && len(l.duplicates) == maxDuplicates:
		return true
	case d == nil:
		d = &duplicate{first: now}
		if l.duplicates == nil {
			l.duplicates = map[HeldAddress]*duplicate{}
		}
		l.duplicates[a] = d
	}
	d.mac, d.last = c.MAC, now
	return true
}

// isOwnMAC reports whether a MAC is the adapter's, of a station behind it, or of a NIC of this host, which may not be
// listed yet if it is, or becomes, a member.
func (l *Loop) isOwnMAC(m frame.MAC) bool {
	for _, list := range [][]frame.MAC{l.plan.TeamMACs, l.hostMACs} {
		if _, ours := slices.BinarySearch(list, m); ours {
			return true
		}
	}
	for _, link := range l.joining {
		if link.MAC == m {
			return true
		}
	}
	return slices.ContainsFunc(l.members, func(mem *member) bool { return mem.link.MAC == m })
}

// updateDuplicates warns of claimed addresses that this host keeps, and ends warnings.
func (l *Loop) updateDuplicates(now time.Time, out *Output) {
	for _, a := range slices.SortedFunc(maps.Keys(l.duplicates), HeldAddress.compare) {
		d, key := l.duplicates[a], warnDuplicate+a.String()
		if _, held := l.held[a]; !held || now.Sub(d.last) >= duplicateAge {
			delete(l.duplicates, a)
			delete(l.advice, key)
			continue
		}
		if d.warned == d.mac || now.Sub(d.first) < duplicateGrace {
			continue
		}
		d.warned = d.mac
		text := a.String() + " is also at " + describeMAC(d.mac)
		l.advice[key] = "duplicate address: " + text + ": take it from one of the two hosts"
		if d.told == 0 || d.told != d.mac && now.Sub(d.toldAt) >= duplicateEventGap {
			d.told, d.toldAt = d.mac, now
			l.addEvent(out, now, "duplicate-address", "", text)
		}
	}
}

// duplicatesDeadline is when updateDuplicates has something to do by time alone.
func (l *Loop) duplicatesDeadline() (due time.Time) {
	for _, d := range l.duplicates {
		at := d.last.Add(duplicateAge)
		if d.warned == 0 {
			at = d.first.Add(duplicateGrace)
		}
		due = earlier(due, at)
	}
	return due
}

// describeMAC names a MAC; that of a virtual router tells its number.
func describeMAC(m frame.MAC) string {
	if id, ok := m.VirtualRouter(); ok {
		return m.String() + ", the virtual router " + strconv.Itoa(id) + " of VRRP"
	}
	return m.String()
}
