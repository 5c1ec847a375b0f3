// SPDX-License-Identifier: MIT

package sim

import (
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/team"
)

// groupsDelay bounds the time to program groups into a NIC: other processes may hold the rtnl lock.
const groupsDelay = 50 * time.Millisecond

// slowProtocols is the group of LACP, which every member joins at once.
const slowProtocols frame.MAC = 0x0180c2000002

// groupFilter is a NIC's multicast filter, besides broadcasts and slow protocols.
type groupFilter struct {
	groups []frame.MAC
	all    bool
}

func (f *groupFilter) has(m frame.MAC) bool {
	return m == frame.Broadcast || m == slowProtocols || f.all || slices.Contains(f.groups, m)
}

// rxMode returns what the adapter's stack wants to receive; stations are behind a bridge, which wants everything.
func (t *Team) rxMode() spread.RxMode {
	groups := []frame.MAC{0x01005e000001, groupMAC(allNodes), groupMAC(solicitedNode(t.Stack.IP6))}
	slices.Sort(groups)
	return spread.RxMode{Groups: groups, Promiscuous: len(t.local) > 1, AllMulti: len(t.local) > 1}
}

// setGroups programs the groups of the current Plan into the NICs a moment later.
func (t *Team) setGroups() {
	life := t.life
	// Without the world's random numbers, so that seeds keep their meaning.
	late := time.Duration(uint64(t.w.now)*0x9e3779b97f4a7c15>>32) % groupsDelay
	t.w.After(late, func() {
		if t.life != life {
			return
		}
		for _, id := range t.ids {
			f := &t.members[id].nic.groups
			if *f = (groupFilter{}); t.plan.GroupMembers.Has(id) {
				f.groups, f.all = t.plan.Groups, t.plan.AllMulti
			}
		}
	})
}

// tellRxMode sends the adapter's rx mode to the loop.
func (t *Team) tellRxMode() { t.handle(team.AdapterRxMode{RxMode: t.rxMode()}) }
