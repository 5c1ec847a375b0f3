// SPDX-License-Identifier: MIT

package modes

import (
	"slices"
	"time"

	"nicteam/modes/spread"
)

// Slots of RuleSlots get other members when a member joins, leaves in order or gets another weight. A slot that changed
// between two working members at once would reorder its flows. So for a while the Plan has both tables, and the data
// path migrates each slot when nothing of it can be under way by its old member (modes/spread/migration.go):
//
//	shares differ → Migration{From: old}, Members: new ─┬─ each slot pauses, or its old member is cleared by a marker
//	                                                    └─ MaxMigration is over → no Migration: the rest is forced
//
// A member that may not send any more has no flows to reorder: its slots change at once. All other changes wait until
// the migration is over, so that it is always known where each slot was.

const (
	// drainMigration is MaxMigration where only members in a drain lose slots: they leave as soon as nothing has been
	// received by them for a moment, and a partner is told before. A drain that begins during a migration leaves it
	// half of that.
	drainMigration = 50 * time.Millisecond
	// queueTime is the longest time that a frame usually waits in a member's queue before it leaves: the relay bounds a
	// queue to some 15 ms of its member's rate, NICs by their own queues.
	queueTime = 20 * time.Millisecond
	// markerInterval is the pause between two markers by a member. Partners answer but a few a second.
	markerInterval = 40 * time.Millisecond
	// noAnswer is the Mark of a marker that is never answered.
	noAnswer = ^uint32(0)
)

// slotMigration gives slots to members, and migrates them. In the zero value no member has a slot.
type slotMigration struct {
	shares  [spread.MaxMembers]uint32 // by which slots were assigned
	slots   []uint8                   // nil: no member may send. Shared with Plans, so never changed
	others  []uint8                   // likewise: who would have each slot without its member
	from    []uint8                   // the table before; nil: no migration. Shared as well
	leaving spread.MemberSet          // members that lose slots
	sharers spread.MemberSet          // members with a share
	senders spread.MemberSet          // both

	id       uint64
	forcedAt time.Time // when the rest is forced
	mark     uint32
	cleared  [spread.MaxMembers]uint32
	markers  [spread.MaxMembers]uint32 // the Mark of the marker under way, 0 none
	markerAt time.Time                 // when the next markers are due
}

// resume begins with the slots of another mode's Plan, if it hashes alike.
func (m *slotMigration) resume(before *spread.Plan, s *Settings) {
	if before == nil {
		return
	}
	if mig := before.Migration(); mig != nil {
		m.id = max(m.id, mig.ID)
	}
	if before.Rule == spread.RuleSlots && before.Hash == (spread.Hash{Policy: s.Hash, Salt: s.Salt}) {
		m.shares, m.slots, m.others = before.Weights, before.Slots.Members, before.Slots.StandIns
		m.updateSets()
	}
}

// retarget assigns the slots by shares as soon as that is possible. may are the members that may send, be it only slots
// that have not migrated yet; draining are those that leave. At least one member has a share.
func (m *slotMigration) retarget(now time.Time, shares *[spread.MaxMembers]uint32, may, draining spread.MemberSet) {
	if m.from != nil && m.sharers&draining != 0 {
		m.forcedAt = earlier(m.forcedAt, now.Add(drainMigration/2))
	}
	if m.from != nil && !now.Before(m.forcedAt) {
		m.from = nil
	}
	if m.from != nil && m.senders&^may != 0 {
		m.dropDead(may)
	}
	if m.from == nil && (m.slots == nil || *shares != m.shares) {
		m.begin(now, shares, may, draining)
	}
	m.updateSets()
}

// clear takes all slots away: no member may send.
func (m *slotMigration) clear() {
	m.shares, m.slots, m.others, m.from = [spread.MaxMembers]uint32{}, nil, nil, nil
	m.updateSets()
}

