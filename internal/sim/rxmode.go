package sim

import (
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/team"
)

// groupsLate bounds how long the kernel takes to have a NIC take in other groups: its configuration lock is held by
// others.
const groupsLate = 50 * time.Millisecond

// slowProtocols is the group of LACP, in which every member's NIC is from the moment it joins.
const slowProtocols frame.MAC = 0x0180c2000002

// groupFilter is what a NIC takes in of what is for groups, besides broadcasts and slow protocols.
type groupFilter struct {
	groups []frame.MAC
	all    bool
}

func (f *groupFilter) has(m frame.MAC) bool {
	return m == frame.Broadcast || m == slowProtocols || f.all || slices.Contains(f.groups, m)
}

// rxMode is what the adapter's stack wants to receive; guests are behind a bridge, which wants everything.
func (t *Team) rxMode() spread.RxMode {
	groups := []frame.MAC{0x01005e000001, groupMAC(allNodes), groupMAC(solicitedNode(t.Stack.IP6))}
	slices.Sort(groups)
	return spread.RxMode{Groups: groups, Promiscuous: len(t.local) > 1, AllMulti: len(t.local) > 1}
}

// setGroups has NICs take in what the Plan in force at that time wants of groups, in a moment.
func (t *Team) setGroups() {
	life := t.life
	// Not by the world's random numbers: with or without this a seed is the same story.
	late := time.Duration(uint64(t.w.now)*0x9e3779b97f4a7c15>>32) % groupsLate
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

// tellRxMode tells the loop what the adapter's stack wants to receive.
func (t *Team) tellRxMode() { t.handle(team.AdapterRxMode{RxMode: t.rxMode()}) }
