// SPDX-License-Identifier: MIT

package spread

import (
	"sync/atomic"
	"time"
)

// How slots migrate from one member to another (SlotTable.Migration). Two members' queues are never equally long, so a
// frame that leaves by another member than the one before it may arrive first. A slot that From and Members give to two
// members therefore migrates when nothing of it can be under way by the one in From. For a frame of such a slot:
//
//  1. The slot has migrated: it stays with its member in Members, whatever later Plans of this migration say.
//  2. The member in From may not send: it migrates, for what that had is lost or has left.
//  3. All that the slot sent by the member in From was sent under a Mark before Cleared, so it has arrived: it
//     migrates. What was sent before the migration began counts as sent under Mark 0.
//  4. The slot's last frame by the member in From is Pause ago: it migrates. If it has sent nothing during this
//     migration, the beginning of the migration counts, for nobody has noted the frame before.
//  5. Otherwise it stays with the member in From, and the time and the Mark are noted.
//
// A slot that never pauses is forced: it migrates with the Plan that ends the migration. While there is none, nothing
// of this is looked at or noted.
//
// Programs in the kernel, each on its processor, and a Picker may keep one table. So a slot is one word that changes by
// compare and swap, and that it has migrated is never overwritten.

// MigrationState is what a data path keeps of a migration.
type MigrationState struct {
	ID         uint64 // of the Migration under way, 0 none
	Since      int64  // when it began, ns
	Generation uint32 // how many have begun; ids may come again
	_          uint32
	Slots      [SlotCount]SlotState
}

// SlotState is what is kept of a slot.
type SlotState struct {
	Last  int64  // when the member in From sent its last frame
	State uint64 // the generation in the upper half; in the lower one the Mark of that frame, 0 once it has migrated
}

// MaxMigration is how long a migration lasts at most; then the remaining slots are forced.
const MaxMigration = 200 * time.Millisecond

// MarkBits is the length of the Mark in SlotState.State.
const MarkBits = 32

// follow takes a Plan's migration, nil for none.
func (m *MigrationState) follow(mig *Migration, now int64) {
	switch {
	case mig == nil:
		atomic.StoreUint64(&m.ID, 0)
	case m.ID != mig.ID:
		m.Since = now
		m.Generation++
		atomic.StoreUint64(&m.ID, mig.ID)
	}
}

// member returns the member for a frame of slot s, and notes the frame.
func (m *MigrationState) member(pl *Plan, s int, now int64) uint8 {
	mig := pl.Slots.Migration
	from, to := mig.From[s], pl.Slots.Members[s]
	if from == to {
		return to
	}
	slot := &m.Slots[s]
	migrated := uint64(m.Generation) << MarkBits
	was := atomic.LoadUint64(&slot.State)
	last, mark := m.Since, uint32(0)
	if was&^(1<<MarkBits-1) == migrated {
		last, mark = slot.Last, uint32(was)
		if mark == 0 {
			return to
		}
	}
	if !pl.Distributing.Has(int(from)) || mark < mig.Cleared[from] || now-last >= int64(mig.Pause) {
		atomic.StoreUint64(&slot.State, migrated)
		return to
	}
	slot.Last = now
	if next := migrated | uint64(mig.Mark); next != was && !atomic.CompareAndSwapUint64(&slot.State, was, next) &&
		atomic.LoadUint64(&slot.State) == migrated {
		return to // another processor has migrated it
	}
	return from
}