// begin assigns the slots anew, by a migration if working members lose any.
func (m *slotMigration) begin(now time.Time, shares *[spread.MaxMembers]uint32, may, draining spread.MemberSet) {
	to, others := spread.AssignStandIns(shares)
	from, leaving := slices.Clone(to), spread.MemberSet(0)
	for s, was := range m.slots {
		if was != to[s] && was != spread.NoMember && may.Has(int(was)) {
			from[s], leaving = was, leaving.With(int(was))
		}
	}
	m.shares, m.slots, m.others = *shares, to, others
	if leaving == 0 {
		return
	}
	if m.id == 0 {
		// A data path may remember ids from before this process.
		m.id = uint64(now.UnixMilli())
	}
	m.from, m.id, m.forcedAt = from, m.id+1, now.Add(spread.MaxMigration)
	if leaving&^draining == 0 {
		m.forcedAt = now.Add(drainMigration)
	}
	m.mark, m.markerAt = 0, now
	m.cleared, m.markers = [spread.MaxMembers]uint32{}, [spread.MaxMembers]uint32{}
}

// dropDead takes slots from members that may not send any more, during a migration.
func (m *slotMigration) dropDead(may spread.MemberSet) {
	for id := range m.shares {
		if !may.Has(id) {
			m.shares[id] = 0
		}
	}
	if m.shares == [spread.MaxMembers]uint32{} {
		m.slots, m.others, m.from = nil, nil, nil
		return
	}
	to, from := slices.Clone(m.slots), slices.Clone(m.from)
	_, m.others = spread.AssignStandIns(&m.shares)
	for s := range to {
		stays := from[s] == to[s]
		if !may.Has(int(to[s])) {
			to[s] = spread.AssignSlot(s, &m.shares)
		}
		if stays || !may.Has(int(from[s])) {
			from[s] = to[s]
		}
	}
	m.slots, m.from = to, from
	if slices.Equal(from, to) {
		m.from = nil
	}
}

func (m *slotMigration) updateSets() {
	m.leaving, m.sharers = 0, 0
	for id, share := range m.shares {
		if share > 0 {
			m.sharers = m.sharers.With(id)
		}
	}
	for s, id := range m.from {
		if m.slots[s] != id {
			m.leaving = m.leaving.With(int(id))
		}
	}
	m.senders = m.sharers | m.leaving
}

// nextMarkers returns the members by which a marker is due once the Plan that fill makes next is in force.
func (m *slotMigration) nextMarkers(now time.Time) (set spread.MemberSet) {
	if m.from == nil || now.Before(m.markerAt) {
		return 0
	}
	m.markerAt = now.Add(markerInterval)
	for left := m.leaving; left != 0; left = left.Without(left.First()) {
		// A partner that does not answer gets no second marker.
		if id := left.First(); m.markers[id] == 0 {
			set = set.With(id)
		}
	}
	if set != 0 {
		m.mark++
	}
	for left := set; left != 0; left = left.Without(left.First()) {
		m.markers[left.First()] = m.mark
	}
	return set
}

// markerRefused notes that a member's marker was not sent, as markers are too frequent.
func (m *slotMigration) markerRefused(id int) { m.markers[id] = noAnswer }

// markerAnswered notes that what a member sent under Marks before its marker's has arrived.
func (m *slotMigration) markerAnswered(id int) {
	if m.from != nil && m.markers[id] != 0 && m.markers[id] != noAnswer {
		m.cleared[id], m.markers[id] = m.markers[id], 0
	}
}

// fill sets how pl spreads by slots. Members of others distribute, too, without a slot yet.
func (m *slotMigration) fill(pl *spread.Plan, others spread.MemberSet, skew time.Duration) {
	pl.Rule, pl.Slots, pl.Weights = spread.RuleSlots, &spread.SlotTable{Members: m.slots, StandIns: m.others}, m.shares
	pl.Distributing = m.senders | others
	if m.from == nil {
		return
	}
	if skew <= 0 {
		skew = spread.DefaultSkew
	}
	pl.Slots.Migration = &spread.Migration{From: m.from, ID: m.id, Mark: max(m.mark, 1), Cleared: m.cleared,
		Pause: skew + queueTime}
}

// deadline returns when retarget is due, zero for never.
func (m *slotMigration) deadline() time.Time {
	if m.from == nil {
		return time.Time{}
	}
	return m.forcedAt
}

// markerDeadline returns when nextMarkers is due, zero for never.
func (m *slotMigration) markerDeadline() time.Time {
	if m.from == nil {
		return time.Time{}
	}
	return m.markerAt
}

// earlier returns the earlier one of two times, either of which may be zero for never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
